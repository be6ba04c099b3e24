"""The audits by mode: the code that ships, run many times on data sets that differ by one unit."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from torch import nn

from mycroft_fl.errors import Refused
from mycroft_fl.examples import Examples
from mycroft_fl.models.networks import Classifier, build
from mycroft_fl.privacy import ledger, mechanisms, publishing, relevance, sgd, targets
from mycroft_fl.privacy.accounting import Filter, SgdRun, Spend
from mycroft_fl.privacy.audit import (
    audit,
    drawing_loss,
    gaussian_epsilon,
    mu_of,
)
from mycroft_fl.privacy.budget import Budget, Limits
from mycroft_fl.privacy.noise import OS_ENTROPY

DELTA = 1e-5
RUNS = 200_000
TIGHT = 0.9
"""Of a Gaussian's mu: a bound below this share of the claim says that the audit is blind."""
DRAWS = 10_000
SGD_RUNS, SGD_TIGHT = 2000, 0.6
"""Of DP-SGD and of the target, whose runs cost a thousand times as much: fewer, and so a looser bound."""
PUBLISHED_RUNS = 4000  # few, for a looser bound: each is drawn by itself
ALWAYS = 1 - 1e-9
"""A sampling rate at which a record is in every batch."""


@dataclass(frozen=True)
class Finding:
    """What one audit found: a lower bound (or an exact value) beside the claim."""

    mode: str
    audit: str
    measure: str
    found: float
    claimed: float
    least: float = 0.0

    @property
    def holds(self) -> bool:
        """Whether the code keeps its claim, and the audit could have seen it broken."""
        return self.least <= self.found <= self.claimed * (1 + 1e-9)


def _gaussian(
    mode: str, name: str, rows: np.ndarray, bound_squared: Fraction, multiplier: float,
    persons: np.ndarray | None = None, unit: int = 1, tight: float = TIGHT,
) -> list[Finding]:  # fmt: skip
    """The noised sum with and without the first `unit` rows, which are those of one unit."""

    def outputs(rows: np.ndarray, persons: np.ndarray | None) -> np.ndarray:
        whole = mechanisms.exact_sum(rows, bound_squared, persons=persons)
        many = np.tile(whole, (RUNS, 1))
        one = [
            mechanisms.noised(many[:, place], bound_squared, multiplier, OS_ENTROPY).values
            for place in range(len(whole))
        ]
        along = direction / np.linalg.norm(direction)
        seen: np.ndarray = np.stack(one, axis=1) @ along
        return seen

    # The direction in which the unit can be seen best: its own sum, were it not clipped.
    direction = np.nan_to_num(rows[:unit], posinf=1.0, neginf=-1.0).sum(axis=0)
    rest = None if persons is None else persons[unit:]
    found = audit(outputs(rows, persons), outputs(rows[unit:], rest), delta=DELTA)
    mu = mu_of(multiplier)
    return [
        Finding(mode, name, "epsilon at least", found.epsilon, gaussian_epsilon(mu, DELTA)),
        Finding(mode, name, "mu at least", found.mu, mu, tight * mu),
    ]


def audit_score() -> Iterator[Finding]:
    """The score: a most relevant record, and one person with fifty, at three prices."""
    row = relevance.score_rows(np.array([1.0]))
    others = relevance.score_rows(np.linspace(-1, 1, 20))
    for multiplier in (1.0, 0.5, 0.25):
        name = f"one record, noise multiplier {multiplier:g}"
        yield from _gaussian(
            "score", name, np.vstack([row, others]), relevance.SCORE_BOUND, multiplier
        )
    rows = np.vstack([np.repeat(row, 50, axis=0), others])
    persons = np.array([0] * 50 + list(range(1, 21)))
    name, bound = "one person with 50 records", relevance.SCORE_BOUND
    yield from _gaussian("score", name, rows, bound, 1.0, persons, 50)


def audit_gradient() -> Iterator[Finding]:
    """The gradient sum: a record of huge norm, one that is not finite, one that rounds up."""
    rng = np.random.default_rng(0)
    others = rng.normal(size=(20, 6)) * 0.1
    for name, first, tight in (
        ("a record of huge norm", np.full(6, 1e6), TIGHT),
        ("a record that is not finite", np.array([math.nan, 1e6, 0, 0, 0, 0]), 0.0),
    ):
        rows = np.vstack([first, others])
        yield from _gaussian("gradient", name, rows, Fraction(1), 1.0, tight=tight)
    long = np.full((1, 400), 0.05 + 0.4 / mechanisms.UNITS)
    whole = mechanisms.quantised(long, Fraction(1))
    longest = math.sqrt(int((whole.astype(object) ** 2).sum())) / mechanisms.UNITS
    yield Finding("gradient", "a record that rounding would lengthen", "length", longest, 1.0)


