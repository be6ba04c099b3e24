"""The scripts of examples/: each runs as its first lines say, and shows what it promises."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mycroft_fl.report.study.folder import read_study
from simulations.engines.processes import MARKER, clear_up, processes_of, stop_processes, watched

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"


def run(name: str, *words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a script in this process, which has loaded torch already."""
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.syspath_prepend(str(EXAMPLES))
    monkeypatch.setattr(sys, "argv", [name, *words])
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")


def owners_shown(shown: str) -> list[list[str]]:
    """Owners from first to last, of each ranking in what a script printed."""
    tables = re.findall(r"rank +owner.*\n((?:(?!\d+ examples) *\d.*\n)+)", shown)
    return [re.findall(r"([a-z]+) ", table.replace("scored", "")) for table in tables]


def test_rankings_are_found_in_what_a_script_prints() -> None:
    rows = "    1     b scored 0.1\n    2     a scored 0.0\n"
    shown = f" rank owner status  score\n{rows}30 examples disclosed\n"
    assert owners_shown(shown) == [["b", "a"]]


def test_private_ranking_moves_no_example_and_its_ledger_adds_up(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    run("private_ranking", monkeypatch=monkeypatch)
    shown = capfd.readouterr().out
    [owners] = owners_shown(shown)
    assert (owners[0], owners[-1]) == ("a", "c")
    assert re.findall(r"(\d+)$", shown.partition("\n\n")[0], re.MULTILINE) == ["0"] * 4
    assert "promises: (epsilon 1, delta 1e-06) per record" in shown
    assert "epsilon: 1 reached, 1 at most" in shown
    assert "the chain is whole" in shown


@pytest.mark.slow
def test_own_data_ranks_last_who_has_nothing_to_give(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run("own_data", monkeypatch=monkeypatch)
    shown = capsys.readouterr().out
    assert [owners[-1] for owners in owners_shown(shown)] == ["office", "arrays"]
    # Rows come back as they stood, and what was dropped does not.
    assert re.search(r"owner +label +bytes +port +proto\n0 +harbour +(attack|normal)", shown)
    assert "session" not in shown


@pytest.mark.slow
def test_own_method_is_run_beside_the_others(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run("own_method", monkeypatch=monkeypatch)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [
        "own_method:surest_neighbours", "hard-features", "random",
    ]  # fmt: skip
    assert all("60 examples disclosed" in line for line in lines)
    # Random picks equal themselves, so the script's method is no other's under a new name.
    assert len({line.split("failures")[1] for line in lines}) >= 2


@pytest.mark.slow
def test_study_prints_a_paired_gain_and_goes_on_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "choice"
    run("study", str(folder), monkeypatch=monkeypatch)
    first = capsys.readouterr().out
    rows = read_study(folder).rows
    assert len(rows) == 6
    hard = {(row["method"], row["seed"]): row["hard"] for row in rows}
    gain = sum(hard["hard-features", seed] - hard["random", seed] for seed in range(3)) / 3
    assert f"{100 * gain:+.1f} points, 3 seeds" in first
    written = {path: path.stat().st_mtime_ns for path in folder.glob("cells/*/cell.json")}
    run("study", str(folder), monkeypatch=monkeypatch)
    assert capsys.readouterr().out == first
    assert {path: path.stat().st_mtime_ns for path in folder.glob("cells/*/cell.json")} == written


@pytest.fixture
def base() -> Iterator[Path]:
    # Not pytest's own: a socket's path may not exceed 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="mycroft-", dir="/tmp")).resolve()
    (folder / "empty").mkdir()
    try:
        with watched(folder, {**os.environ, MARKER: str(folder), "PYTHONPATH": str(ROOT)}):
            yield folder
            stop_processes(folder)
    finally:
        clear_up(folder)


@pytest.mark.slow
def test_real_owners_answer_and_no_process_stays(base: Path) -> None:
    tools = Path(sys.executable).parent
    known = {**os.environ, "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}", MARKER: str(base)}
    ran = subprocess.run(
        ["bash", str(EXAMPLES / "real_owners.sh"), str(base / "here")],
        env=known | {"PYTHONPATH": str(ROOT)}, cwd=base, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.count("records charged: 15 of 100 (15 handed over)") == 2
    assert ran.stdout.count("the chain is whole") == 2
    assert (base / "here" / "run" / "report.html").is_file()
    deadline = time.monotonic() + 60
    while len(left := processes_of(base)) > 1 and time.monotonic() < deadline:
        time.sleep(1)
    assert len(left) <= 1, left  # the watcher alone


def test_every_example_is_run_by_a_test_and_has_a_line_in_the_list() -> None:
    text = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    here = Path(__file__).read_text(encoding="utf-8")
    scripts = sorted(path for path in EXAMPLES.iterdir() if path.suffix in (".py", ".sh"))
    for path in [each for each in scripts if each.name != "example_data.py"]:
        assert f'"{path.stem}"' in here or path.name in here, path.name
    listed = re.findall(r"^\| \[`?([\w.]+)`?\]\(\1\)", text, re.MULTILINE)
    files = {path.name for path in EXAMPLES.iterdir() if path.is_file()}
    assert sorted(listed) == sorted(files - {"README.md"})
