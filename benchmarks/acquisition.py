"""What acquisition is worth: methods, allocations, budgets and hard sets, over seeds.

    python benchmarks/acquisition.py SCENARIO [--table main|methods|allocation|budgets|hard-sets] [--seeds 10]
                                     [--jobs 2] [--out benchmarks/results] [--set KEY=VALUE ...]

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
import json
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from joblib import Memory, Parallel, delayed
from tables import keep, paired, points, row, share, stored

from mycroft_fl.commands.common import assigned
from mycroft_fl.config import RunConfig
from mycroft_fl.models.fitting import fit
from mycroft_fl.report.statistics import over_seeds
from simulations.run import run
from simulations.scenario import load_scenario
from simulations.simulation import Simulation
from strategies import trainer
from strategies.run_folder import RunFolder

METHODS = ("hard-features", "features", "omp", "random")
SWEPT = ("hard-features", "random")
FAIR = {"stop-early": False, "scoring.repeats": 1}
Settings = tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class Cell:
    """One run: what it is called in its table, its settings and its seed."""

    row: str
    settings: Settings
    seed: int

    @property
    def key(self) -> str:
        """Names the cell by its settings, whatever table it stands in."""
        defaults = RunConfig().settings()
        told = {key: value for key, value in self.settings if value != defaults.get(key)}
        return json.dumps([sorted(told.items()), self.seed])


def main() -> None:
    """Run what is missing, then print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("scenario")
    parser.add_argument("--table", choices=sorted(CELLS), default="main")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
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
    root = Path(__file__).parents[1]
    packages = ("mycroft_fl", "strategies", "clients", "simulations")
    return digest(file for package in packages for file in (root / package).rglob("*.py"))


def method_cells(seeds: int, given: Settings) -> Iterator[Cell]:
    """All methods."""
    for seed in range(seeds):
        for method in METHODS:
            yield Cell(method, _settings(given, method=method), seed)


def main_cells(seeds: int, given: Settings) -> Iterator[Cell]:
    """All methods and full information; equal shares; and the paper's protocol."""
    yield from method_cells(seeds, given)
    for seed in range(seeds):
        yield Cell("full", _settings(given, method="full"), seed)
        for method in METHODS:
            equal = _settings(given, method=method, allocation="equal")
            yield Cell(f"{method}, equal shares", equal, seed)
        for method in ("hard-features", "random"):
            paper = (("train-on-hard-set", False),)
            yield Cell(
                f"{method}, hard set not trained on", _settings(given, method=method) + paper, seed
            )


def allocation_cells(seeds: int, given: Settings) -> Iterator[Cell]:
    """The best method by score and in equal shares, whose difference is small: give more seeds."""
    for seed in range(seeds):
        for suffix, allocation in (("", "score"), (", equal shares", "equal")):
            settings = _settings(given, method=METHODS[0], allocation=allocation)
            yield Cell(METHODS[0] + suffix, settings, seed)


