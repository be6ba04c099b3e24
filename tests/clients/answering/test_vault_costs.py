"""What an answer costs: paid before a record is read, whatever comes of it, and bounded by the task."""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clients.answering import vault as vault_module
from clients.answering.policy import Policy
from clients.answering.private_records import PrivateRecords
from clients.answering.selecting import Selector
from clients.answering.trainer_limits import TrainerLimits
from clients.answering.vault import Vault, VaultStorage
from mycroft_fl.data.task import Task
from mycroft_fl.errors import BadMessage, MycroftError, Refused
from mycroft_fl.examples import Examples
from mycroft_fl.models.networks import build
from mycroft_fl.models.weights import flat_weights
from mycroft_fl.privacy.spending.ledger import PrivacyLedger
from mycroft_fl.protocol.messages import NoisedTarget, Request

CLASSES, SHAPE = 3, (5,)
WEIGHTS = flat_weights(build("mlp", SHAPE, CLASSES, seed=0))
TASK = Task(("a", "b", "c"), SHAPE, np.dtype(np.float32), "mlp")
NOISED = Policy(
    modes=("raw", "raw-gumbel", "score", "gradient", "dp-sgd"),
    epsilon=1.0, delta=1e-5, answers=2, epsilon_minus=0.5, records_at_least=1000, strength=1.0,
)  # fmt: skip
MODES = ("score", "gradient", "dp-sgd", "raw-gumbel")


def drawn(n: int, seed: int = 0) -> Examples:
    rng = np.random.default_rng(seed)
    return Examples(rng.normal(size=(n, *SHAPE)).astype(np.float32), rng.integers(0, CLASSES, n))


HELD = drawn(1000)


def request(**changed: Any) -> Request:
    plain: dict[str, Any] = {
        "server_round": 1, "method": "omp", "k": 2, "hard": drawn(6, seed=99),
        "num_classes": CLASSES, "model": "mlp", "weights": WEIGHTS, "feature_space": "pixels",
        "owner_epochs": 1, "seed": 0, "rate": 0.1,
    }  # fmt: skip
    return Request(**(plain | changed))


def vault_of(folder: Path, policy: Policy = NOISED, held: Examples = HELD) -> Vault:
    return Vault("owner", PrivateRecords(held), policy, VaultStorage(folder), task=TASK)


def rows(folder: Path) -> list[Any]:
    return PrivacyLedger(folder / "ledger.sqlite").rows()


# Paid before a record is read


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, int]]:
    """Each look at records: what was done, at how many, and how many charges there were by then."""
    looks: list[tuple[str, int, int]] = []
    ledgers: list[PrivacyLedger] = []
    opened = PrivacyLedger.__init__

    def open_and_note(ledger: PrivacyLedger, *given: Any, **more: Any) -> None:
        opened(ledger, *given, **more)
        ledgers.append(ledger)

    def watch(name: str, real: Callable, records: int) -> Callable:
        def watching(*given: Any, **more: Any) -> Any:
            looks.append((name, len(given[records]), len(ledgers[0].rows())))
            return real(*given, **more)

        return watching

    monkeypatch.setattr(PrivacyLedger, "__init__", open_and_note)
    for name in ("release_of", "levels_of"):
        monkeypatch.setattr(vault_module, name, watch(name, getattr(vault_module, name), 1))
    return looks


@pytest.mark.parametrize("mode", MODES)
def test_no_record_is_looked_at_before_the_ledger_was_charged(
    mode: str, tmp_path: Path, watched: list
) -> None:
    vault_of(tmp_path).answer(request(mode=mode))
    assert [charges for _, records, charges in watched if records] == [1]
    assert {records for _, records, _ in watched} == {0, len(HELD)}


@pytest.mark.parametrize("mode", MODES)
def test_a_refused_request_is_computed_on_nothing_at_all(
    mode: str, tmp_path: Path, watched: list
) -> None:
    vault = vault_of(tmp_path, replace(NOISED, max_requests=0))
    with pytest.raises(Refused, match="all 0 requests that are answered over all trainers"):
        vault.answer(request(mode=mode))
    assert watched == []
    assert rows(tmp_path) == []