def audit_fresh_noise() -> Iterator[Finding]:
    """Two answers about the same data: their difference must not be free of noise."""
    rows, nothing = np.array([[1.0]]), np.zeros((0, 1))

    def differences(rows: np.ndarray) -> np.ndarray:
        many = np.tile(mechanisms.exact_sum(rows, Fraction(1)), RUNS)
        first, second = (
            mechanisms.noised(sign * many, Fraction(1), 1.0, OS_ENTROPY).values for sign in (1, -1)
        )
        seen: np.ndarray = first - second
        return seen

    found, mu = audit(differences(rows), differences(nothing), delta=DELTA), math.sqrt(2)
    yield Finding("score", "two answers together", "mu at least", found.mu, mu, TIGHT * mu)


def audit_gumbel() -> Iterator[Finding]:
    """Drawn examples: every set enumerated exactly, the sampler counted, utilities pointwise."""
    k, strength, n = 2, 2.0, 6
    claimed = mechanisms.choice_price(k, strength, n)
    values = np.array([1.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    exact, chance = drawing_loss(values, k, strength, 0)
    yield Finding("raw-gumbel", "all sets, enumerated", "epsilon-minus", exact, claimed)
    yield Finding("raw-gumbel", "all sets, enumerated", "p_x", chance, 1 - math.exp(-claimed))
    levels = (values * mechanisms.UNITS).astype(np.int64)
    drawn = sum(
        0 in mechanisms.drawn_by_utility(levels, k, strength, OS_ENTROPY) for _ in range(DRAWS)
    )
    error = 4 * math.sqrt(chance * (1 - chance) / DRAWS)
    share = drawn / DRAWS
    yield Finding("raw-gumbel", "the sampler", "p_x", share, chance + error, chance - error)
    some = np.append(2.0, np.random.default_rng(0).uniform(-1, 1, size=50))
    alone = relevance.utility_levels(some[1:], mechanisms.UNITS)
    beside = relevance.utility_levels(some, mechanisms.UNITS)[1:]
    moved = float(np.abs(alone - beside).max()) / mechanisms.UNITS
    yield Finding("raw-gumbel", "utilities of the others", "moved by one record", moved, 0.0)


def audit_ledger() -> Iterator[Finding]:
    """The ledger: how much epsilon can be had from a budget of 1."""
    limits = Limits(Budget.of(epsilon=1.0, delta=DELTA))
    rho = Filter.of(1.0, DELTA).rho / 10
    with tempfile.TemporaryDirectory() as folder:
        book = ledger.PrivacyLedger(Path(folder) / "ledger.sqlite")
        answers = 0
        for number in range(25):
            key = ledger.Key("data", "trainer", str(number))
            try:
                book.charge(key, "score", Spend(rho=rho), limits)
                book.store(key, b"answer")
                answers += 1
            except Refused:
                continue
        problems = len(book.problems())
    yield Finding("ledger", "25 asked, 10 paid for", "answers", answers, 10, 10)
    yield Finding("ledger", "25 asked, 10 paid for", "problems", problems, 0)


def audit_dp_sgd() -> Iterator[Finding]:
    """DP-SGD of a last layer: one record as far out as can be, and how often it is taken."""
    head = nn.Linear(2, 2)
    with torch.no_grad():
        for part in head.parameters():
            part.zero_()

    def outputs(multiplier: float, rate: float, count: int, *values: float) -> np.ndarray:
        inputs = torch.tensor([[1.0, 0.0] for _ in values]) * torch.tensor(values)[:, None]
        some = sgd.Weighted(
            inputs.reshape(-1, 2), torch.ones(len(values)).long(), torch.ones(len(values))
        )
        told = sgd.HeadRun(SgdRun(rate, multiplier, 1), 1.0, rate)
        direction = np.array([1.0, 0, 0, -1, 0, 0]) / math.sqrt(2)
        return np.array(
            [-sgd.head_delta(head, some, told, OS_ENTROPY) @ direction for _ in range(count)]
        )

    without, mu = outputs(0.5, ALWAYS, SGD_RUNS), mu_of(0.5)
    found = audit(outputs(0.5, ALWAYS, SGD_RUNS, 1e6), without, delta=DELTA)
    yield Finding("dp-sgd", "a record of huge norm", "mu at least", found.mu, mu, SGD_TIGHT * mu)
    spoilt = np.nan_to_num(outputs(0.5, ALWAYS, SGD_RUNS // 4, math.nan), nan=1e9)
    found = audit(spoilt, without, delta=DELTA)
    yield Finding("dp-sgd", "a record that is not finite", "mu at least", found.mu, mu)
    share = float((outputs(1e-6, 0.25, SGD_RUNS, 1e6) > 0.5).mean())
    error = 4 * math.sqrt(0.25 * 0.75 / SGD_RUNS)
    yield Finding("dp-sgd", "batches", "share with the record", share, 0.25 + error, 0.25 - error)


def audit_published() -> Iterator[Finding]:
    """Published scores: a scoring example that gains all for all; an owner's record that turns a score."""
    multiplier, mu = 1.0, mu_of(1.0)

    def outputs(gains: dict[str, np.ndarray], clip: float | None) -> np.ndarray:
        seen = []
        for _ in range(PUBLISHED_RUNS):
            scores, _ = publishing.noised_scores(gains, clip, multiplier, OS_ENTROPY)
            seen.append(sum(scores.values()))
        return np.array(seen)

    others = {name: np.zeros(400) for name in "abc"}
    with_one = {name: np.append(values, 1.0) for name, values in others.items()}
    found = audit(outputs(with_one, None), outputs(others, None), delta=DELTA)
    # The count's part of the noise is not seen along the scores: looser by sqrt(3/4), and by few runs.
    yield Finding("publish", "a scoring example", "mu at least", found.mu, mu, 0.5 * mu)
    high, low = {"a": np.full(9, 0.9)}, {"a": np.full(9, -0.9)}
    found = audit(outputs(high, 0.1), outputs(low, 0.1), delta=DELTA)
    yield Finding("publish", "an owner's record", "mu at least", found.mu, mu, 0.5 * mu)


def audit_target() -> Iterator[Finding]:
    """The noised target: a hard example whose gradient is huge, with and without it."""
    model, multiplier = build("linear", (2,), 2, seed=0), 0.5
    few = Examples(np.array([[1, 0], [0, 1], [1, 1]], np.float32), np.array([0, 1, 0]))
    # Far out, and of the other class than the model says: nothing but the clip bounds its gradient.
    huge = Examples(np.full((1, 2), 1e6, np.float32), np.array([1 - _guess(model, 1e6)]))
    along = relevance.Seen.through(model, huge).gradients(model.head, np.ones(1), 1.0)[:][0]
    along /= np.linalg.norm(along)

    def outputs(hard: Examples) -> np.ndarray:
        return np.array(
            [
                targets.noised_gradient_sum(model, hard, 1.0, multiplier, OS_ENTROPY).values @ along
                for _ in range(SGD_RUNS)
            ]
        )

    found = audit(outputs(Examples.concatenate([huge, few])), outputs(few), delta=DELTA)
    mu = mu_of(multiplier)
    least = SGD_TIGHT * mu
    yield Finding("target", "a hard example of huge norm", "mu at least", found.mu, mu, least)


def _guess(model: Classifier, value: float) -> int:
    with torch.no_grad():
        return int(model(torch.full((1, 2), value)).argmax())


AUDITS: dict[str, tuple[Callable[[], Iterator[Finding]], ...]] = {
    "score": (audit_score, audit_fresh_noise, audit_ledger),
    "gradient": (audit_gradient, audit_fresh_noise, audit_ledger),
    "dp-sgd": (audit_dp_sgd, audit_ledger),
    "target": (audit_target, audit_ledger),
    "publish": (audit_published, audit_ledger),
    "raw-gumbel": (audit_gumbel, audit_ledger),
}


def findings(mode: str | None = None) -> list[Finding]:
    """All audits of a mode, or of every mode, each audit once."""
    chosen = AUDITS[mode] if mode else [each for audits in AUDITS.values() for each in audits]
    return [finding for each in dict.fromkeys(chosen) for finding in each()]
