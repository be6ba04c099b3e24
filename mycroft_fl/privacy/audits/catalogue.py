"""The audits by mode: the code that ships, run many times on data sets that differ by one unit."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch

from mycroft_fl.errors import Refused
from mycroft_fl.examples import Examples
from mycroft_fl.models.networks import build
from mycroft_fl.modes import COUNTS, MODES, resolved
from mycroft_fl.privacy.audits.bounds import (
    DELTA,
    TIGHT,
    Finding,
    audit,
    drawing_loss,
    gaussian_epsilon,
    mu_of,
)
from mycroft_fl.privacy.noise import mechanisms
from mycroft_fl.privacy.noise.accounting import Filter, Spend
from mycroft_fl.privacy.noise.samplers import OS_ENTROPY
from mycroft_fl.privacy.relevance import hard_set_target as relevance
from mycroft_fl.privacy.relevance.by_class import ClassTargets
from mycroft_fl.privacy.relevance.counts import COUNT_BOUND, ClassRows
from mycroft_fl.privacy.spending import ledger
from mycroft_fl.privacy.spending.budget import Budget, Limits
from mycroft_fl.protocol.detector import Detector

Audit = Callable[[], Iterator[Finding]]

RUNS = 200_000
DRAWS = 10_000


def _gaussian(
    mode: str, name: str, rows: np.ndarray, bound_squared: Fraction, multiplier: float,
    persons: np.ndarray | None = None, unit: int = 1, tight: float = TIGHT,
) -> list[Finding]:  # fmt: skip
    """Give the noised sum with and without the first `unit` rows, which are those of one unit."""

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
    """Audit the score: a most relevant record, and one person with fifty, at three prices."""
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


def audit_score_by_class() -> Iterator[Finding]:
    """Audit a score by class: a record like its class's hard examples, and a person with such in all."""
    classes, rng = 3, np.random.default_rng(0)
    model = build("linear", (4,), classes, seed=0)
    hard = Examples(rng.normal(size=(6, 4)).astype(np.float32), np.arange(6) % classes)
    others = Examples(rng.normal(size=(20, 4)).astype(np.float32), np.arange(20) % classes)
    plain, by_class = relevance.Target.of(model, hard), ClassTargets(model, hard)

    def rows_of(examples: Examples) -> np.ndarray:
        seen = relevance.RecordView.through(model, examples)
        ranked = by_class.relevances(model.head, seen)
        return relevance.score_rows(ranked, seen.relevances(model.head, plain))

    rest, bound = rows_of(others), relevance.SCORE_BOUND
    like = rows_of(hard[np.repeat(np.arange(classes), 17)])
    yield from _gaussian("score", "by class, one record", np.vstack([like[:1], rest]), bound, 1.0)
    persons = np.array([0] * len(like) + list(range(1, 21)))
    name, rows = "by class, one person with records of all classes", np.vstack([like, rest])
    yield from _gaussian("score", name, rows, bound, 1.0, persons, len(like))


def audit_score_by_region() -> Iterator[Finding]:
    """Audit a score by a detector: a record in its region, a huge one, and a person with fifty."""
    plain, rng = np.ones(4, np.float32), np.random.default_rng(0)
    weights = np.concatenate([np.ones((2, 4)), np.zeros((2, 3))], axis=1).astype(np.float32)
    classes, bias = np.array([], np.int64), np.zeros(2, np.float32)
    detector = Detector(None, False, 0 * plain, 1e9 * plain, classes, weights, bias, 0.5)

    def rows_of(x: np.ndarray) -> np.ndarray:
        z = detector.seen(x.astype(np.float32), None)
        return relevance.score_rows(detector.counted(z, np.zeros(len(x), np.int64)))

    rest, bound = rows_of(rng.normal(size=(20, 4))), relevance.SCORE_BOUND
    for name, size in (("one record", 1.0), ("a record of huge numbers", 1e30)):
        rows = np.vstack([rows_of(np.full((1, 4), size)), rest])
        yield from _gaussian("score", f"in a detector's region, {name}", rows, bound, 1.0)
    persons = np.array([0] * 50 + list(range(1, 21)))
    rows = np.vstack([rows_of(np.ones((50, 4))), rest])
    name = "in a detector's region, one person with 50 records"
    yield from _gaussian("score", name, rows, bound, 1.0, persons, 50)


