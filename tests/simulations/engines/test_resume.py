"""A run that stops, wherever it stops, and goes on: the same end as one that was never interrupted."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from mycroft_fl.cli.main import cli
from mycroft_fl.errors import InputError, OwnersSilent
from mycroft_fl.privacy.spending.ledger import PrivacyLedger
from simulations import server_app
from simulations.engines.run import run
from simulations.setup.attackers import Misbehaving
from simulations.setup.simulation import Simulation
from strategies.mycroft import MycroftStrategy
from strategies.runs.checkpoint import Checkpoints
from strategies.runs.folder import RunFolder
from strategies.runs.resume import Resume

DIGITS = (Path(__file__).parents[2] / "scenarios" / "digits.toml").read_text()
SCENARIO = """
[[owners]]
name = "a"
holds = {{ rotated = 120, upright = 80 }}
[[owners]]
name = "b"
holds = {{ rotated = 40, upright = 160 }}
[[owners]]
name = "c"
holds = {{ upright = 200 }}
[run]
mode = "{mode}"
method = "{method}"
budget = 60
pilot-per-owner = 6
num-rounds = 3
stop-early = false
fit.epochs = 6
fine-tune.steps = 20
scoring.repeats = 2
[policy]
"""
BY_CLASS = 'epsilon = 5.0\ndelta = 1e-5\n[run.score]\nby = "class"\n'
MODES = {
    "raw": ("raw", "hard-features", "mlp", ""),
    "score-then-raw": ("score-then-raw", "hard-features", "mlp", "epsilon = 5.0\ndelta = 1e-5\n"),
    "by-class": ("score-then-raw", "hard-features", "mlp", BY_CLASS),
    "stock": ("score-then-raw", "detector-cover", "mlp", "epsilon = 5.0\ndelta = 1e-5\n"),
    "gradient": ("gradient", "hard-features", "mlp", "epsilon = 1e6\ndelta = 1e-5\n"),
    "estimator": ("raw", "features", "random-forest", ""),
}


class Stopped(BaseException):
    """The machine goes down."""


@pytest.fixture(scope="module", autouse=True)
def quietly_on_one_thread():
    before = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server_app, "show_progress", lambda *args, **rest: None)
        yield
    torch.set_num_threads(before)


def of_case(base: Path, name: str, case: str = "raw", *, resume: bool = False) -> Simulation:
    mode, method, model, policy = MODES[case]
    scenario = base / "small.toml"
    with_owners = SCENARIO.format(mode=mode, method=method) + policy
    scenario.write_text(f'model = "{model}"\n{DIGITS}{with_owners}')
    folder = base / name
    if resume:
        RunFolder.reopened(folder)
    else:
        RunFolder.prepared(folder, force=False)
    return Simulation.load(str(scenario), {}, folder, engine="in-process")


@pytest.fixture
def simulated(tmp_path: Path) -> Callable[..., Simulation]:
    return partial(of_case, tmp_path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Callable[[str], tuple[Path, dict[str, Any]]]:
    """The run of each mode that nothing interrupts: its folder and its result."""

    @functools.cache
    def whole(case: str) -> tuple[Path, dict[str, Any]]:
        simulation = of_case(tmp_path_factory.mktemp(case), "whole", case)
        return simulation.folder.path, run(simulation)

    return whole


def output(result: dict[str, Any]) -> dict[str, Any]:
    """All of a result but for the clock's part in it."""
    rounds = [{k: v for k, v in each.items() if k != "seconds"} for each in result["rounds"]]
    return {**{k: v for k, v in result.items() if k != "seconds"}, "rounds": rounds}


def scoreboard(folder: Path) -> dict[str, list[tuple[Any, ...]]]:
    """What each owner's ledger says it released: peers apart, nothing else."""
    owners = sorted((folder / "owners").iterdir())
    return {
        each.name: [(row.mode, row.spend) for row in PrivacyLedger(each / "ledger.sqlite").rows()]
        for each in owners
        if (each / "ledger.sqlite").is_file()
    }


def acquired(folder: Path) -> dict[str, np.ndarray]:
    with np.load(folder / "acquired.npz", allow_pickle=False) as file:
        return dict(file)


