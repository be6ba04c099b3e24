"""Audits of what is costly to run: many canaries a run, each in or out by a coin of its own.

Canaries whose clipped gradients are at right angles share a run without meeting: each is seen along
its own direction, where the noise is independent of every other's. So a run of a mechanism that
keeps its claim gives as many outputs with and without a unit as it has canaries (the idea of
Steinke et al. 2023, without their bound, which holds for any mechanism and is loose for this one).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from jaxtyping import Bool, Float64

from mycroft_fl.examples import Examples
from mycroft_fl.models.networks import build
from mycroft_fl.privacy.audits.bounds import (
    DELTA,
    TIGHT,
    Finding,
    Outputs,
    audit,
    gaussian_epsilon,
    mu_of,
)
from mycroft_fl.privacy.noise.samplers import OS_ENTROPY
from mycroft_fl.privacy.relevance import hard_set_target as relevance
from mycroft_fl.privacy.relevance import noised_target as targets
from mycroft_fl.privacy.relevance import scores as publishing

CANARIES = 64
RUNS = 1000
"""With as many canaries: 32,000 outputs with each and without, for a bound within a tenth at mu = 2."""
PUBLISHED_RUNS = 15_000
"""The same for published scores, where a scoring example is seen in all owners' at once and shares no run."""
MULTIPLIER = 0.5
FAR = 1e6
Release = Callable[[Bool[np.ndarray, " m"]], Float64[np.ndarray, " m"]]
"""A function from the canaries that are in to what one run shows along each one's direction."""


def in_and_out(release: Release, canaries: int, runs: int) -> tuple[Outputs, Outputs]:
    """Give the outputs along canaries that were in, and along those that were out."""
    coins = np.random.default_rng(0).random((runs, canaries)) < 0.5
    shown = np.stack([release(coin) for coin in coins])
    return shown[coins], shown[~coins]


def _gaussian(mode: str, name: str, release: Release, multiplier: float) -> Iterator[Finding]:
    found, mu = audit(*in_and_out(release, CANARIES, RUNS), delta=DELTA), mu_of(multiplier)
    yield Finding(mode, name, "epsilon at least", found.epsilon, gaussian_epsilon(mu, DELTA))
    yield Finding(mode, name, "mu at least", found.mu, mu, TIGHT * mu)


def audit_target() -> Iterator[Finding]:
    """Audit the noised target: hard examples whose gradients are huge, each in or out."""
    size = CANARIES + 3
    model = build("linear", (size,), 2, seed=0)
    few = Examples(np.eye(size, dtype=np.float32)[CANARIES:], np.array([0, 1, 0]))
    far = FAR * np.eye(CANARIES, size, dtype=np.float32)
    # Each is of another class than the model says: nothing but the clip bounds the gradient.
    with torch.no_grad():
        wrong = 1 - model(torch.from_numpy(far)).argmax(1).numpy()
    huge = Examples(far, wrong)
    seen = relevance.RecordView.through(model, huge)
    along = seen.gradients(model.head, np.ones(CANARIES), 1.0)[:]

    def release(inside: np.ndarray) -> np.ndarray:
        hard = Examples.concatenate([huge[np.flatnonzero(inside)], few])
        released = targets.noised_gradient_sum(model, hard, 1.0, MULTIPLIER, OS_ENTROPY)
        shown: np.ndarray = along @ released.values
        return shown

    yield from _gaussian("target", "a hard example of huge norm", release, MULTIPLIER)


def audit_published() -> Iterator[Finding]:
    """Audit published scores: a scoring example that gains all for all; an owner's record that turns one."""
    yield from _scoring_example()
    gains = {True: np.full(9, 0.9), False: np.full(9, -0.9)}

    def release(inside: np.ndarray) -> np.ndarray:
        each = {f"{place:02}": gains[bool(coin)] for place, coin in enumerate(inside)}
        scores, _ = publishing.noised_scores(each, 0.1, MULTIPLIER, OS_ENTROPY)
        return np.array([scores[owner] for owner in each])

    yield from _gaussian("publish", "an owner's record", release, MULTIPLIER)


def _scoring_example() -> Iterator[Finding]:
    owners = "abc"
    # The count is published in no score but divides each. Where the others lose 1/3, a step of the
    # count weighs in three scores together as one of the sums does: the example's whole row is seen.
    others = {name: np.full(100, -1 / len(owners)) for name in owners}
    with_one = {name: np.append(values, 1.0) for name, values in others.items()}
    multiplier = 1 / 3

    def outputs(gains: dict[str, np.ndarray]) -> np.ndarray:
        many = (
            publishing.noised_scores(gains, None, multiplier, OS_ENTROPY)
            for _ in range(PUBLISHED_RUNS)
        )
        return np.array([sum(scores.values()) for scores, _ in many])

    found, mu = audit(outputs(with_one), outputs(others), delta=DELTA), mu_of(multiplier)
    yield Finding("publish", "a scoring example", "mu at least", found.mu, mu, TIGHT * mu)
