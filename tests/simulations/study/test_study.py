"""A study in this process: its cells are the runs themselves, kept one by one, and it goes on."""

from __future__ import annotations

import csv
import io
import json
import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mycroft_fl.errors import StudyError
from mycroft_fl.report.study.folder import Axis, read_study
from simulations.engines.run import run
from simulations.setup.simulation import Simulation
from simulations.study import cell_runner, workers
from simulations.study.cells import planned
from simulations.study.file import load_study
from simulations.study.run import run_study
from simulations.study.store import StudyStore
from simulations.study.tables import summary_rows
from simulations.study.workers import WorkerSettings
from strategies.runs.folder import RunFolder

SCENARIO = (Path(__file__).parents[2] / "scenarios" / "small.toml").read_text()
STUDY = """
title = "Small"
seeds = 2
[grid]
scenario = "small.toml"
method = ["features", "random"]
budget = [10, 20]
"""
ALONE = WorkerSettings(jobs=1)


@pytest.fixture
def study(tmp_path):
    (tmp_path / "small.toml").write_text(SCENARIO)
    (tmp_path / "mine.toml").write_text(STUDY)
    return tmp_path / "mine.toml"


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


@pytest.fixture
def runs(monkeypatch):
    """The settings of every run that is really done."""
    done, original = [], cell_runner.run
    monkeypatch.setattr(
        cell_runner,
        "run",
        lambda simulation: (done.append(simulation.given), original(simulation))[1],
    )
    return done


def go(study, out, **options):
    output = io.StringIO()
    store = run_study(study, out, ALONE, stream=output, **options)
    return store, output.getvalue()


def table(out):
    with (out / "cells.csv").open() as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def test_a_cell_is_the_run_that_its_settings_describe(study, out, tmp_path):
    """Sharing worlds and fits changes nothing: each result is that of a run by itself."""
    go(study, out)
    cells = planned(load_study(study))
    for number, cell in enumerate(cells):
        kept = json.loads((out / "cells" / cell.digest / "result.json").read_text())
        folder = RunFolder.prepared(tmp_path / f"run-{number}", force=False)
        alone = run(Simulation.load(cell.asked_for, cell.given, folder.path, engine="in-process"))
        assert without_time(kept) == without_time(json.loads(json.dumps(alone)))
    row = next(row for row in read_study(out).rows if row["digest"] == cells[-1].digest)
    assert (row["hard"], row["test"]) == (alone["final"]["hard"], alone["final"]["test"])
    assert row["own_hard_set_hard"] == alone["own_hard_set"]["hard"]
    assert row["control_test"] == alone["control"]["test"]
    assert row["disclosed"] == alone["disclosed"]


def without_time(result):
    rounds = [{k: v for k, v in each.items() if k != "seconds"} for each in result["rounds"]]
    return {**result, "rounds": rounds, "seconds": 0}


def test_the_baseline_is_fitted_once_for_all_cells_of_a_seed(study, out, monkeypatch):
    from mycroft_fl.models import fitting

    fits, original = [], fitting.fit.__wrapped__
    wrapped = fitting.cached_fit(lambda *a, **k: (fits.append(1), original(*a, **k))[1])
    from strategies.training import trainer

    monkeypatch.setattr(trainer, "fit", wrapped)
    go(study, out)
    assert len(fits) == 2


def test_finished_cells_are_not_computed_again(study, out, runs):
    _, output = go(study, out)
    assert len(runs) == 8
    assert output.splitlines()[0] == "8 cells"
    assert output.splitlines()[-1].startswith("8 of 8 cells")
    before = table(out)
    _, output = go(study, out)
    assert len(runs) == 8
    assert output.splitlines() == ["8 cells, 8 of them finished before"]
    assert table(out) == before


def test_a_study_stopped_anywhere_goes_on_to_the_same_table(study, out, tmp_path, monkeypatch):
    go(study, tmp_path / "whole")
    for stop_after in (0, 3, 2):
        left, original = [stop_after], cell_runner.run

        def stopping(simulation, left=left, original=original):
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
            return original(simulation)

        with monkeypatch.context() as patch:
            patch.setattr(cell_runner, "run", stopping)
            with pytest.raises(KeyboardInterrupt):
                go(study, out)
        assert not (out / ".under-way").exists()
    assert len(table(out)) == 5
    go(study, out)
    assert table(out) == table(tmp_path / "whole")


def test_what_a_killed_process_left_half_written_is_cleared(study, out, tmp_path):
    go(study, out)
    before = table(out)
    one = next((out / "cells").iterdir())
    (out / "cells" / f".{one.name}").mkdir()
    (out / ".under-way" / "cell-x").mkdir(parents=True)
    one.rename(tmp_path / "gone")
    go(study, out)
    assert table(out) == before
    assert not [each for each in (out / "cells").iterdir() if each.name.startswith(".")]


