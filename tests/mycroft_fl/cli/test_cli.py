"""The command line: codes, streams, and errors that a person can act on."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from sklearn.datasets import load_digits

from mycroft_fl import errors
from mycroft_fl.cli import common
from mycroft_fl.cli import main as cli
from mycroft_fl.cli.common import assigned, fresh_folder
from mycroft_fl.errors import NotEnoughOwners, SettingError
from mycroft_fl.progress_lines import PACKAGES
from mycroft_fl.report.run.schema import check_result
from mycroft_fl.settings.run_config import RunConfig, setting_rows
from simulations.engines import run as run_module
from simulations.population.scenario_file import packaged_scenarios
from simulations.setup.simulation import Simulation
from strategies.runs.folder import RunFolder

SCENARIO = (Path(__file__).parents[2] / "scenarios" / "small.toml").read_text()


@dataclass(frozen=True)
class Outcome:
    code: int
    stdout: str
    stderr: str


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """An empty folder with one scenario in it, which is where the command is called."""
    (tmp_path / "small.toml").write_text(SCENARIO)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def call(here, monkeypatch, capfd):
    """`mycroft-fl` in this process; what it changes in the process is undone afterwards."""
    logs = [logging.getLogger(name) for name in PACKAGES]
    before = [(log, list(log.handlers), log.level, log.propagate) for log in logs]
    threads = torch.get_num_threads()
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("PYTHONPATH", "")

    def calling(*arguments: object) -> Outcome:
        for log in logs:
            log.handlers = []
        monkeypatch.setattr(sys, "argv", ["mycroft-fl", *map(str, arguments)])
        code: Any = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = stop.code
        return Outcome(code, *capfd.readouterr())

    yield calling
    for log, handlers, level, propagate in before:
        log.handlers, log.propagate = handlers, propagate
        log.setLevel(level)
    torch.set_num_threads(threads)


def simulate(call, *arguments: object) -> Outcome:
    return call("simulate", "small.toml", "--engine", "in-process", *arguments)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def assert_is_a_short_error(outcome: Outcome, code: int) -> None:
    assert outcome.code == code
    assert outcome.stdout == ""
    lines = outcome.stderr.splitlines()
    output = [line for line in lines if line.startswith("mycroft-fl: ")]
    assert len(output) == 1
    assert 1 <= len(lines) - lines.index(output[0]) <= 3
    assert "Traceback" not in outcome.stderr


def test_a_run_ends_with_tables_on_stdout_and_progress_on_stderr(call, here):
    outcome = simulate(call, "--out", "out", "--method", "hard-features")
    assert outcome.code == 0
    assert "final" in outcome.stdout
    assert "10 examples disclosed; accuracy on the failures" in outcome.stdout
    assert outcome.stdout.rstrip().endswith(f"All of it is in {here / 'out'}")
    assert "round 1: asking 2 owners for 10 examples" in outcome.stderr
    assert "asking" not in outcome.stdout


def test_json_is_one_document_on_stdout_and_nothing_else(call, here):
    outcome = simulate(call, "--out", "out", "--json")
    assert outcome.code == 0
    result = json.loads(outcome.stdout)
    check_result(result)
    assert result == json.loads((here / "out" / "result.json").read_text())
    assert (result["scenario"], result["engine"]) == ("small", "in-process")


NOISY = """
from mycroft_fl.selection.methods import METHODS

print("imported")

def noisy(candidates, query, k):
    print("choosing")
    return METHODS["random"].select(candidates, query, k)