@pytest.mark.parametrize("mode", MODES)
def test_a_malformed_request_is_found_out_before_it_is_paid_and_before_a_look(
    mode: str, tmp_path: Path, watched: list
) -> None:
    target = NoisedTarget(np.ones(7, np.float32), 1.0, 1.0, 4)
    empty = Examples(np.empty((0, *SHAPE), np.float32), np.empty(0, np.int64))
    wrong: tuple[dict[str, Any], ...] = (
        {"weights": WEIGHTS[:-1]}, {"weights": None}, {"target": target, "hard": empty},
        {"weights": np.zeros_like(WEIGHTS), "hard": drawn(6)[np.zeros(0, np.int64)]},
    )  # fmt: skip
    if mode in ("gradient", "dp-sgd"):
        wrong += ({"head": np.ones(4, np.float32)},)
    if mode == "gradient":
        wrong += ({"whitening": np.ones((2, 4), np.float32)},)
    for changed in wrong:
        with pytest.raises(MycroftError):
            vault_of(tmp_path).answer(request(mode=mode, **changed))
    assert {records for _, records, _ in watched} <= {0}
    assert rows(tmp_path) == []


# Negative answers


def test_asking_whether_a_record_is_there_ends_with_the_records_that_may_leave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Selector, "choose", lambda *_: np.empty(0, np.int64))
    vault, answered = vault_of(tmp_path, Policy(max_records=5)), 0
    for place in range(1, 171):
        try:
            answer = vault.answer(request(mode="raw", server_round=place))
        except Refused:
            continue
        assert answer.card is not None
        assert (answer.card.records, answer.card.records_total) == (0, 0)
        answered += 1
    assert answered == 5
    with pytest.raises(Refused, match="all 5 records that may leave over all trainers have left"):
        vault.answer(request(mode="raw", server_round=171))


def test_a_choice_that_fails_once_it_has_looked_is_no_free_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> np.ndarray:
        raise BadMessage("looked, and fell")

    monkeypatch.setattr(Selector, "choose", fails)
    vault, output = vault_of(tmp_path, Policy(max_records=3)), []
    for place in range(1, 9):
        try:
            vault.answer(request(mode="raw", server_round=place))
        except MycroftError as error:
            output.append(type(error))
    assert output == [BadMessage] * 3 + [Refused] * 5
    assert [row.records for row in rows(tmp_path)] == [1, 1, 1]


def test_a_raw_request_that_is_malformed_costs_nothing_since_no_record_was_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def looked(*_: Any) -> np.ndarray:
        raise AssertionError("a record was read")

    monkeypatch.setattr(Selector, "choose", looked)
    vault = vault_of(tmp_path, Policy(max_records=3))
    for changed in ({"weights": WEIGHTS[:-1]}, {"model": "resnet"}, {"num_classes": 4}):
        with pytest.raises(BadMessage):
            vault.answer(request(mode="raw", **changed))
    assert rows(tmp_path) == []


def test_one_trainers_limits_end_its_asking_and_nobody_elses(tmp_path: Path) -> None:
    trainers = (TrainerLimits("lab", max_records=3, max_requests=2), TrainerLimits("clinic"))
    vault = vault_of(tmp_path, Policy(max_records=50, trainers=trainers))

    def output(peer: str, server_round: int) -> int | str:
        try:
            asked = request(mode="raw", method="random", server_round=server_round)
            return len(vault.answer(asked, peer).disclosed)
        except Refused as refusal:
            return str(refusal)

    # Never more than its own limit, though a request asks for more and all together have more.
    assert [output("lab", each) for each in (1, 2)] == [2, 1]
    assert output("lab", 3) == "all 3 records that may leave for this trainer have left"
    assert output("clinic", 1) == 2


# Bound by the task


