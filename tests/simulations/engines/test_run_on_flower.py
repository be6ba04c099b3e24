"""The same run on Flower's engine and in this process: nothing differs that should not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mycroft_fl.errors import NotEnoughOwners
from mycroft_fl.report.run.schema import check_result
from simulations import server_app
from simulations.engines.run import run
from simulations.setup.simulation import Simulation
from strategies.runs.folder import RunFolder

pytestmark = pytest.mark.slow

DIGITS = (Path(__file__).parents[2] / "scenarios" / "digits.toml").read_text()
SCENARIO = (
    DIGITS
    + """
[[owners]]
name = "a"
holds = { rotated = 60, upright = 40 }
[[owners]]
name = "b"
holds = { rotated = 20, upright = 80 }
[[owners]]
name = "f"
copies = 2
holds = { upright = 100 }
[[owners]]
name = "x"
behaviour = "nan"
holds = { upright = 20 }
[[owners]]
name = "y"
behaviour = "raise"
holds = { upright = 20 }
[run]
budget = 60
pilot-per-owner = 6
fit.epochs = 8
fine-tune.steps = 30
scoring.repeats = 2
stop-early = false
"""
)
DIFFERENT = ("engine", "seconds", "environment")
QUICK = {
    "fit.epochs": 5, "fine-tune.steps": 20, "scoring.repeats": 1, "num-rounds": 2,
    "stop-early": False,
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def quietly_on_one_thread():
    before = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server_app, "show_progress", lambda *args, **rest: None)
        yield
    torch.set_num_threads(before)


@pytest.fixture
def scenario(tmp_path) -> str:
    path = tmp_path / "small.toml"
    path.write_text(SCENARIO)
    return str(path)


def on(engine: str, scenario: str, folder: Path, **settings: Any) -> dict[str, Any]:
    simulation = Simulation.load(scenario, settings, folder, engine=engine)
    RunFolder.prepared(folder, force=False)
    return run(simulation)


def comparable(result: dict[str, Any]) -> dict[str, Any]:
    rounds = [{k: v for k, v in each.items() if k != "seconds"} for each in result["rounds"]]
    return {**{k: v for k, v in result.items() if k not in DIFFERENT}, "rounds": rounds}


def assert_identical(folder: Path, ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    for result in (ours, theirs):
        check_result(result)
    assert comparable(ours) == comparable(theirs)
    models = sorted((folder / "in-process" / "models").iterdir())
    assert len(models) >= 6
    for model in models:
        assert model.read_bytes() == (folder / "flower" / "models" / model.name).read_bytes()
    kept = []
    for engine in ("in-process", "flower"):
        with np.load(folder / engine / "acquired.npz", allow_pickle=False) as saved:
            kept.append({name: saved[name].tolist() for name in saved.files})
    assert kept[0] == kept[1]


def test_both_engines_give_the_same_result_and_the_same_models(scenario, tmp_path):
    ours = on("in-process", scenario, tmp_path / "in-process")
    theirs = on("flower", scenario, tmp_path / "flower")
    assert_identical(tmp_path, ours, theirs)
    assert (ours["engine"], theirs["engine"]) == ("in-process", "flower")
    assert ours["rounds"][0]["failed"] == {"x": "malformed", "y": "error"}
    assert len(ours["rounds"]) == 3


def test_the_packaged_scenario_too_cut_down(tmp_path):
    ours = on("in-process", "rotated-digits", tmp_path / "in-process", **QUICK)
    theirs = on("flower", "rotated-digits", tmp_path / "flower", **QUICK)
    assert_identical(tmp_path, ours, theirs)


def test_an_error_of_the_trainers_is_the_same_in_both(scenario, tmp_path):
    output = []
    for engine in ("in-process", "flower"):
        with pytest.raises(NotEnoughOwners) as raised:
            on(engine, scenario, tmp_path / engine, **{"min-owners": 5})
        output.append((type(raised.value), str(raised.value)))
        assert not (tmp_path / engine / "result.json").exists()
    assert output[0] == output[1]
    assert output[0][1].startswith("4 owners answered within 600 s (1 error, 1 malformed), fewer")


def test_the_detail_of_a_failure_stays_in_the_owners_log(scenario, tmp_path):
    on("flower", scenario, tmp_path / "flower", **{"num-rounds": 1})
    owner = tmp_path / "flower" / "owners" / "y"
    assert "this owner fails whenever it is asked" in (owner / "owner.log").read_text()
    assert "this owner fails whenever" not in (tmp_path / "flower" / "flower.log").read_text()
    assert (tmp_path / "flower" / "owners" / "a" / "ledger.sqlite").is_file()
