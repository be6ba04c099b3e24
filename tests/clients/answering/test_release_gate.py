"""The release gate: whatever a request brings, an answer shows no more of a unit than its bound.

Hostile numbers go through every mode in which something noised leaves, on data with and without one
record, or one person. Either both answers are the same error, or both are finite and the exact sums
behind them are no further apart than the bound.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from clients.answering.noised import contributions, levels_of, release_of
from clients.answering.policy import Policy
from clients.answering.private_records import PrivateRecords
from clients.answering.trainer_view import TrainerView
from clients.answering.vault import Vault, VaultStorage
from mycroft_fl.errors import BadMessage
from mycroft_fl.examples import Examples
from mycroft_fl.models.networks import build
from mycroft_fl.models.weights import flat_head, flat_weights
from mycroft_fl.modes import MODES
from mycroft_fl.privacy import sgd
from mycroft_fl.privacy.noise import mechanisms
from mycroft_fl.privacy.noise.mechanisms import UNITS, exact_sum
from mycroft_fl.privacy.noise.samplers import simulated
from mycroft_fl.protocol.messages import NoisedTarget, Request
from mycroft_fl.protocol.request_checks import MAX_RATE
from mycroft_fl.protocol.wire import pack_report, pack_request, unpack_request

CLASSES, WIDTH, N = 3, 4, 9
LARGEST = float(np.finfo(np.float32).max)
NASTY = (
    0.0, -0.0, 1.0, -1.0, 1e-45, -1e-45, 1.2e-38, 1e-20, 1e4, -1e6, 1e19, -1.9e19, 1e30, -1e30,
    LARGEST, -LARGEST,
)  # fmt: skip
ASKED = ("score", "by class", "gradient", "dp-sgd", "raw-gumbel")
POLICY = Policy(
    modes=("score", "gradient", "dp-sgd"),
    epsilon=50.0,
    delta=1e-5,
    answers=2,
    sample_rate=0.5,
    sgd_steps=4,
    clip=1.0,
)


@dataclass(frozen=True, eq=False)
class Neighbours:
    """An owner's data, the same without the records of one unit, and whose each is."""

    examples: Examples
    persons: np.ndarray | None
    unit: np.ndarray

    @property
    def rest(self) -> np.ndarray:
        return np.setdiff1d(np.arange(len(self.examples)), self.unit)

    def of(self, rows: np.ndarray) -> tuple[Examples, np.ndarray | None]:
        return self.examples[rows], None if self.persons is None else self.persons[rows]

    @property
    def both(self) -> tuple[tuple[Examples, np.ndarray | None], ...]:
        return self.of(np.arange(len(self.examples))), self.of(self.rest)


