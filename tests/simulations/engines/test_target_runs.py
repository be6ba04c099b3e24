"""Whole runs with a noised target: no hard example leaves, one charge, its card in the result."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mycroft_fl.errors import Refused, SettingError
from mycroft_fl.privacy.spending.ledger import PrivacyLedger
from mycroft_fl.protocol.messages import Request
from mycroft_fl.report.run.summary import summary
from mycroft_fl.selection.methods import METHODS
from simulations.engines.run import run
from simulations.setup.simulation import Simulation
from strategies.rounds.run_state import Progress
from strategies.runs.folder import RunFolder
from strategies.runs.publisher import Publisher
from strategies.training.trainer import Trainer

DIGITS = (Path(__file__).parents[2] / "scenarios" / "digits.toml").read_text()
SCENARIO = (
    DIGITS
    + """
[[owners]]
name = "a"
holds = { rotated = 60, upright = 140 }
[[owners]]
name = "b"
holds = { upright = 200 }
[run]
method = "omp-whole"
request = "target"
budget = 60
pilot-per-owner = 20
fit.epochs = 8
fine-tune.steps = 30
scoring.repeats = 1
num-rounds = 2
"""
)


def simulation_of(folder: Path, given: dict[str, Any]) -> Simulation:
    folder.mkdir(exist_ok=True)
    file = folder / "small.toml"
    file.write_text(SCENARIO)
    return Simulation.load(str(file), given, folder / "run", engine="in-process")


def result_of(folder: Path, **given: Any) -> dict[str, Any]:
    settings = {key.replace("__", ".").replace("_", "-"): each for key, each in given.items()}
    simulation = simulation_of(folder, settings)
    simulation.check()
    RunFolder.prepared(folder / "run", force=False)
    return run(simulation)


def owners_of(result: dict[str, Any]) -> dict[str, Any]:
    return {each["owner"]: each for each in result["owners"]}


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[Request]:
    """Every request that the trainer makes."""
    made, before = [], Progress.request

    def kept(self: Progress, *args: Any, **brings: Any) -> Request:
        made.append(before(self, *args, **brings))
        return made[-1]

    monkeypatch.setattr(Progress, "request", kept)
    return made


def test_owners_choose_by_the_target_and_no_hard_example_leaves(
    tmp_path: Path, requests: list[Request]
) -> None:
    result = result_of(
        tmp_path, method="gradient-neighbours", hard_set__sent=64, target__epsilon=8.0
    )
    assert len(requests) >= 1
    assert all(len(request.hard) == 0 for request in requests)
    targets = [request.target for request in requests]
    assert targets[0] is not None
    assert targets[0].stands_for == 64
    assert all(each is targets[0] for each in targets)
    owner = owners_of(result)["a"]
    assert owner["disclosed"] >= 20
    assert owner["disclosed_groups"]["rotated"] > 1.5 * 0.3 * owner["disclosed"]


def test_it_is_charged_once_in_the_trainers_ledger_and_has_a_card(tmp_path: Path) -> None:
    result = result_of(tmp_path, target__epsilon=4.0, target__delta=1e-6)
    [row] = PrivacyLedger(tmp_path / "run" / "published" / "target.sqlite").rows()
    assert row.mode == "publish-target"
    [card] = [each for each in result["privacy"] if each["owner"] == "(trainer)"]
    assert card["unit"] == "hard example"
    assert card["mode"] == "publish-target"
    assert card["delta"] == 1e-6
    assert card["epsilon"] == card["epsilon_total"] == pytest.approx(4.0, rel=0.01)
    assert card["epsilon"] <= 4.0
    assert card["rho"] == row.rho
    assert card["noise"] == "SIMULATED"
    assert "SIMULATED" in " ".join(card["taints"])
    assert "per hard example, toward the owners that are asked" in summary(result)
    [release] = json.loads((tmp_path / "run" / "published.json").read_text())
    assert release["what"] == "target"


def test_as_noise_goes_to_0_owners_give_what_they_give_for_the_hard_set(tmp_path: Path) -> None:
    alike = {"pilot_per_owner": 16, "num_rounds": 1, "train_on_hard_set": False}
    quiet = {"target__epsilon": 1e12, "target__clip": 100.0}
    result_of(tmp_path / "target", **alike, **quiet)
    result_of(tmp_path / "hard", request="hard-set", **alike)
    output = [np.load(tmp_path / each / "run" / "acquired.npz") for each in ("target", "hard")]
    assert set(output[0].files) == set(output[1].files)
    assert all(np.array_equal(output[0][name], output[1][name]) for name in output[0].files)


def test_a_score_by_the_target_ranks_owners_and_no_example_moves(tmp_path: Path) -> None:
    result = result_of(
        tmp_path, mode="score", method="omp", target__epsilon=16.0, hard_set__sent=64,
        policy__epsilon=8.0, policy__delta=1e-5,
    )  # fmt: skip
    assert [each["owner"] for each in result["owners"]] == ["a", "b"]
    assert result["disclosed"] == 0
    assert {each["owner"] for each in result["privacy"]} == {"a", "b", "(trainer)"}


def trainer_of(folder: Path, **given: Any) -> Trainer:
    setup = simulation_of(folder, given).trainer_setup()
    return Trainer(setup.task, setup.data, setup.config)


def test_another_hard_example_changes_nothing_that_owners_see_but_the_target(
    tmp_path: Path,
) -> None:
    trainer = trainer_of(tmp_path)
    subset = {"a": trainer.splits.selection}
    before = trainer.valuation.scores(subset)
    with_less = trainer_of(tmp_path, **{"hard-set.sent": 4})
    assert len(with_less.hard_set.sent) < len(trainer.hard_set.sent)
    assert with_less.valuation.scores(subset) == before
    # Nor do hard examples judge: scores decide whom owners see asked for how much.
    assert len(trainer.valuation.gains["a"]) == len(trainer.splits.scoring)
    # Where the scoring split judges, models have seen the hard set that is sent.
    plain = {"request": "hard-set", "train-on-validation": False}
    shown = [trainer_of(tmp_path, **plain, **{"hard-set.sent": n}) for n in (4, 16)]
    assert shown[0].valuation.scores(subset) != shown[1].valuation.scores(subset)


def test_a_target_stands_for_as_many_as_was_set_and_not_for_as_many_as_there_are(
    tmp_path: Path,
) -> None:
    trainer = trainer_of(tmp_path, **{"hard-set.sent": 500})
    assert len(trainer.hard_set.sent) < 500
    target = Publisher(trainer, tmp_path / "published").publish_target()
    assert target is not None
    assert target.stands_for == 500


def test_asked_again_the_same_target_is_sent_and_nothing_is_charged(tmp_path: Path) -> None:
    trainer = trainer_of(tmp_path)
    first, second = (Publisher(trainer, tmp_path / "published").publish_target() for _ in range(2))
    assert first is not None
    assert second is not None
    assert first.direction.tolist() == second.direction.tolist()
    assert first.scale == second.scale
    assert len(PrivacyLedger(tmp_path / "published" / "target.sqlite").rows()) == 1
    other = Publisher(trainer, tmp_path / "other").publish_target()
    assert other is not None
    assert other.direction.tolist() != first.direction.tolist()


def test_more_epsilon_than_was_set_cannot_be_had_from_the_same_ledger(tmp_path: Path) -> None:
    publisher = Publisher(trainer_of(tmp_path), tmp_path / "published")
    publisher.publish_target()
    book = PrivacyLedger(tmp_path / "published" / "target.sqlite")
    [row] = book.rows()
    from mycroft_fl.privacy.spending.budget import Budget, Limits
    from mycroft_fl.privacy.spending.ledger import Key

    limits = Limits(Budget.of(epsilon=1.0, delta=1e-5))
    with pytest.raises(Refused, match="epsilon"):
        book.charge(Key("trainer", "the public", "another"), row.mode, row.spend, limits)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        *(
            ({"method": name}, f"method '{name}' does not go by request = \"target\"")
            for name, method in METHODS.items()
            if "target" not in method.takes
        ),
        (
            {"method": "omp", "mode": "score-then-raw", "policy.epsilon": 1.0},
            "choose a method from",
        ),
        ({"gradients-from": "owner"}, "the last layer of the trainer's model"),
        ({"gradient-layers": "all"}, "the last layer of the trainer's model"),
    ],
)
def test_what_cannot_be_asked_with_a_target_is_refused_before_the_start(
    tmp_path: Path, given: dict[str, Any], said: str
) -> None:
    simulation = simulation_of(tmp_path, given)
    with pytest.raises(SettingError, match=said) as refusal:
        simulation.check()
    assert "\n" not in str(refusal.value)


def test_the_same_is_refused_where_a_trainer_begins_without_a_check(tmp_path: Path) -> None:
    trainer = trainer_of(tmp_path, method="hard-features")
    with pytest.raises(SettingError, match="method 'hard-features' does not go by"):
        Publisher(trainer, tmp_path / "published")