def budget_cells(seeds: int, given: Settings) -> Iterator[Cell]:
    """Budgets from 30 to 400; pilots never take more than 60 % of eight owners' budget."""
    for seed in range(seeds):
        for budget in (30, 100, 200, 400):
            pilot = max(1, min(15, budget * 6 // 80))
            sizes = (("budget", budget), ("pilot-per-owner", pilot))
            for method in SWEPT:
                yield Cell(f"{method}|{budget}", _settings(given, method=method) + sizes, seed)


def hard_set_cells(seeds: int, given: Settings) -> Iterator[Cell]:
    """Hard sets of 4 to 64."""
    for seed in range(seeds):
        for sent in (4, 8, 16, 32, 64):
            for method in SWEPT:
                size = (("hard-set.sent", sent),)
                yield Cell(f"{method}|{sent}", _settings(given, method=method) + size, seed)


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


KEPT = (
    "baseline",
    "control",
    "own_hard_set",
    "random",
    "final",
    "owners",
    "disclosed",
    "warnings",
    "seconds",
)


def main_table(scenario: str, cells: list[Cell], results: dict[str, dict[str, Any]]) -> str:
    """A row a method with its gains over the own hard set and over random; then the ranking."""
    by_row = _by_row(cells, results)
    some = by_row["random"]
    head = ["", "failures", "over own hard set", "over random", "whole test", "against control, other groups",
            "useful picks", "disclosed", "empty owners last"]  # fmt: skip
    lines = [f"## {scenario}, {len(some)} seeds", "", row(head), "|" + "---|" * len(head)]
    for name, key in (
        ("baseline", "baseline"),
        ("control", "control"),
        ("own hard set", "own_hard_set"),
    ):
        hard = over_seeds([result[key]["hard"] for result in some])
        whole = over_seeds([result[key]["test"] for result in some])
        lines.append(row([name, share(hard), "", "", share(whole), "", "", "", ""]))
    for each, rows in by_row.items():
        own = [result["own_hard_set"]["hard"] for result in rows]
        rival = by_row["random" + each[len(each.split(",")[0]) :]]
        hard = [result["final"]["hard"] for result in rows]
        lucky = [result["final"]["hard"] for result in rival]
        lines.append(row([
            each, share(over_seeds(hard)), points(paired(hard, own)),
            "" if rows is rival else points(paired(hard, lucky)),
            share(over_seeds([result["final"]["test"] for result in rows])),
            points(over_seeds([_elsewhere(result) for result in rows])),
            share(over_seeds([_useful(result) for result in rows])),
            f"{over_seeds([result['disclosed'] for result in rows]).mean:.0f}",
            share(over_seeds([_pairs_in_order(result) for result in rows])),
        ]))  # fmt: skip
    return "\n".join([*lines, "", *_against_equal_shares(by_row)])


def allocation_table(scenario: str, cells: list[Cell], results: dict[str, dict[str, Any]]) -> str:
    """What allocation by score gains over equal shares."""
    by_row = _by_row(cells, results)
    lines = [f"## {scenario}, {len(by_row[METHODS[0]])} seeds", "", *_against_equal_shares(by_row)]
    return "\n".join(lines)


def _against_equal_shares(by_row: dict[str, list[dict[str, Any]]]) -> list[str]:
    """What allocating by score gains over equal shares, paired by seed; and over all methods."""
    gains = {
        method: [
            scored["final"]["hard"] - equal["final"]["hard"]
            for scored, equal in zip(by_row[method], by_row[f"{method}, equal shares"], strict=True)
        ]
        for method in METHODS
        if f"{method}, equal shares" in by_row
    }
    if not gains:
        return []
    if len(gains) > 1:
        # A seed's mean over methods, so that seeds stay the independent draws.
        gains["mean of the methods"] = [
            sum(each) / len(each) for each in zip(*gains.values(), strict=True)
        ]
    head = ["allocation by score over equal shares", "failures"]
    rows = [row([name, points(over_seeds(each))]) for name, each in gains.items()]
    return [row(head), "|---|---|", *rows]


def sweep_table(scenario: str, cells: list[Cell], results: dict[str, dict[str, Any]]) -> str:
    """A row a method, a column a size; accuracy on the failures."""
    by_row = _by_row(cells, results)
    sizes = list(dict.fromkeys(row.split("|")[1] for row in by_row))
    lines = [
        f"## {scenario}, accuracy on the failures",
        "",
        row(["", *sizes]),
        "|---" * (1 + len(sizes)) + "|",
    ]
    own = [
        over_seeds([r["own_hard_set"]["hard"] for r in by_row[f"random|{size}"]]) for size in sizes
    ]
    lines.append(row(["own hard set", *map(share, own)]))
    for method in SWEPT:
        rows = [by_row[f"{method}|{size}"] for size in sizes]
        lines.append(
            row([method, *(share(over_seeds([r["final"]["hard"] for r in each])) for each in rows)])
        )
        gains = [
            paired([r["final"]["hard"] for r in each], [r["own_hard_set"]["hard"] for r in each])
            for each in rows
        ]
        lines.append(row([f"{method}, over own hard set", *map(points, gains)]))
    return "\n".join(lines)


CELLS = {
    "main": main_cells,
    "methods": method_cells,
    "allocation": allocation_cells,
    "budgets": budget_cells,
    "hard-sets": hard_set_cells,
}
TABLES = {
    "main": main_table,
    "methods": main_table,
    "allocation": allocation_table,
    "budgets": sweep_table,
    "hard-sets": sweep_table,
}


def _settings(given: Settings, **own: Any) -> Settings:
    return (*FAIR.items(), *own.items(), *given)


def _by_row(
    cells: Iterable[Cell], results: dict[str, dict[str, Any]]
) -> dict[str, list[dict[str, Any]]]:
    rows: dict[str, list[dict[str, Any]]] = {}
    for cell in cells:
        rows.setdefault(cell.row, []).append(results[cell.key])
    return rows


def _helpful_group(result: dict[str, Any]) -> str:
    """The group that the baseline fails on."""
    groups: dict[str, float] = result["baseline"]["groups"]
    return min(groups, key=lambda group: groups[group])


def _elsewhere(result: dict[str, Any]) -> float:
    """The worst change against control on a group that the baseline does not fail on."""
    failing = _helpful_group(result)
    final, control = result["final"]["groups"], result["control"]["groups"]
    return min(final[group] - control[group] for group in final if group != failing)


def _useful(result: dict[str, Any]) -> float:
    failing = _helpful_group(result)
    useful = sum(owner["disclosed_groups"].get(failing, 0) for owner in result["owners"])
    return useful / max(1, result["disclosed"])


def _pairs_in_order(result: dict[str, Any]) -> float:
    """Share of pairs of a rich owner (a or b) and an empty one in which the empty one ranks below."""
    failing = _helpful_group(result)
    ranks = {owner["owner"]: owner["rank"] or 10**9 for owner in result["owners"]}
    empty = [owner["owner"] for owner in result["owners"] if not owner["holds"].get(failing)]
    pairs = [(rich, poor) for rich in ("a", "b") for poor in empty]
    return (
        sum(ranks[rich] < ranks[poor] for rich, poor in pairs) / len(pairs)
        if pairs
        else float("nan")
    )


if __name__ == "__main__":
    main()