def audit_counts() -> Iterator[Finding]:
    """Audit counts by class: a record, and a person with fifty in one class and fifty in all."""
    others = np.arange(20) % 3
    for multiplier in (1.0, 0.5):
        rows = ClassRows(np.append(0, others), 3)[:]
        name = f"one record, noise multiplier {multiplier:g}"
        yield from _gaussian("counts", name, rows, COUNT_BOUND, multiplier)
    persons = np.array([0] * 50 + list(range(1, 21)))
    for name, own in (
        ("one person with 50 records of a class", np.zeros(50, np.int64)),
        ("one person with records of all classes", np.arange(50) % 3),
    ):
        rows = ClassRows(np.concatenate([own, others]), 3)[:]
        yield from _gaussian("counts", name, rows, COUNT_BOUND, 1.0, persons, 50)


def audit_gradient() -> Iterator[Finding]:
    """Audit the gradient sum: a record of huge norm, one that is not finite, one that rounds up."""
    rng = np.random.default_rng(0)
    others = rng.normal(size=(20, 6)) * 0.1
    for name, first, tight in (
        ("a record of huge norm", np.full(6, 1e6), TIGHT),
        ("a record that is not finite", np.array([math.nan, 1e6, 0, 0, 0, 0]), 0.0),
    ):
        rows = np.vstack([first, others])
        yield from _gaussian("gradient", name, rows, Fraction(1), 1.0, tight=tight)
    name = "a record of huge norm, by huge coordinates"
    yield from _gaussian("gradient", name, _whitened_rows(1e6), Fraction(1), 1.0)
    long = np.full((1, 400), 0.05 + 0.4 / mechanisms.UNITS)
    whole = mechanisms.quantised(long, Fraction(1))
    longest = math.sqrt(int((whole.astype(object) ** 2).sum())) / mechanisms.UNITS
    yield Finding("gradient", "a record that rounding would lengthen", "length", longest, 1.0)


def _whitened_rows(huge: float) -> np.ndarray:
    """Gradients by coordinates that a trainer chose to make one record count for more."""
    rng = np.random.default_rng(1)
    x = np.vstack([np.full((1, 2), huge), rng.normal(size=(20, 2))]).astype(np.float32)
    model = build("linear", (2,), 2, seed=0)
    with torch.no_grad():
        failed = 1 - model(torch.from_numpy(x)).argmax(1).numpy()
    seen = relevance.RecordView.through(model, Examples(x, failed))
    there = seen.whitened(np.full((2, 3), huge, np.float32))
    return seen.gradients(model.head, np.ones(len(x)), 1.0, there)[:]


def audit_fresh_noise() -> Iterator[Finding]:
    """Audit two answers about the same data: their difference must not be free of noise."""
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
    """Audit drawn examples: every set enumerated exactly, the sampler counted, utilities pointwise."""
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
    """Audit the ledger: how much epsilon can be had from a budget of 1."""
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


PUBLISHED: dict[str, tuple[str, ...]] = {
    "target": ("mycroft_fl.privacy.audits.canaries:audit_target", f"{__name__}:audit_ledger"),
    "publish": ("mycroft_fl.privacy.audits.canaries:audit_published", f"{__name__}:audit_ledger"),
}
"""The audits of what the trainer publishes, beside those of the modes in which owners answer."""


def audits_by_name() -> dict[str, tuple[Audit, ...]]:
    """Give the audits of every mode that has any, and of what the trainer publishes."""
    named = {name: mode.audits for name, mode in MODES.items() if mode.audits}
    named |= {COUNTS.name: COUNTS.audits} | PUBLISHED
    return {name: tuple(map(resolved, audits)) for name, audits in named.items()}


def findings(name: str | None = None) -> list[Finding]:
    """Run all audits of that name, or of every name, each audit once."""
    by_name = audits_by_name()
    chosen = by_name[name] if name else [each for audits in by_name.values() for each in audits]
    return [finding for each in dict.fromkeys(chosen) for finding in each()]
