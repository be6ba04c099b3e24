"""The runs of a table of shifts: each once, in this process, kept line by line."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.acquisition.__main__ import code_version, digest
from benchmarks.shifts.worlds import RULES, WORLDS
from benchmarks.tables import keep, stored
from mycroft_fl.report.run.answer import answer
from mycroft_fl.report.study.folder import FAILED
from simulations.population.scenario_file import load_scenario
from simulations.study import cells
from simulations.study.cell_runner import CellRunner

KEPT = (
    "baseline", "control", "own_hard_set", "free", "random", "final", "free_is", "final_is", "owners",
    "disclosed", "warnings", "seconds",
)  # fmt: skip
Given = tuple[tuple[str, Any], ...]
Result = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """One rule in one world with one seed; `given` is laid over both."""

    world: str
    rule: str
    given: Given
    seed: int

    @property
    def settings(self) -> dict[str, Any]:
        """All that is laid over the scenario."""
        return {
            **WORLDS[self.world].settings,
            **RULES[self.rule],
            **dict(self.given),
            "seed": self.seed,
        }

    @property
    def key(self) -> str:
        """Names the run by its settings, whatever its rule is called."""
        return json.dumps(sorted(self.settings.items()))


def store_of(world: str, folder: Path) -> Path:
    """The file of a scenario's results; a changed scenario has another."""
    scenario = load_scenario(WORLDS[world].scenario)
    content = digest([scenario.base / f"{scenario.name}.toml"])
    return folder / f"shifts-{scenario.name}-{content}.jsonl"


def results_of(runs: Sequence[Run], folder: Path) -> dict[Run, Result]:
    """Every run's result; those of one world that are not kept yet are run and kept, one by one.

    A run that failed is printed with its reason, and has no result.
    """
    if not runs:
        return {}
    store = store_of(runs[0].world, folder)
    known = stored(store)
    missing = [run for run in runs if run.key not in known]
    for run, result in _finished(missing):
        known[run.key] = result
        keep(store, run.key, result)
    return {run: known[run.key] for run in runs if run.key in known}


def _finished(runs: Sequence[Run]) -> Iterator[tuple[Run, Result]]:
    """Rules of one seed share their world, baseline and references."""
    runner = CellRunner()
    try:
        for run in sorted(runs, key=lambda each: each.seed):
            cell = cells.Cell(
                {}, WORLDS[run.world].scenario, run.settings, cells.IN_PROCESS, run.key, run.world
            )
            since = time.process_time()
            outcome = runner.run(cell)
            spent = time.process_time() - since
            if outcome.status == FAILED or outcome.result is None:
                print(f"{run.world}, {run.rule}, seed {run.seed}: {outcome.reason}", flush=True)
                continue
            print(f"{run.world}, {run.rule}, seed {run.seed}: {spent:.1f} CPU seconds", flush=True)
            yield run, _kept(outcome.result, spent)
    finally:
        runner.close()


def _kept(result: Result, spent: float) -> Result:
    return {key: result[key] for key in KEPT} | {
        "verdict": answer(result).verdict,
        "processor_seconds": round(spent, 2),
        "code": code_version(),
    }
