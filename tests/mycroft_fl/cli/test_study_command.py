"""`mycroft-fl study`: what it prints, how it ends, and that nothing of it stays behind."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner

from mycroft_fl.cli.main import cli
from mycroft_fl.errors import EngineFailed, MycroftError
from simulations.study.file import packaged_studies
from simulations.study.workers import FOR_RAY

SCENARIO = (Path(__file__).parents[2] / "scenarios" / "small.toml").read_text()
STUDY = """
title = "Small"
seeds = 2
[grid]
scenario = "small.toml"
method = ["features", "random"]
budget = [10, 20]
"""
DOCS = (Path(__file__).parents[3] / "docs" / "studies.md").read_text()
MAIN = "from mycroft_fl.cli.main import main; main()"


@pytest.fixture
def study(tmp_path, monkeypatch):
    (tmp_path / "small.toml").write_text(SCENARIO)
    (tmp_path / "mine.toml").write_text(STUDY)
    monkeypatch.chdir(tmp_path)
    return "mine.toml"


def printed(*arguments, code=0):
    result = CliRunner().invoke(cli, ["study", *map(str, arguments)])
    if code == 0 and result.exception:
        raise result.exception
    return result


def table(folder):
    with (Path(folder) / "cells.csv").open() as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def test_packaged_studies_are_listed_with_their_titles():
    lines = printed("--list").output.splitlines()
    assert [line.split()[0] for line in lines[1:]] == sorted(line.split()[0] for line in lines[1:])
    assert any(line.startswith("paper ") and "comparisons" in line for line in lines)


def test_a_dry_run_counts_cells_and_leaves_nothing(study, tmp_path):
    before = sorted(tmp_path.iterdir())
    assert printed(study, "--dry-run").output == "Small: 8 cells, 2 seeds\n"
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("name", [name for name, _ in packaged_studies()])
def test_a_packaged_study_is_whole_and_as_large_as_the_docs_say(name):
    said = re.search(rf"^\| `{name}` \|.*\| (\d+) \|$", DOCS, re.MULTILINE)
    assert said, f"docs/studies.md does not list {name}"
    assert f": {said[1]} cells" in printed(name, "--dry-run").output


def test_results_go_to_a_folder_of_the_study_s_name(study, tmp_path):
    output = printed(study, "--jobs", 1).output
    assert f"All of it is in {tmp_path / 'studies' / 'mine'}" in output
    assert "method features, budget 10" in output
    assert len(table(tmp_path / "studies" / "mine")) == 8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name a study"),
        (["nowhere.toml"], "no study 'nowhere.toml'"),
        (["mine.toml", "--jobs", "0"], "--jobs is 0"),
        (["mine.toml", "--ray", "127.0.0.1:1"], "--ray needs --jobs"),
    ],
)
def test_bad_input_is_said(study, arguments, message):
    error = printed(*arguments, code=2).exception
    assert isinstance(error, MycroftError)
    assert message in str(error)


def test_a_study_of_which_every_cell_failed_has_failed(study, tmp_path, monkeypatch):
    from simulations.study import cell_runner

    monkeypatch.setattr(cell_runner, "run", lambda simulation: 1 / 0)
    error = printed(study, "--jobs", 1, code=1).exception
    assert "every cell failed" in str(error)
    assert {row["reason"] for row in table(tmp_path / "studies" / "mine")} == {
        "ZeroDivisionError: division by zero"
    }


PATIENCE = 600  # seconds; a machine that is busy with much else takes a minute to start Ray


def begun(study, out, *options):
    """The command in a process group of its own."""
    command = [sys.executable, "-c", MAIN, "study", study, "--out", str(out), *options]
    return subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for_cells(out, count, process):
    deadline = time.monotonic() + PATIENCE
    while len(list((out / "cells").glob("[0-9a-f]*"))) < count:
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def family(process):
    return psutil.Process(process.pid).children(recursive=True)


@pytest.fixture
def gate(tmp_path):
    """A file without which no run with the method `gated:pick` ends: a cell that is surely under way."""
    gate = tmp_path / "open"
    Path("gated.py").write_text(
        "import os\nimport time\n\nfrom mycroft_fl.selection.methods import Selection\n\n\n"
        "def pick(candidates, query, k):\n"
        '    while not os.path.exists(os.environ["GATE"]):\n        time.sleep(0.05)\n'
        "    return Selection.unweighted(list(range(min(k, len(candidates)))))\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GATE", str(gate))
        yield gate


@pytest.mark.slow
@pytest.mark.parametrize("jobs", ["1", "2"])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_ended_while_cells_are_under_way_it_leaves_no_process_and_goes_on_to_the_same_table(
    study, gate, tmp_path, jobs, how
):
    Path(study).write_text(STUDY.replace('"random"]', '"gated:pick"]'))
    gate.touch()
    printed(study, "--jobs", 1, "--out", tmp_path / "whole")
    gate.unlink()
    out = tmp_path / "out"
    process = begun(study, out, "--jobs", jobs)
    wait_for_cells(out, 2, process)
    children = family(process)
    os.kill(process.pid, how)
    process.wait(timeout=PATIENCE)
    errors = process.stderr.read()
    process.stderr.close()
    assert process.returncode in (-how, 128 + how), errors
    assert (len(children) > 1) == (jobs == "2"), (children, errors)
    _, alive = psutil.wait_procs(children, timeout=PATIENCE)
    assert not alive
    kept = {
        cell.name: (cell / "cell.json").stat().st_mtime_ns
        for cell in (out / "cells").glob("[0-9a-f]*")
    }
    assert 2 <= len(kept) <= 4  # of eight; the others wait
    gate.touch()
    printed(study, "--jobs", 1, "--out", out)
    assert table(out) == table(tmp_path / "whole")
    for name, written in kept.items():
        assert (out / "cells" / name / "cell.json").stat().st_mtime_ns == written


@pytest.mark.slow
def test_a_worker_that_dies_costs_one_cell_and_not_the_study(study, tmp_path):
    Path("deadly.py").write_text(
        "import os\nimport numpy as np\n\n\ndef leave(candidates, query, k):\n    os._exit(9)\n"
    )
    Path(study).write_text(
        STUDY.replace('"random"]', '"deadly:leave"]').replace("[10, 20]", "[10]")
    )
    out = tmp_path / "out"
    process = begun(study, out, "--jobs", "2")
    errors = process.communicate(timeout=PATIENCE)[1]
    assert process.returncode == 0, errors
    rows = {(row["method"], row["status"]) for row in table(out)}
    assert rows == {("features", "done"), ("deadly:leave", "failed")}
    assert all(
        "its worker died 2 times" in r["reason"] for r in table(out) if r["status"] == "failed"
    )


@pytest.mark.slow
def test_a_cluster_s_workers_give_the_same_table(study, tmp_path, monkeypatch):
    """A cluster of one node, found by its address, in a process of its own: Ray leaves files open."""
    for name, value in FOR_RAY.items():
        monkeypatch.setenv(name, value)
    printed(study, "--jobs", 1, "--out", tmp_path / "whole")
    code = (
        "import ray, sys; cluster = ray.init(num_cpus=2, include_dashboard=False)\n"
        "print(cluster.address_info['gcs_address'], flush=True); sys.stdin.read(); ray.shutdown()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as cluster:
        assert cluster.stdout is not None
        address = cluster.stdout.readline().strip()
        process = begun(study, tmp_path / "out", "--jobs", "2", "--ray", address)
        errors = process.communicate(timeout=PATIENCE)[1]
        cluster.communicate(timeout=PATIENCE)
    assert process.returncode == 0, errors
    assert table(tmp_path / "out") == table(tmp_path / "whole")


@pytest.mark.parametrize("address", ["127.0.0.1:9", "ray://127.0.0.1:9", "[::1]:9"])
def test_an_address_at_which_nobody_answers_is_said(study, tmp_path, address):
    out = tmp_path / "out"
    error = printed(study, "--out", out, "--jobs", 2, "--ray", address, code=1).exception
    assert isinstance(error, EngineFailed)
    assert f"Ray does not start or answer at {address}" in str(error)
    assert not list((out / "cells").iterdir())


@pytest.mark.slow
def test_cells_of_both_engines_give_the_same_figures(study, tmp_path):
    Path(study).write_text(
        'seeds = 1\n[grid]\nscenario = "small.toml"\nmethod = "features"\n'
        'engine = ["in-process", "flower"]\n'
    )
    out = tmp_path / "out"
    process = begun(study, out, "--jobs", "2")
    errors = process.communicate(timeout=PATIENCE)[1]
    assert process.returncode == 0, errors
    one, other = (
        {k: v for k, v in row.items() if k not in ("engine", "digest")} for row in table(out)
    )
    assert one == other
    assert {json.loads(f.read_text())["engine"] for f in out.glob("cells/*/result.json")} == {
        "in-process", "flower",
    }  # fmt: skip