def stopping(patch: pytest.MonkeyPatch, owner: type, method: str, at: int, *, after: bool) -> None:
    """Let the machine go down at the `at`-th call of a method, before or after it has done its work."""
    original, calls = getattr(owner, method), 0

    def stop(*args: Any, **rest: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == at and not after:
            raise Stopped
        done = original(*args, **rest)
        if calls == at:
            raise Stopped
        return done

    patch.setattr(owner, method, stop)


PLACES = {
    "before anybody is asked": (MycroftStrategy, "configure_train", 1, False),
    "after the first round": (Checkpoints, "save", 2, True),
    "while the first checkpoint is written": (Checkpoints, "save", 2, False),
    "with the second round's answers on their way": (MycroftStrategy, "aggregate_train", 2, False),
    "after the last round": (Checkpoints, "save", 4, True),
}


# One mode stops everywhere, the others where what they hold beside examples must come back.
CASES: list[Any] = [("raw", place) for place in PLACES] + [
    # Forests are fitted anew for every score: half a minute.
    pytest.param(case, place, marks=pytest.mark.slow) if case == "estimator" else (case, place)
    for case in ("score-then-raw", "gradient", "estimator")
    for place in ("after the first round", "with the second round's answers on their way")
]
CASES += [(case, "after the first round") for case in ("by-class", "stock")]


@pytest.mark.parametrize(("case", "place"), CASES)
def test_a_run_that_stopped_goes_on_to_the_same_end(
    simulated, whole, monkeypatch, case, place
) -> None:
    uninterrupted, expected = whole(case)
    with monkeypatch.context() as patch:
        owner, method, at, after = PLACES[place]
        stopping(patch, owner, method, at, after=after)
        with pytest.raises(Stopped):
            run(simulated("stopped", case))
    resumed = simulated("stopped", case, resume=True)
    assert output(run(resumed)) == output(expected)
    # Asked again for the same, no vault has disclosed or charged anything twice.
    assert scoreboard(resumed.folder.path) == scoreboard(uninterrupted)
    ours, theirs = acquired(resumed.folder.path), acquired(uninterrupted)
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        np.testing.assert_array_equal(array, theirs[name])
    lines = (resumed.folder.path / "rounds.jsonl").read_text().splitlines()
    assert [json.loads(line)["round"] for line in lines] == [1, 2, 3]


def test_a_baseline_is_not_fitted_a_second_time(simulated, monkeypatch) -> None:
    with monkeypatch.context() as patch:
        stopping(patch, Checkpoints, "save", 2, after=True)
        with pytest.raises(Stopped):
            run(simulated("run"))
    # The whole of torch could give other bits tomorrow, on another machine: then another hard set.
    monkeypatch.setattr("strategies.training.trainer.fit", None)
    assert run(simulated("run", resume=True))["disclosed"] == 60


def test_owners_silent_in_the_last_round_are_asked_again_and_alone(
    simulated, whole, monkeypatch
) -> None:
    honest = Simulation.vault
    asked: list[str] = []

    def vault(self: Simulation, partition: int) -> Any:
        asked.append(self.owner_name(partition))
        held = honest(self, partition)
        return Misbehaving(held, "raise", 600.0, 10) if silent == asked[-1] else held

    monkeypatch.setattr(Simulation, "vault", vault)
    on_disk = Resume.on_disk
    monkeypatch.setattr(
        Resume, "on_disk", lambda checkpoints, waits: on_disk(checkpoints, waits=True)
    )
    silent = "b"
    with pytest.raises(OwnersSilent, match="no answer in round 1 from b; once they can answer"):
        run(simulated("run"))
    assert asked == ["a", "b", "c"]
    asked.clear()
    silent = ""
    result = run(simulated("run", resume=True))
    assert asked[0] == "b"
    assert output(result) == output(whole("raw")[1])


def test_another_task_does_not_go_on_with_this_one(simulated, monkeypatch, tmp_path) -> None:
    with monkeypatch.context() as patch:
        stopping(patch, Checkpoints, "save", 2, after=True)
        with pytest.raises(Stopped):
            run(simulated("run"))
    RunFolder.reopened(tmp_path / "run")
    file = str(tmp_path / "small.toml")
    other = Simulation.load(file, {"seed": 1}, tmp_path / "run", engine="in-process")
    rounds = (tmp_path / "run" / "rounds.jsonl").read_bytes()
    with pytest.raises(InputError, match="of another task, other data or other settings"):
        run(other)
    assert (tmp_path / "run" / "rounds.jsonl").read_bytes() == rounds
    # None of these changes a request or a score.
    patient = {"timeout": 60.0, "min-owners": 2, "train-on-validation": False}
    result = run(Simulation.load(file, patient, tmp_path / "run", engine="in-process"))
    assert result["rounds"]
    assert result["final_is"] == "last round"


@pytest.mark.parametrize("name", ["state.json", "arrays.npz", "model.safetensors"])
def test_a_damaged_checkpoint_is_said_in_one_line(simulated, monkeypatch, tmp_path, name) -> None:
    with monkeypatch.context() as patch:
        stopping(patch, Checkpoints, "save", 2, after=True)
        with pytest.raises(Stopped):
            run(simulated("run"))
    (tmp_path / "run" / "checkpoints" / "round-1" / name).write_bytes(b"{}")
    with pytest.raises(InputError, match="is no whole checkpoint; start a new run"):
        run(simulated("run", resume=True))


def test_the_command_resumes(simulated, monkeypatch, tmp_path) -> None:
    with monkeypatch.context() as patch:
        stopping(patch, Checkpoints, "save", 2, after=True)
        with pytest.raises(Stopped):
            run(simulated("run"))
    scenario, folder = str(tmp_path / "small.toml"), str(tmp_path / "run")
    command = ["simulate", scenario, "--engine", "in-process", "--json", "--resume", "--out"]
    answer = CliRunner().invoke(cli, [*command, folder], catch_exceptions=False)
    assert json.loads(answer.stdout)["disclosed"] == 60
    with pytest.raises(InputError, match="is not the folder of a run"):
        CliRunner().invoke(cli, [*command, str(tmp_path / "none")], catch_exceptions=False)
