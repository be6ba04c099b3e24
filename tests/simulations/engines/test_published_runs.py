"""Whole runs that publish: scores with noise, and a model for its users, each with its card."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mycroft_fl.errors import SettingError
from mycroft_fl.privacy import sgd
from mycroft_fl.privacy.spending.ledger import PrivacyLedger
from mycroft_fl.report.run.summary import summary
from simulations.engines.run import run
from simulations.setup.simulation import Simulation
from strategies.runs.folder import RunFolder
from strategies.runs.publisher import Publisher
from strategies.training.trainer import Trainer

DIGITS = (Path(__file__).parents[2] / "scenarios" / "digits.toml").read_text()
SCENARIO = (
    DIGITS
    + """
[[owners]]
name = "a"
holds = { rotated = 120 }
[[owners]]
name = "b"
holds = { upright = 120 }
[run]
budget = 60
pilot-per-owner = 20
fit.epochs = 8
fine-tune.steps = 30
scoring.repeats = 1
num-rounds = 2
"""
)


def result_of(folder: Path, **settings: Any) -> dict[str, Any]:
    file = folder / "small.toml"
    file.write_text(SCENARIO)
    given = {key.replace("_", "-"): each for key, each in settings.items()}
    simulation = Simulation.load(str(file), given, folder / "run", engine="in-process")
    simulation.check()
    RunFolder.prepared(folder / "run", force=False)
    return run(simulation)


def published(folder: Path) -> list[dict[str, Any]]:
    output: list[dict[str, Any]] = json.loads((folder / "run" / "published.json").read_text())
    return output


def test_scores_are_published_with_noise_and_charged_in_the_trainers_own_ledger(
    tmp_path: Path,
) -> None:
    result = result_of(tmp_path, publish_epsilon=1000.0, stop_early=False)
    # Whom the second round asks hangs on the scores of the first: it is not published.
    assert len(result["rounds"]) == 2
    [release] = published(tmp_path)
    assert (release["what"], release["round"]) == ("scores", 1)
    assert set(release["scores"]) == {"a", "b"}
    assert release["ranking"][0] == "a"
    [row] = PrivacyLedger(tmp_path / "run" / "published" / "scores.sqlite").rows()
    assert row.rho > 0
    card = next(each for each in result["privacy"] if each["owner"] == "(trainer)")
    assert card["unit"] == "record of the scoring split"
    assert card["noise"] == "SIMULATED"
    assert 0 < card["epsilon"] <= 1000
    assert "per record of the scoring split, toward whoever reads" in summary(result)


def test_where_all_are_asked_alike_every_round_is_published_within_epsilon(tmp_path: Path) -> None:
    settings = {"allocation": "equal", "stop_early": False, "publish_unit": "owner-record"}
    result = result_of(tmp_path, publish_epsilon=2.0, **settings)
    assert [each["round"] for each in published(tmp_path)] == [1, 2]
    cards = [each for each in result["privacy"] if each["owner"] == "(trainer)"]
    assert cards[-1]["epsilon_total"] == pytest.approx(2.0, rel=0.01)
    assert cards[-1]["epsilon_total"] <= 2.0
    assert all(each["unit"] == "record of an owner's subset" for each in cards)


def test_nothing_is_published_unless_set(tmp_path: Path) -> None:
    result = result_of(tmp_path)
    assert not (tmp_path / "run" / "published.json").exists()
    assert not (tmp_path / "run" / "models" / "published.safetensors").exists()
    assert all(each["owner"] != "(trainer)" for each in result["privacy"])


def test_a_model_for_its_users_is_trained_with_noise_and_helps_where_there_is_little_of_it(
    tmp_path: Path,
) -> None:
    from mycroft_fl.models.fitting import accuracy
    from mycroft_fl.models.networks import build
    from mycroft_fl.models.weights import flat_weights, loaded

    result = result_of(tmp_path, publish_model_epsilon=1000.0)
    models = tmp_path / "run" / "models"
    baseline, model = (
        loaded(build("mlp", (1, 8, 8), 10, seed=0), models / f"{name}.safetensors")
        for name in ("baseline", "published")
    )
    assert not np.array_equal(flat_weights(baseline), flat_weights(model))
    world = Simulation.load(str(tmp_path / "small.toml"), {}, tmp_path / "x").world
    assert accuracy(model, world.trainer("test")) > accuracy(baseline, world.trainer("test"))
    [card] = [each for each in result["privacy"] if each["owner"] == "(trainer)"]
    assert card["unit"] == "acquired example"
    assert 0 < card["epsilon"] <= 1000
    assert len(card["taints"]) == 1  # simulated, and nothing else


def publisher_of(folder: Path, **given: Any) -> Publisher:
    file = folder / "small.toml"
    file.write_text(SCENARIO)
    setup = Simulation.load(str(file), given, folder / "run", engine="in-process").trainer_setup()
    return Publisher(Trainer(setup.task, setup.data, setup.config), folder / "published")


def test_whoever_answered_the_roll_has_a_published_score_with_gains_or_without(
    tmp_path: Path,
) -> None:
    publisher = publisher_of(tmp_path, **{"publish-epsilon": 1.0})
    publisher.publish_scores(1, ["b", "a", "silent"])
    [release] = publisher.releases
    assert set(release["scores"]) == {"a", "b", "silent"}
    assert all(release["scores"].values())  # noise alone, and never an exact nothing


def test_how_far_a_published_models_steps_go_hangs_on_the_budget_and_not_on_what_was_acquired(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher, seen = publisher_of(tmp_path, **{"publish-model-epsilon": 4.0}), []

    def noted(head: Any, records: Any, run: sgd.HeadRun, noise: Any) -> np.ndarray:
        seen.append(run)
        return before(head, records, run, noise)

    before = sgd.head_delta
    monkeypatch.setattr(sgd, "head_delta", noted)
    scoring = publisher._trainer.splits.scoring
    publisher.publish_model(scoring[:5])
    another = Publisher(publisher._trainer, tmp_path / "another")
    another.publish_model(scoring[:20])
    assert seen[0] == seen[1]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mode": "score", "publish_epsilon": 1.0}, "carry the owners' noise already"),
        ({"mode": "gradient", "publish_model_epsilon": 1.0}, "acquires none"),
    ],
)
def test_what_cannot_be_published_is_refused_before_the_start(
    tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    file = tmp_path / "small.toml"
    file.write_text(SCENARIO)
    given = {key.replace("_", "-"): each for key, each in settings.items()} | {
        "policy.epsilon": 1.0
    }
    simulation = Simulation.load(str(file), given, tmp_path / "run", engine="in-process")
    with pytest.raises(SettingError, match=message):
        simulation.check()