def test_a_failed_cell_is_a_row_with_its_reason_and_its_log(study, out, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "hopeless.py").write_text(
        "def never(candidates, query, k):\n    raise ZeroDivisionError('a\\nb')\n"
    )
    study.write_text(
        STUDY.replace('"random"]', '"hopeless:never"]').replace("seeds = 2", "seeds = [4]")
    )
    store, output = go(study, out)
    rows = [row for row in read_study(out).rows if row["method"] == "hopeless:never"]
    assert store.failed() == 2
    assert [row["status"] for row in rows] == ["failed"] * 2
    for row in rows:
        assert row["test"] is None
        assert "answered" in row["reason"] or "owner" in row["reason"]
        folder = out / "cells" / row["digest"]
        assert row["reason"] in (folder / "log.txt").read_text()
        assert not (folder / "result.json").exists()
        assert row["reason"] in output
    assert {row["status"] for row in read_study(out).rows} == {"done", "failed"}


def test_an_error_that_nobody_foresaw_is_a_reason_too(study, out, monkeypatch):
    def broken(simulation):
        raise ZeroDivisionError("by\nzero")

    monkeypatch.setattr(cell_runner, "run", broken)
    go(study, out)
    assert {row["reason"] for row in read_study(out).rows} == {"ZeroDivisionError: by zero"}


def test_failed_cells_are_computed_again_only_when_asked(study, out, monkeypatch, runs):
    with monkeypatch.context() as patch:
        patch.setattr(cell_runner, "run", lambda simulation: 1 / 0)
        go(study, out)
    go(study, out)
    assert runs == []
    store, _ = go(study, out, retry=True)
    assert len(runs) == 8
    assert store.failed() == 0
    assert {row["status"] for row in read_study(out).rows} == {"done"}


def test_a_study_that_has_grown_computes_only_what_is_new(study, out, runs):
    go(study, out)
    study.write_text(STUDY.replace("seeds = 2", "seeds = 3").replace("[10, 20]", "[10, 20, 30]"))
    go(study, out)
    assert len(runs) == 3 * 2 * 3
    assert {(row["budget"], row["seed"]) for row in read_study(out).rows} >= {(30, 2), (10, 0)}


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [("mine.toml", "[10, 20]", "[10]"), ("small.toml", "upright = 30", "upright = 31")],
)
def test_a_study_that_was_changed_is_refused_with_what_to_do(study, out, tmp_path, file, old, new):
    go(study, out)
    before = sorted(out.rglob("*"))
    (tmp_path / file).write_text((tmp_path / file).read_text().replace(old, new))
    with pytest.raises(
        StudyError, match=r"finished cells that mine.toml does not ask for"
    ) as error:
        go(study, out)
    assert "another folder as `out`" in str(error.value)
    assert sorted(out.rglob("*")) == before


def test_a_folder_of_something_else_is_left_alone(study, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"x")
    with pytest.raises(StudyError, match="neither empty nor a study's folder"):
        go(study, tmp_path / "photos")
    with pytest.raises(StudyError, match="cannot be written"):
        go(study, study)


def test_a_damaged_cell_is_named(study, out):
    go(study, out)
    one = next((out / "cells").iterdir())
    (one / "cell.json").write_text("{")
    with pytest.raises(StudyError, match=f"{one.name} is damaged: remove it"):
        go(study, out)


def test_two_processes_do_not_work_on_one_folder(study, out):
    cells = planned(load_study(study))
    with StudyStore.opened(out, load_study(study), cells):
        code = (
            "import sys; from pathlib import Path; from simulations.study.run import run_study;"
            "from simulations.study.workers import WorkerSettings;"
            "run_study(sys.argv[1], Path(sys.argv[2]), WorkerSettings(jobs=1))"
        )
        other = subprocess.run(
            [sys.executable, "-c", code, str(study), str(out)], capture_output=True, text=True
        )
    assert "another process is working on" in other.stderr


def test_the_tables_hold_the_same_rows(study, out):
    go(study, out)
    rows = read_study(out).rows
    assert [dict(row) for row in rows] == [
        {key: row.get(key) for key in rows[0]}
        for row in json.loads((out / "cells.json").read_text())
    ]
    parquet = pytest.importorskip("pyarrow.parquet")
    kept = parquet.read_table(out / "cells.parquet").to_pylist()
    assert [row["hard"] for row in kept] == [row["hard"] for row in rows]
    assert [row["epsilon"] for row in kept] == [None] * 8
    assert [row["method"] for row in kept] == [row["method"] for row in rows]