@pytest.mark.parametrize("mode", ["raw", *MODES])
def test_classes_beyond_the_task_cost_no_memory(mode: str, tmp_path: Path) -> None:
    vault = vault_of(tmp_path)
    asked = request(mode=mode, num_classes=400_000, weights=None)
    tracemalloc.start()
    try:
        with pytest.raises(BadMessage, match="400000 classes; this owner's task has 3"):
            vault.answer(asked)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_without_a_task_classes_are_bounded_too(tmp_path: Path) -> None:
    vault = Vault("owner", PrivateRecords(HELD), NOISED, tmp_path)
    with pytest.raises(BadMessage, match="1001 classes; at most 1000"):
        vault.answer(request(num_classes=1001))


@pytest.mark.parametrize(
    ("model", "numbers"), [("mlp", 5 * 256 + 256 + 256 * 3 + 3), ("linear", 5 * 3 + 3)]
)
def test_a_model_is_measured_before_it_is_built(
    model: str, numbers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = flat_weights(build(model, SHAPE, CLASSES, seed=0))
    assert len(weights) == numbers
    asked = request(model=model, weights=weights)
    enough = replace(NOISED, max_model=numbers)
    assert vault_of(tmp_path / "a", enough).answer(asked).disclosed is not None
    # Of an image of 2^28 pixels the first layer alone has 2^36 numbers.
    with pytest.raises(Refused, match=f"model '{model}' has {numbers} numbers; at most"):
        vault_of(tmp_path / "b", replace(NOISED, max_model=numbers - 1)).answer(asked)


def test_a_policy_that_changed_while_a_vault_runs_bounds_its_models_too(tmp_path: Path) -> None:
    vault = vault_of(tmp_path)
    vault.answer(request())
    vault.adopt(replace(NOISED, max_model=10))
    with pytest.raises(Refused, match="model 'mlp' has 2307 numbers; at most 10"):
        vault.answer(request(server_round=2))


def test_a_task_of_huge_examples_builds_no_huge_model(tmp_path: Path) -> None:
    shape = (1 << 28,)
    nothing = Examples(np.empty((0, *shape), np.float32), np.empty(0, np.int64))
    task = replace(TASK, shape=shape)
    policy = Policy(modes=("score",), epsilon=1.0)
    vault = Vault("owner", PrivateRecords(nothing), policy, VaultStorage(tmp_path), task=task)
    with pytest.raises(Refused, match="model 'mlp' has 68719477763 numbers; at most 100000000"):
        vault.answer(request(hard=nothing, mode="score"))


# Cards


def test_a_card_counts_every_mode_of_its_trainer_and_tells_nothing_of_another(
    tmp_path: Path,
) -> None:
    policy = replace(NOISED, max_records=200)
    vault = vault_of(tmp_path, policy)
    vault.answer(request(mode="raw"), "other")
    gumbel = vault.answer(request(mode="raw-gumbel"), "lab").card
    score = vault.answer(request(mode="score"), "lab").card
    assert gumbel is not None
    assert score is not None
    assert (score.raw, score.records, score.records_total) == (False, 0, 2)
    minus, epsilon = score.epsilon_minus_total, score.epsilon_total
    assert minus == gumbel.epsilon_minus_total > 0
    assert score.together() == (
        "In all, this trainer was given 2 records in full. Of any other record, all its answers "
        f"together tell at most epsilon {epsilon + minus:.3g} at delta 1e-05: {epsilon:.3g} by noised "
        f"numbers, {minus:.3g} by the choice of drawn examples. That it was itself among those drawn "
        f"had a chance of at most {1 - math.exp(-minus):.3g}."
    )
    raw = vault.answer(request(mode="raw", server_round=2), "lab").card
    assert raw is not None
    assert raw.together().startswith("In all, this trainer was given 4 records in full. Some were")
    alone = vault_of(tmp_path / "alone", policy)
    alone.answer(request(mode="raw-gumbel"), "lab")
    # The other trainer's answer took records away, and the card says nothing of it.
    assert alone.answer(request(mode="score"), "lab").card == score
