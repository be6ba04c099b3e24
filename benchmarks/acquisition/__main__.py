"""What acquisition is worth: methods, allocations, budgets and hard sets, over seeds.

    python -m benchmarks.acquisition SCENARIO [--table main|methods|free|allocation|budgets|hard-sets]
                                     [--seeds 10] [--jobs 2] [--out benchmarks/results] [--set KEY=VALUE ...]

Every cell is one whole run in process, with the same rounds and the same allocation rule for all
methods: `stop-early = false`, so that all spend their budget, and, for time, one fine-tune behind
a score. Cells are kept one by one in OUT, and a second call goes on where the first one stopped; a
changed scenario starts anew, and cells of different versions of the code are said. Accuracies are
on test examples that no decision could see; "failures" are those of them that the baseline gets
wrong. Intervals are 95 % over seeds (Student's t), of differences paired by seed.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from joblib import Memory, Parallel, delayed

from benchmarks.acquisition.cells import CELLS, Cell
from benchmarks.acquisition.comparisons import TABLES
from benchmarks.tables import keep, stored
from mycroft_fl.cli.common import assigned
from mycroft_fl.models.fitting import fit
from simulations.engines.run import run
from simulations.population.scenario_file import load_scenario
from simulations.setup.simulation import Simulation
from strategies.runs.folder import RunFolder
from strategies.training import trainer

KEPT = (
    "baseline",
    "control",
    "own_hard_set",
    "free",
    "random",
    "final",
    "owners",
    "disclosed",
    "warnings",
    "seconds",
)


def main() -> None:
    """Run what is missing, then print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("scenario")
    parser.add_argument("--table", choices=sorted(CELLS), default="main")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "results")
    parser.add_argument("--set", dest="assignments", action="append", default=[])
    options = parser.parse_args()
    given = tuple(sorted(assigned(each) for each in options.assignments))
    cells = list(CELLS[options.table](options.seeds, given))
    scenario = load_scenario(options.scenario)
    content = digest([scenario.base / f"{scenario.name}.toml"])
    store = options.out / f"{scenario.name}-{content}.jsonl"
    results = run_missing(options.scenario, cells, store, options.jobs)
    print(TABLES[options.table](options.scenario, cells, results))
    versions = {results[cell.key]["code"] for cell in cells}
    if len(versions) > 1:
        print(f"\nCells of {len(versions)} versions of the code; remove {store} to run all anew.")


def digest(files: Iterable[Path]) -> str:
    """Names the content of `files`."""
    hasher = hashlib.sha256()
    for file in sorted(files):
        hasher.update(file.read_bytes())
    return hasher.hexdigest()[:12]


def code_version() -> str:
    """Names the code that a cell's result depends on."""
    root = Path(__file__).parents[2]
    packages = ("mycroft_fl", "strategies", "clients", "simulations")
    return digest(file for package in packages for file in (root / package).rglob("*.py"))


def run_missing(
    scenario: str, cells: list[Cell], store: Path, jobs: int
) -> dict[str, dict[str, Any]]:
    """Every cell's result by its key; those not in `store` yet are run and added, one by one."""
    results = stored(store)
    missing = {cell.key: cell for cell in cells if cell.key not in results}
    finished = Parallel(n_jobs=jobs, return_as="generator_unordered")(
        delayed(run_cell)(scenario, cell) for cell in missing.values()
    )
    for done, (key, result) in enumerate(finished, start=1):
        results[key] = result
        keep(store, key, result)
        print(f"{done} of {len(missing)} runs", flush=True)
    return results


def run_cell(scenario: str, cell: Cell) -> tuple[str, dict[str, Any]]:
    """One run in a folder that is gone afterwards."""
    # The baseline depends on scenario and seed alone: it is fitted once for all methods.
    trainer.fit = Memory(Path(tempfile.gettempdir()) / "mycroft-baselines", verbose=0).cache(fit)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        settings = dict(cell.settings) | {"seed": cell.seed}
        simulation = Simulation.load(scenario, settings, out, engine="in-process")
        RunFolder.prepared(out, force=False)
        result = run(simulation)
    return cell.key, {key: result[key] for key in KEPT} | {"code": code_version()}


if __name__ == "__main__":
    main()
