"""What a study costs beyond its runs, what its cells save by sharing, and what a second worker brings.

    python -m benchmarks.study [--jobs 2] [--seeds 4] [--budgets 40,80] [--study FILE]

The study is eight cells a seed on rotated-digits (four methods, two budgets, one selection each), or
the one in FILE.
`overhead`: wall-clock and processor time of a study in one process, from its first to its last cell,
less that of the runs alone, a cell.
`sharing`: processor time of the runs of one seed, with and without what they share.
`speed`: wall-clock with one job and with `--jobs`, with and without Ray's start.
The machine must have nothing else to do.
"""

from __future__ import annotations

import argparse
import io
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

from simulations.study import cell_runner
from simulations.study.cells import planned
from simulations.study.file import StudyFile, load_study
from simulations.study.run import run_study
from simulations.study.workers import WorkerSettings, computed

STUDY = """
title = "What a study costs"
seeds = {seeds}
[run]
owners = 1
num-rounds = 1
pilot-per-owner = 1000
stop-early = false
scoring.repeats = 1
[grid]
scenario = "rotated-digits"
method = ["omp", "features", "hard-features", "random"]
budget = [{budgets}]
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--budgets", default="40,80")
    parser.add_argument("--study", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = given.study or Path(folder) / "study.toml"
        if given.study is None:
            file.write_text(STUDY.format(seeds=given.seeds, budgets=given.budgets))
        output = load_study(file)
        print(f"{len(planned(output))} cells, {len(output.seeds)} seeds", flush=True)
        overhead(file, Path(folder) / "one")
        sharing(replace(output, seeds=output.seeds[:1]), Path(folder))
        speed(output, Path(folder), given.jobs)


def overhead(file: Path, out: Path) -> None:
    """What a cell costs beyond its run."""
    spent = [0.0, 0.0]
    with mock.patch.object(cell_runner, "run", timed(cell_runner.run, spent)):
        before = time.monotonic(), time.process_time()
        store = run_study(file, out, WorkerSettings(jobs=1), stream=io.StringIO())
        after = time.monotonic(), time.process_time()
    cells = store.finished()
    for name, start, end, runs in zip(
        ("wall-clock", "processor"), before, after, spent, strict=True
    ):
        beyond = (end - start - runs) / cells
        print(f"overhead, {name}: {beyond:.3f} s a cell beyond {runs / cells:.2f} s of its run")


def timed(run: Callable[..., Any], spent: list[float]) -> Callable[..., Any]:
    """`run`, adding up its wall-clock and processor time."""

    def timing(*args: Any) -> Any:
        before = time.monotonic(), time.process_time()
        try:
            return run(*args)
        finally:
            spent[0] += time.monotonic() - before[0]
            spent[1] += time.process_time() - before[1]

    return timing


def sharing(study: StudyFile, folder: Path) -> None:
    """What the runs of one seed take, with and without what they share."""
    cells = planned(study)
    taken = []
    for sharing in (cell_runner.sharing, nullcontext):
        with mock.patch.object(cell_runner, "sharing", sharing):
            before = time.process_time()
            for _ in computed(cells, WorkerSettings(jobs=1), folder):
                pass
            taken.append((time.process_time() - before) / len(cells))
    print(f"sharing, processor: {taken[0]:.2f} s a cell, without it {taken[1]:.2f} s")


def speed(study: StudyFile, folder: Path, jobs: int) -> None:
    """How long all cells take with one job and with more."""
    cells = planned(study)
    whole, working = {}, {}
    for force in (WorkerSettings(1), WorkerSettings(jobs)):
        since, first = time.monotonic(), 0.0
        for _, outcome in computed(cells, force, folder):
            first = first or time.monotonic() - outcome.seconds
        whole[force.jobs] = time.monotonic() - since
        working[force.jobs] = time.monotonic() - first
        print(f"speed, {force.jobs} jobs: {whole[force.jobs]:.1f} s", flush=True)
    print(
        f"speed-up: {whole[1] / whole[jobs]:.2f}, {working[1] / working[jobs]:.2f} without the start"
    )


if __name__ == "__main__":
    main()
