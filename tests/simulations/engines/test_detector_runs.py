"""Whole runs with a failure detector: no hard example leaves, and stocks divide the budget."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mycroft_fl.errors import DataError, SettingError
from mycroft_fl.protocol.messages import Request
from mycroft_fl.report.run.schema import check_result
from mycroft_fl.selection.methods import METHODS
from simulations.engines.run import run
from simulations.setup.simulation import Simulation
from strategies.rounds.run_state import Progress
from strategies.runs.folder import RunFolder

DIGITS = (Path(__file__).parents[2] / "scenarios" / "digits.toml").read_text()
SCENARIO = (
    DIGITS
    + """
[[owners]]
name = "a"
holds = { rotated = 120, upright = 80 }
[[owners]]
name = "b"
holds = { rotated = 40, upright = 160 }
[[owners]]
name = "c"
holds = { upright = 200 }
[run]
method = "detector-cover"
budget = 60
pilot-per-owner = 10
fit.epochs = 8
fine-tune.steps = 30
scoring.repeats = 1
num-rounds = 3
"""
)
COUNTED = {"mode": "score-then-raw", "policy.epsilon": 20.0, "policy.delta": 1e-5}


def simulation_of(folder: Path, given: dict[str, Any]) -> Simulation:
    folder.mkdir(exist_ok=True)
    file = folder / "small.toml"
    file.write_text(SCENARIO)
    return Simulation.load(str(file), given, folder / "run", engine="in-process")


def result_of(folder: Path, given: dict[str, Any]) -> dict[str, Any]:
    simulation = simulation_of(folder, given)
    simulation.check()
    RunFolder.prepared(folder / "run", force=False)
    result = run(simulation)
    check_result(result)
    return result


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


@pytest.mark.parametrize("given", [{}, COUNTED], ids=["raw", "counted"])
def test_every_request_brings_the_detector_and_no_hard_example(
    tmp_path: Path, requests: list[Request], given: dict[str, Any]
) -> None:
    result = result_of(tmp_path, given)
    assert {len(each.hard) for each in requests} == {0}
    digests = {each.detector.digest for each in requests if each.detector is not None}
    assert len(digests) == 1
    assert {each.brought for each in requests} == {"detector"}
    assert 0 < result["disclosed"] <= 60


def test_in_raw_the_picks_are_of_the_failing_group_and_owners_rank_by_it(tmp_path: Path) -> None:
    owners = owners_of(result_of(tmp_path, {}))
    picked = owners["a"]["disclosed_groups"]
    share = picked.get("rotated", 0) / owners["a"]["disclosed"]
    assert share > 0.75  # 0.6 of what it holds
    assert owners["a"]["rank"] == 1
    for each in owners.values():
        assert each["stock"] is None
        assert each["loss_fall"] is not None
    assert owners["a"]["loss_fall"] > owners["c"]["loss_fall"]


def test_by_counts_owners_rank_and_are_asked_by_their_stock(tmp_path: Path) -> None:
    result = result_of(tmp_path, COUNTED)
    owners = owners_of(result)
    stocks = {name: each["stock"] for name, each in owners.items()}
    assert stocks["a"] > stocks["b"] > stocks["c"] >= 0
    assert owners["a"]["rank"] == 1
    assert result["rounds"][0]["disclosed"] == 0
    for name, each in owners.items():
        assert each["loss_fall"] is None
        assert each["disclosed"] <= stocks[name]
    assert owners["a"]["disclosed"] > owners["c"]["disclosed"]


def test_the_same_seed_gives_the_same_run(tmp_path: Path) -> None:
    first, second = (result_of(tmp_path / name, COUNTED)["owners"] for name in "xy")
    assert first == second


def test_random_picks_may_go_with_a_detector_too(tmp_path: Path, requests: list[Request]) -> None:
    result = result_of(tmp_path, {"method": "random", "request": "detector", "stop-early": False})
    assert {each.brought for each in requests} == {"detector"}
    assert result["disclosed"] == 60


@pytest.mark.parametrize(
    ("given", "said"),
    [
        *(
            (
                {"method": name, "request": "detector"},
                f"method '{name}' does not go by request = \"detector\"",
            )
            for name, method in METHODS.items()
            if "detector" not in method.takes
        ),
        ({"request": "hard-set"}, "'detector-cover' does not go by request = \"hard-set\""),
        ({"request": "target"}, 'or set request = "detector"'),
        ({"gradients-from": "owner"}, "looks through the trainer's model, which stays home"),
        ({**COUNTED, "score.by": "class", "request": "detector"}, "needs hard examples"),
    ],
)
def test_what_cannot_be_asked_with_a_detector_is_refused_before_the_start(
    tmp_path: Path, given: dict[str, Any], said: str
) -> None:
    with pytest.raises(SettingError, match=said) as refusal:
        simulation_of(tmp_path, given).check()
    assert "\n" not in str(refusal.value)


TOO_FEW = {"hard-set.classes": "0", "hard-set.rule": "highest-loss", "fit.epochs": 60}


def test_a_trainer_that_fails_on_too_little_ends_the_run_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "small.toml"
    file.write_text(SCENARIO)
    settings = [
        part for key, value in TOO_FEW.items() for part in ("--set", f"{key}={json.dumps(value)}")
    ]
    ended = subprocess.run(
        [
            sys.executable, "-c", "from mycroft_fl.cli.main import main; main()", "simulate",
            str(file), "--engine", "in-process", "--out", str(tmp_path / "run"), *settings,
        ],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert ended.returncode == 2
    last = ended.stderr.splitlines()[-1]
    assert (
        'a detector is learnt from 2 at least; give harder ones, or set method = "features"' in last
    )
    assert "Traceback" not in ended.stderr


def test_the_same_ends_a_run_in_this_process_before_anybody_is_asked(
    tmp_path: Path, requests: list[Request]
) -> None:
    with pytest.raises(DataError, match="a detector is learnt from 2 at least"):
        result_of(tmp_path, TOO_FEW)
    assert requests == []