"""


def test_what_a_method_of_ones_own_prints_is_no_part_of_the_json(call, here):
    (here / "noisy_method.py").write_text(NOISY)
    outcome = simulate(call, "--method", "noisy_method:noisy", "--json")
    check_result(json.loads(outcome.stdout))
    assert "choosing" in outcome.stderr


def test_bad_input_that_only_the_run_finds_keeps_the_earlier_run(call, here):
    assert simulate(call, "--out", "out").code == 0
    before = (here / "out" / "result.json").read_bytes()
    outcome = simulate(call, "--out", "out", "--force", "--set", "hard-set.classes=nobody")
    assert outcome.code == 2
    assert (here / "out" / "result.json").read_bytes() == before


def test_a_data_set_on_the_command_line_is_looked_for_where_one_is(call, here):
    digits = load_digits()
    x = (digits.images[:, None] * 15).astype(np.uint8)
    np.savez(here / "mine.npz", x=x, y=digits.target.astype(np.int64))
    (here / "elsewhere").mkdir()
    (here / "small.toml").rename(here / "elsewhere" / "small.toml")
    given = ["--engine", "in-process", "--set", "dataset=mine.npz", "--out", "out"]
    outcome = call("simulate", "elsewhere/small.toml", *given)
    assert outcome.code == 0


def test_the_command_line_goes_over_set_and_that_over_the_scenario(call):
    given = ["--seed", 4, "--method", "omp", "--set", "seed=9", "--set", "method=random"]
    outcome = simulate(call, *given, "--set", "budget=12", "--set", "budget=14", "--json")
    settings = json.loads(outcome.stdout)["settings"]
    assert (settings["seed"], settings["method"]) == (4, "omp")
    assert settings["budget"] == 14
    assert settings["num-rounds"] == 2
    assert settings["timeout"] == RunConfig().timeout


@pytest.mark.parametrize(
    ("assignment", "pair"),
    [
        ("budget=100", ("budget", 100)),
        ("timeout=1.5", ("timeout", 1.5)),
        ("stop-early=false", ("stop-early", False)),
        ("method=omp", ("method", "omp")),
        ('method="omp"', ("method", "omp")),
        ("method=package.module:function", ("method", "package.module:function")),
        ('policy.modes=["raw"]', ("policy.modes", ["raw"])),
        (" budget = 7", ("budget", 7)),
        ("dataset=a=b", ("dataset", "a=b")),
        ("hard-set.classes=", ("hard-set.classes", "")),
    ],
)
def test_a_value_is_a_toml_literal_or_else_a_string(assignment, pair):
    assert assigned(assignment) == pair


@pytest.mark.parametrize("assignment", ["budget", "=5", " =5", ""])
def test_an_assignment_without_key_or_value_is_refused(assignment):
    with pytest.raises(SettingError, match="give KEY=VALUE, such as --set budget=100"):
        assigned(assignment)


@pytest.mark.unchecked
@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--set", "bugdet=5"], "unknown setting 'bugdet'; did you mean 'budget'?"),
        (["--set", "policy.max-record=5"], "did you mean 'policy.max-records'?"),
        (["--set", "budget"], "give KEY=VALUE"),
        (["--set", "budget=lots"], "budget is the text 'lots'; give a whole number"),
        (["--set", "timeout=inf"], "timeout is inf; it must be more than 0"),
        (["--set", "method=2020-01-01"], "method is 2020-01-01; give a text"),
        (["--set", "owners=0"], "owners is 0; give a whole number of at least 1"),
        (["--set", "owners=500"], "small: "),
        (["--set", "model=mpl"], "unknown model 'mpl'; did you mean 'mlp'?"),
        (["--set", "dataset=digit"], "no data set 'digit'"),
        (["--set", "hard-set.classes=eleven"], "unknown class 'eleven'"),
        (["--set", "metric=acuracy"], "metric is 'acuracy'; did you mean 'accuracy'?"),
        (["--set", "metric=recall:eleven"], "metric names the unknown class 'eleven'; choose from"),
        (
            ["--set", "metric=cost:no.csv"],
            "metric: there is no no.csv; give the path of a CSV of costs",
        ),
        (["--method", "opm"], "unknown method 'opm'; did you mean 'omp'?"),
        (["--method", "nowhere:at_all"], "method 'nowhere:at_all' cannot be imported"),
        (["--set", "gradients-from=owner"], "stays home"),
        (["--seed", "-1"], "seed is -1; it must be at least 0"),
        (["--seed", "one"], "'one' is not a valid integer"),
        (["--engine", "ray"], "'ray' is not one of 'flower', 'in-process'"),
        (["--outt", "x"], "No such option"),
        (["--out", "small.toml"], "is a file; give a folder that is new or empty"),
        (["--out", "small.toml/below"], "cannot be written: Not a directory"),
        (["--out", "x" * 300], "cannot be written: File name too long"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_bad_input_exits_with_2_and_says_what_would_be_right(call, arguments, text):
    outcome = simulate(call, *arguments)
    assert_is_a_short_error(outcome, 2)
    assert text in outcome.stderr


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["simulate"], "Missing argument 'SCENARIO'"),
        (["simulate", "rotated-digit"], "did you mean 'rotated-digits'?"),
        (["simulate", "."], "no scenario '.'"),
        (["simulat"], "No such command 'simulat'"),
    ],
    ids=str,
)
def test_a_wrong_command_or_scenario_exits_with_2(call, arguments, text):
    outcome = call(*arguments)
    assert_is_a_short_error(outcome, 2)
    assert text in outcome.stderr


def test_a_scenario_that_is_not_toml_exits_with_2(call, here):
    (here / "small.toml").write_bytes(b"\xff\xfe = [")
    assert_is_a_short_error(simulate(call), 2)


def test_a_run_that_fails_exits_with_1(call):
    outcome = simulate(call, "--set", "min-owners=3", "--set", "timeout=5.0", "--json")
    assert_is_a_short_error(outcome, 1)
    assert "2 owners answered within 5 s, fewer than min-owners = 3" in outcome.stderr


def test_of_a_long_error_three_lines_are_told(call, monkeypatch):
    def fail(simulation: Simulation) -> None:
        raise NotEnoughOwners("one\n\ntwo\nthree\nfour")

    monkeypatch.setattr(run_module, "run", fail)
    outcome = simulate(call)
    assert_is_a_short_error(outcome, 1)
    assert outcome.stderr.endswith("mycroft-fl: one\n    two\n    three\n")


@pytest.mark.parametrize("stop", [KeyboardInterrupt, click.Abort])
def test_an_interrupted_run_exits_with_130(call, monkeypatch, stop):
    def interrupted(simulation: Simulation) -> None:
        raise stop

    monkeypatch.setattr(run_module, "run", interrupted)
    assert_is_a_short_error(simulate(call), 130)


def test_a_folder_that_is_not_empty_is_left_as_it_is_unless_forced(call, here):
    assert simulate(call, "--out", "out", "--set", "num-rounds=1").code == 0
    (here / "out" / "result.json").write_text("precious")
    (here / "out" / "notes.txt").write_text("mine")
    before = contents(here / "out")
    outcome = simulate(call, "--out", "out")
    assert_is_a_short_error(outcome, 2)
    assert "is not empty; give a new folder, or --force to replace the run" in outcome.stderr
    assert contents(here / "out") == before
    assert simulate(call, "--out", "out", "--force").code == 0
    assert (here / "out" / "notes.txt").read_text() == "mine"
    check_result(json.loads((here / "out" / "result.json").read_text()))


def test_force_clears_no_folder_that_is_not_a_runs(call, here):
    before = contents(here)
    outcome = simulate(call, "--out", ".", "--force")
    assert_is_a_short_error(outcome, 2)
    assert "is not the folder of a run, so --force does not clear it" in outcome.stderr
    assert contents(here) == before


@pytest.mark.parametrize("wrong", ["method=opm", "dataset=digit", "owners=500", "model=mpl"])
def test_bad_input_never_costs_an_earlier_run(call, here, wrong):
    RunFolder.prepared(here / "out", force=False)
    (here / "out" / "result.json").write_text("precious")
    before = contents(here)
    for force in ([], ["--force"]):
        assert simulate(call, "--out", "out", "--set", wrong, *force).code == 2
        assert contents(here) == before
    assert simulate(call, "--out", "new", "--set", wrong).code == 2
    assert not (here / "new").exists()


def test_without_out_a_run_goes_to_a_folder_named_after_time_and_scenario(call, here):
    for _ in range(2):
        assert simulate(call, "--set", "num-rounds=1").code == 0
    made = [path.name for path in (here / "runs").iterdir()]
    assert len(made) == 2
    assert all(re.fullmatch(r"\d{8}-\d{6}-small(-\d+)?", name) for name in made)


def test_two_runs_in_one_second_do_not_share_a_folder(here, monkeypatch):
    class Clock:
        @staticmethod
        def now():
            return Clock()

        def __format__(self, how: str) -> str:
            return "20260101-000000"

    monkeypatch.setattr(common, "datetime", Clock)
    for wanted in ("", "-2", "-3"):
        folder = fresh_folder("small")
        assert folder == Path(f"runs/20260101-000000-small{wanted}")
        folder.mkdir(parents=True)


def test_a_scenario_by_relative_path_is_found_from_where_one_is(call, here, monkeypatch):
    (here / "deep" / "er").mkdir(parents=True)
    monkeypatch.chdir(here / "deep" / "er")
    outcome = call("simulate", "../../small.toml", "--engine", "in-process", "--out", "o")
    assert outcome.code == 0
    assert (here / "deep" / "er" / "o" / "result.json").is_file()


def test_a_method_of_ones_own_is_found_in_the_folder_one_is_in(call, here):
    (here / "choices_made_here.py").write_text(
        "import numpy as np\nfrom mycroft_fl.selection.methods import Selection\n"
        "def last(candidates, query, k):\n"
        "    return Selection.unweighted(np.arange(len(candidates))[-k:])\n"
    )
    outcome = simulate(call, "--method", "choices_made_here:last", "--json")
    assert outcome.code == 0, outcome.stderr
    assert json.loads(outcome.stdout)["method"] == "choices_made_here:last"
    sys.modules.pop("choices_made_here", None)


def squeezed(text: str) -> str:
    return " ".join(text.split())


def test_scenarios_lists_every_packaged_one_with_its_title():
    outcome = CliRunner().invoke(cli.cli, ["scenarios"])
    assert outcome.exit_code == 0
    lines = [squeezed(line) for line in outcome.output.splitlines()]
    assert lines[0] == "scenario title"
    assert lines[1:] == [f"{name} {title}" for name, title in packaged_scenarios()]
    assert {"rotated-digits", "many-owners", "bad-owners"} <= {line.split()[0] for line in lines}


def test_settings_lists_every_setting_with_default_and_meaning():
    outcome = CliRunner().invoke(cli.cli, ["settings"])
    assert outcome.exit_code == 0
    rows = [f"{key} {json.dumps(default)} {meaning}" for key, default, meaning in setting_rows()]
    assert squeezed(outcome.output) == squeezed(" ".join(["setting default meaning", *rows]))


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_without_a_command_the_help_is_shown(arguments):
    outcome = CliRunner().invoke(cli.cli, arguments)
    assert outcome.exit_code == 0
    for command in ("simulate", "scenarios", "settings"):
        assert f"\n  {command} " in outcome.output


def test_every_error_a_person_can_cause_is_told_in_short(call, monkeypatch):
    kinds = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.MycroftError)
    ]
    for kind in kinds:

        def fail(simulation: Simulation, kind: type[Exception] = kind) -> None:
            raise kind("why")

        monkeypatch.setattr(run_module, "run", fail)
        wanted = 2 if issubclass(kind, errors.InputError) else 1
        assert_is_a_short_error(simulate(call), wanted)


def command(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    script = Path(sys.executable).parent / "mycroft-fl"
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    return subprocess.run(
        [str(script), *arguments], cwd=cwd, env=environment, capture_output=True, text=True,
        timeout=300, check=False,
    )  # fmt: skip


def test_the_installed_command_works_from_any_folder(here):
    ended = command("--version", cwd=here)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert re.fullmatch(r"mycroft-fl, version \d+\.\d+\.\d+\n", ended.stdout)


def test_the_installed_command_runs_and_its_stdout_is_json_alone(here):
    arguments = ["simulate", "small.toml", "--engine", "in-process", "--json"]
    ended = command(*arguments, "--set", "num-rounds=1", cwd=here)
    assert ended.returncode == 0, ended.stderr
    check_result(json.loads(ended.stdout))


def test_the_installed_command_fails_with_a_code_and_without_a_traceback(here):
    ended = command("simulate", "small.toml", "--set", "bugdet=1", cwd=here)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr == "mycroft-fl: unknown setting 'bugdet'; did you mean 'budget'?\n"


def test_a_reader_that_goes_away_is_no_error(here):
    script = Path(sys.executable).parent / "mycroft-fl"
    ended = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {script} settings | head -c 1 > /dev/null"],
        cwd=here, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert "Traceback" not in ended.stderr