def neighbours(record: np.ndarray, label: int, by_person: bool, seed: int = 0) -> Neighbours:
    """Eight ordinary records and a hostile one; where units are persons, three are of its person."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(N, WIDTH)).astype(np.float32)
    x[-1] = record
    y = np.append(rng.integers(0, CLASSES, N - 1), label)
    if not by_person:
        return Neighbours(Examples(x, y), None, np.array([N - 1]))
    persons = np.array(["a", "b", "c", "c", "d", "d", "anna", "anna", "anna"])
    return Neighbours(Examples(x, y), persons, np.array([N - 3, N - 2, N - 1]))


def request(mode: str, model: str = "mlp", **changed: Any) -> Request:
    """As it comes over the network: what the wire does not let through is no attack."""
    rng = np.random.default_rng(5)
    # Alike, so that they agree, and with nothing where the hostile record has its number.
    x = rng.normal(1, 0.1, size=(6, WIDTH)).astype(np.float32)
    x[:, 0] = 0
    hard = Examples(x, np.ones(6, np.int64))
    plain = {
        "server_round": 1, "method": "features", "k": 1, "hard": hard, "num_classes": CLASSES,
        "model": model, "weights": flat_weights(build(model, (WIDTH,), CLASSES, seed=0)),
        "feature_space": "pixels", "owner_epochs": 1, "seed": 0,
        "mode": "score" if mode == "by class" else mode,
        "score_by": "class" if mode == "by class" else "hard-set",
        "rate": 0.1 if mode == "dp-sgd" else 0.0,
    }  # fmt: skip
    return unpack_request(pack_request(Request(**(plain | changed))))


def outcome(of: Any) -> Any:
    """What comes of it: a value, or the error that a trainer would see, by kind and text."""
    try:
        return of()
    except Exception as error:
        return f"{type(error).__name__}: {error}"


@contextmanager
def first_sums() -> Iterator[list[np.ndarray]]:
    """The exact sums behind an answer, every unit in every batch."""
    found: list[np.ndarray] = []
    plain = mechanisms.exact_sum

    def noted(rows: Any, bound: Fraction, **rest: Any) -> np.ndarray:
        found.append(plain(rows, bound, **rest))
        return found[-1]

    def everybody(size: int, chance: Fraction, noise: Any) -> np.ndarray:
        return np.ones(size, bool)

    with patch.object(mechanisms, "exact_sum", noted), patch.object(sgd, "coins", everybody):
        yield found


def summed(asked: Request, data: tuple[Examples, np.ndarray | None]) -> Any:
    """The answer and the exact sum at its beginning, or an error."""
    examples, persons = data

    def answer() -> tuple[np.ndarray, np.ndarray]:
        release = release_of(TrainerView.of(asked, examples), examples, POLICY, persons)
        with first_sums() as sums:
            output = release.draw(simulated(1))
        assert 0 < output.sigma < 1e30
        return output.values, sums[0]

    return outcome(answer)


def check(asked: Request, data: Neighbours) -> bool:
    """The gate itself. Whether there was an answer, and not an error."""
    if asked.mode == "raw-gumbel":
        there, alone = (
            outcome(lambda d=each: levels_of(TrainerView.of(asked, d[0]), d[0]))
            for each in data.both
        )
        if isinstance(there, str) or isinstance(alone, str):
            assert there == alone
            assert there.startswith("BadMessage")
            return False
        assert np.array_equal(there[data.rest], alone)
        return True
    there, alone = (summed(asked, each) for each in data.both)
    if isinstance(there, str) or isinstance(alone, str):
        assert there == alone
        assert there.startswith("BadMessage")
        return False
    for values, _ in (there, alone):
        assert (np.abs(values) < 1e30).all()
    bound = mechanisms_bound(asked)
    moved = (there[1].astype(object) - alone[1].astype(object)) ** 2
    assert int(moved.sum()) <= bound * UNITS**2
    return True


def mechanisms_bound(asked: Request) -> Fraction:
    return Fraction(5, 4) if asked.mode == "score" else Fraction(POLICY.clip) ** 2


nasty = st.sampled_from(NASTY) | st.floats(width=32, allow_nan=False, allow_infinity=False)


def vectors(size: int) -> st.SearchStrategy[np.ndarray]:
    return st.lists(nasty, min_size=size, max_size=size).map(lambda v: np.array(v, np.float32))


def spoiled(plain: np.ndarray, seed: int, values: list[float]) -> np.ndarray:
    """A vector with hostile numbers in it, some, most or all of them."""
    rng, found = np.random.default_rng(seed), plain.copy()
    places = rng.choice(plain.size, rng.integers(1, plain.size + 1), replace=False)
    found.flat[places] = rng.choice(np.array(values, np.float32), len(places))
    return found


@st.composite
def requests(draw: st.DrawFn) -> Request:
    mode, model = draw(st.sampled_from(ASKED)), draw(st.sampled_from(["linear", "mlp"]))
    seed = draw(st.integers(0, 2**32))
    changed: dict[str, Any] = {}
    network = build(model, (WIDTH,), CLASSES, seed=0)
    values = st.lists(nasty, min_size=1, max_size=4)
    if draw(st.booleans()):
        changed["weights"] = spoiled(flat_weights(network), seed, draw(values))
    if mode in ("gradient", "dp-sgd") and draw(st.booleans()):
        changed["head"] = spoiled(flat_head(network), seed, draw(values))
    if mode == "gradient" and draw(st.booleans()):
        columns = network.head.in_features + 1
        plain = np.eye(draw(st.integers(1, min(6, columns))), columns, dtype=np.float32)
        changed["whitening"] = spoiled(plain, seed, draw(values))
    if mode == "dp-sgd":
        changed["rate"] = draw(st.floats(1e-300, MAX_RATE))
    if draw(st.booleans()):
        x = np.stack([draw(vectors(WIDTH)) for _ in range(4)])
        changed["hard"] = Examples(x, np.array([0, 1, 1, 2]))
    elif mode != "by class" and draw(st.booleans()):
        direction = spoiled(flat_head(network), seed, draw(values)).clip(-1e9, 1e9)
        assume(np.abs(direction).max() > 0)
        changed["target"] = NoisedTarget(
            direction, draw(st.floats(5e-324, 1e308)), draw(st.floats(5e-324, 1e308)), 5
        )
        changed["hard"] = Examples(np.zeros((0, WIDTH), np.float32), np.zeros(0, np.int64))
    return request(mode, model, **changed)


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(requests(), vectors(WIDTH), st.integers(0, CLASSES - 1), st.booleans())
def test_a_request_of_any_numbers_shows_no_more_of_a_unit_than_its_bound(
    asked: Request, record: np.ndarray, label: int, by_person: bool
) -> None:
    check(asked, neighbours(record, label, by_person))


def _first_input(value: float, model: str = "linear") -> np.ndarray:
    """Weights by which one input alone, times `value`, is what the next layer sees."""
    network = build(model, (WIDTH,), CLASSES, seed=0)
    weights = flat_weights(network)
    weights[:] = 0.01
    weights[0] = value
    return weights


FAR = np.array([LARGEST, 0, 0, 0], np.float32)
HUGE_EYE = np.eye(5, dtype=np.float32) * LARGEST
KNOWN: dict[str, dict[str, Any]] = {
    "a logit that overflows": {"weights": _first_input(LARGEST)},
    "a logit that overflows below": {"weights": _first_input(-LARGEST)},
    "a hidden layer that overflows": {"model": "mlp", "weights": _first_input(LARGEST, "mlp")},
    "a head that overflows": {"head": np.full(15, LARGEST, np.float32)},
    "heads of both signs": {"head": np.resize([LARGEST, -LARGEST], 15).astype(np.float32)},
    "a head of denormals": {"head": np.full(15, 1e-45, np.float32)},
    "a rate without end": {"rate": MAX_RATE},
    "a huge whitening": {"whitening": HUGE_EYE},
    "a whitening that cancels": {"whitening": HUGE_EYE[:1] - HUGE_EYE[1:2]},
    "a whitening of denormals": {"whitening": np.full((2, 5), 1e-45, np.float32)},
    "hard examples far out": {"hard": Examples(np.tile(FAR, (3, 1)), np.array([0, 1, 2]))},
    "hard examples of nothing": {
        "hard": Examples(np.zeros((3, WIDTH), np.float32), np.array([0, 1, 2]))
    },
}


@pytest.mark.parametrize("by_person", [False, True], ids=["record", "person"])
@pytest.mark.parametrize("mode", ASKED)
@pytest.mark.parametrize("name", KNOWN)
def test_a_known_attack_shows_no_more_of_a_unit_than_its_bound(
    name: str, mode: str, by_person: bool
) -> None:
    changed = {"model": "linear", **KNOWN[name]}
    taken = MODES["score" if mode == "by class" else mode].fields
    foreign = {"head", "rate", "whitening"} & set(changed) - set(taken)
    if foreign:
        with pytest.raises(BadMessage, match=f"takes no {foreign.pop()}"):
            request(mode, **changed)
        return
    asked = request(mode, **changed)
    for label, record in enumerate((FAR, -FAR, np.full(WIDTH, LARGEST))):
        answered = check(asked, neighbours(record, label, by_person))
        # Gradients that overflow agree on nothing, whatever the owner holds.
        assert answered == (name != "hard examples far out")


@pytest.mark.parametrize("scale", [5e-324, 1e-300, 1e308])
@pytest.mark.parametrize("clip", [5e-324, 1.0, 1e308])
@pytest.mark.parametrize("mode", ["score", "gradient", "dp-sgd", "raw-gumbel"])
def test_a_target_of_any_scale_and_clip_shows_no_more_of_a_unit_than_its_bound(
    scale: float, clip: float, mode: str
) -> None:
    nothing = Examples(np.zeros((0, WIDTH), np.float32), np.zeros(0, np.int64))
    direction = np.resize([1e9, -1e9, 1e-45], 15).astype(np.float32)
    output = NoisedTarget(direction, scale, clip, 5)
    asked = request(mode, "linear", hard=nothing, target=output, weights=_first_input(LARGEST))
    check(asked, neighbours(FAR, 1, by_person=False))


@pytest.mark.parametrize("mode", ["score", "gradient", "dp-sgd"])
@pytest.mark.parametrize("name", ["a logit that overflows", "a hidden layer that overflows"])
@pytest.mark.parametrize("by_person", [False, True], ids=["record", "person"])
def test_a_vault_answers_alike_with_a_unit_whose_numbers_overflow_and_without_it(
    mode: str, name: str, by_person: bool, tmp_path: Path
) -> None:
    asked = request(mode, **{"model": "linear", **KNOWN[name]})
    answers = []
    data = neighbours(FAR, 1, by_person)
    for place, (examples, persons) in enumerate(data.both):
        storage = VaultStorage(tmp_path / str(place), noise_for=lambda digest: simulated(0))
        vault = Vault("owner", PrivateRecords(examples, persons), POLICY, storage)
        report = vault.answer(asked)
        assert report.statistic is not None
        pack_report(report)
        answers.append(report)
        assert (np.abs(report.statistic.values) < 1e30).all()
    assert answers[0].card == answers[1].card
    assert answers[0].statistic.sigma == answers[1].statistic.sigma


@pytest.mark.parametrize("mode", ["score", "gradient", "dp-sgd"])
def test_what_an_owners_file_asks_for_fails_alike_on_any_data(mode: str, tmp_path: Path) -> None:
    # A clip and noise that no record can be summed with: an error, with records and without.
    data, found = neighbours(FAR, 1, by_person=False), []
    for policy in (replace(POLICY, clip=1e6), replace(POLICY, epsilon=1e-3, delta=0.5)):
        for rows in (np.arange(N), np.arange(0)):
            examples, _ = data.of(rows)

            def answer(output: Policy = policy, held: Examples = examples) -> np.ndarray:
                release = release_of(TrainerView.of(request(mode, "linear"), held), held, output)
                return release.draw(simulated(0)).values.shape

            found.append(outcome(answer))
    assert found[0] == found[1]
    assert found[2] == found[3]


def test_sums_with_and_without_a_unit_are_compared_and_a_doubled_row_is_seen() -> None:
    # The gate must be able to fail.
    asked, data = request("score", "linear"), neighbours(FAR * 0, 1, by_person=False)
    added = contributions(TrainerView.of(asked, data.examples), data.examples, POLICY.clip)
    rows = np.asarray(added.rows[:])
    doubled = np.vstack([rows, rows[-1:]])
    whole, alone = (exact_sum(each, added.bound_squared) for each in (doubled, rows[:-1]))
    assert int(((whole - alone).astype(object) ** 2).sum()) > added.bound_squared * UNITS**2 / 2
