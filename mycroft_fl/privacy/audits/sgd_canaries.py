"""Audits of DP-SGD: records and persons as far out as can be, and how often each is taken."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from mycroft_fl.privacy import sgd
from mycroft_fl.privacy.audits.bounds import DELTA, TIGHT, Finding, audit, gaussian_epsilon, mu_of
from mycroft_fl.privacy.audits.canaries import FAR, MULTIPLIER, Release, in_and_out
from mycroft_fl.privacy.noise.accounting import SgdRun, epsilon_at, sgd_renyi
from mycroft_fl.privacy.noise.samplers import OS_ENTROPY, Noise
from mycroft_fl.privacy.relevance.hard_set_target import RecordView

CANARIES = 128
RUNS = 500
ALONE = 600
SLOW = 1e-9
"""How far a step goes: not so far that a canary is learnt, and its gradient gone, after the first."""
HUGE = float(np.finfo(np.float32).max)
RATE = 0.25
STEPS = 4
RECORDS = 5
"""Records of a person: by records, three in four of such would be in a batch that takes one in four."""


@dataclass(frozen=True)
class Canary:
    """A last layer and the records that are looked for in it: canary i has its i-th input, and no other.

    Where `records` is above 1, so many of them are one person's. `weight` is what the last layer, zero
    else, multiplies every input by for one class: huge, and no logit is a number in float32.
    """

    value: float = FAR
    canaries: int = CANARIES
    records: int = 1
    weight: float = 0.0

    def moved(self, run: SgdRun) -> Release:
        """Say what a run from that last layer moves along each canary's direction, in units of a step."""
        head = nn.Linear(self.canaries, 2)
        for part in head.parameters():
            nn.init.zeros_(part)
        with torch.no_grad():
            head.weight[0] = self.weight
        head_run = sgd.HeadRun(run, 1.0, SLOW * run.sample_rate)

        def release(inside: np.ndarray) -> np.ndarray:
            delta = sgd.head_delta(head, self._those(inside), head_run, OS_ENTROPY)
            first, second = delta.reshape(2, self.canaries + 1)[:, :-1]
            along: np.ndarray = (second - first) / math.sqrt(2) / SLOW
            return along

        return release

    def _those(self, inside: np.ndarray) -> sgd.Weighted:
        there = np.repeat(np.flatnonzero(inside), self.records)
        inputs = np.zeros((len(there), self.canaries))
        inputs[np.arange(len(there)), there] = self.value
        persons = there if self.records > 1 else None
        seen = RecordView(inputs, np.ones(len(there), np.int64))
        return sgd.Weighted(seen, np.ones(len(there)), persons)


def audit_dp_sgd() -> Iterator[Finding]:
    """Audit DP-SGD of a last layer: what one unit shows in a step, in a run, and in a batch."""
    step = SgdRun(1.0, MULTIPLIER, 1)
    yield _entropy()
    yield from _not_finite(step)
    for name, canary in (("batches", Canary()), ("batches, by person", Canary(records=RECORDS))):
        taken, _ = in_and_out(canary.moved(SgdRun(RATE, 1e-6, 1)), CANARIES, RUNS // 2)
        share, error = float((taken > 0.5).mean()), 4 * math.sqrt(RATE * (1 - RATE) / len(taken))
        yield Finding("dp-sgd", name, "share with the unit", share, RATE + error, RATE - error)
    for name, canary in (
        ("a record of huge norm", Canary()),
        ("a record whose logits overflow", Canary(HUGE, weight=HUGE)),
        ("one person with several records", Canary(records=RECORDS)),
    ):
        yield from _gaussian(name, canary.moved(step))
    # As much noise in all steps together: a step's taken again and again is louder, once only less loud.
    run = SgdRun(1.0, MULTIPLIER * math.sqrt(STEPS), STEPS)
    yield from _gaussian(f"a run of {STEPS} steps", Canary().moved(run))
    yield from _sampled()


def _gaussian(name: str, release: Release) -> Iterator[Finding]:
    found, mu = audit(*in_and_out(release, CANARIES, RUNS), delta=DELTA), mu_of(MULTIPLIER)
    claimed = gaussian_epsilon(mu, DELTA)
    yield Finding("dp-sgd", name, "epsilon at least", found.epsilon, claimed)
    yield Finding("dp-sgd", name, "mu at least", found.mu, mu, TIGHT * mu)


def _not_finite(step: SgdRun) -> Iterator[Finding]:
    """Give records that no clipping holds back, alone: one that came through would spoil all numbers."""
    for value in (math.nan, math.inf):
        shown = in_and_out(Canary(value, canaries=1).moved(step), 1, ALONE)
        found = audit(*(np.nan_to_num(each, nan=1e9) for each in shown), delta=DELTA)
        name = f"a record with {value}"
        yield Finding("dp-sgd", name, "mu at least", found.mu, 1 / MULTIPLIER)


def _sampled() -> Iterator[Finding]:
    """Audit a run whose batches are drawn: below what the accountant says, and not far below."""
    run = SgdRun(RATE, MULTIPLIER, 1)
    found = audit(*in_and_out(Canary().moved(run), CANARIES, RUNS), delta=DELTA)
    claimed = min(epsilon_at(sgd_renyi(run, order), order, DELTA) for order in range(2, 64))
    yield Finding(
        "dp-sgd", "a sampled step", "epsilon at least", found.epsilon, claimed, claimed / 5
    )


def _entropy() -> Finding:
    """Count the random bytes of a run: 8 for each coin and each number at least, or it has but a seed."""
    took = 0

    def counted(size: int) -> bytes:
        nonlocal took
        took += size
        return OS_ENTROPY.draw(size)

    units, classes, steps = 50, 10, 5
    seen = RecordView(np.ones((units, 3)), np.zeros(units, np.int64))
    run = sgd.HeadRun(SgdRun(RATE, MULTIPLIER, steps), 1.0, 1.0)
    records = sgd.Weighted(seen, np.ones(units))
    sgd.head_delta(nn.Linear(3, classes), records, run, Noise(counted, "os-entropy"))
    least = 8 * steps * (units + classes * 4)
    return Finding("dp-sgd", "random numbers", "bytes drawn", took, math.inf, least)