def test_study_json_says_with_what_it_was_computed(study, out, monkeypatch):
    go(study, out)
    from simulations.study import description as study_description

    monkeypatch.setattr(study_description, "code_version", lambda: "changed")
    go(study, out)
    output = json.loads((out / "study.json").read_text())
    assert [each["code"] == "changed" for each in output["environments"]] == [False, True]
    assert output["environments"][0]["torch"]
    assert output["parts"][0]["cells"] == 8


def test_owners_of_one_seed_are_the_same_for_every_method(study, out):
    """Cells are paired: only the axes differ between them."""
    go(study, out)
    rows = read_study(out).rows
    for seed in (0, 1):
        same = {(row["control_hard"], row["baseline_test"]) for row in rows if row["seed"] == seed}
        assert len(same) == 1
    assert len({row["control_hard"] for row in rows}) == 2


def test_the_next_cell_is_of_the_world_a_worker_knows(study):
    cells = planned(load_study(study))
    crew = workers._WorkerPool(None, 2)
    for cell in cells:
        crew.waiting.setdefault(cell.world, workers.deque()).append(cell)
    first = crew._next(None)
    crew.busy["a"] = (None, first)
    second = crew._next(None)
    assert second.world != first.world
    order = [crew._next(first.world).world for _ in range(4)]
    assert order == [first.world] * 3 + [second.world]
    assert len([crew._next(second.world) for _ in range(2)]) == 2
    assert crew._next(second.world) is None


def test_no_process_is_started_for_one_job(study, out):
    before = multiprocessing.active_children()
    go(study, out)
    assert "ray" not in sys.modules or not sys.modules["ray"].is_initialized()
    assert multiprocessing.active_children() == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_comes_while_an_owner_answers_ends_the_study_and_not_the_owner(
    study, out, tmp_path, monkeypatch, number
):
    """Else the owner had failed, its cell counted as finished, and the study went on."""
    (tmp_path / f"signalled_{int(number)}.py").write_text(
        "import os\n\n\ndef pick(candidates, query, k):\n"
        f"    os.kill(os.getpid(), {int(number)})\n    return list(range(k))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    study.write_text(STUDY.replace('"random"]', f'"signalled_{int(number)}:pick"]'))
    before = signal.signal(
        number, signal.SIG_DFL
    )  # nohup has tests ignore SIGHUP, as studies then do
    try:
        with pytest.raises(SystemExit) as ended:
            go(study, out)
    finally:
        signal.signal(number, before)
    assert ended.value.code == 128 + number
    assert {row["method"] for row in table(out)} == {"features"}


def test_a_signal_that_comes_while_a_cell_is_kept_ends_the_study_too(study, out, monkeypatch):
    add = StudyStore.add

    def signalled(store, cell, outcome):
        add(store, cell, outcome)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(StudyStore, "add", signalled)
    with pytest.raises(SystemExit) as ended:
        go(study, out)
    assert ended.value.code == 128 + signal.SIGTERM
    assert len(table(out)) == 1


def test_cells_of_a_version_with_another_default_are_not_taken_for_those_of_this_one(study, out):
    go(study, out)
    described = json.loads((out / "study.json").read_text())
    described["defaults"]["subset-weight"] = 0.5
    described["defaults"]["long-gone"] = 1
    (out / "study.json").write_text(json.dumps(described))
    before = table(out)
    with pytest.raises(
        StudyError, match=r"8 cells .* \(subset-weight from 0.5 to 0.25\).*as `out`"
    ):
        go(study, out)
    assert table(out) == before
    del described["defaults"]["subset-weight"]
    (out / "study.json").write_text(json.dumps(described))
    go(study, out)
    # A version that had no such setting ended its runs in another way.
    del described["defaults"]["train-on-validation"]
    (out / "study.json").write_text(json.dumps(described))
    with pytest.raises(StudyError, match=r"\(train-on-validation from False to True\)"):
        go(study, out)


def test_a_summary_says_of_a_cell_only_what_it_has():
    axes = (Axis("mode", ("score", "raw")), Axis("policy.epsilon", (1.0, 2.0)))
    rows = [
        {"part": "", "mode": mode, "policy.epsilon": epsilon, "status": "done", "disclosed": 0,
         "hard": 0.5, "own_hard_set_hard": 0.25, "test": 0.75, "seed": 0}
        for mode, epsilon in (("score", 1.0), ("score", 2.0), ("raw", None))
    ]  # fmt: skip
    _, table = summary_rows(rows, axes)
    assert [row[0] for row in table] == [
        "mode score, policy.epsilon 1.0", "mode score, policy.epsilon 2.0", "mode raw",
    ]  # fmt: skip
    # Of an earlier version: what it did not know has no number.
    assert table[2][1:] == ["50.0", "25.0", "-", "75.0", "0", "1", "0"]
