"""NSL-KDD: the curve over budgets on three attacks that the trainer lacks, and where random catches up.

    python benchmarks/intrusion.py [--seeds 10] [--first 0] [--jobs 2] [--out benchmarks/results]

One round of equal shares: each of six owners picks its sixth of the budget among its own 3,000
connections, by the method itself; then the trainer's model is fitted with all of them. No
allocation, so that nothing but the choice differs. Owners' examples weigh together a quarter of the
fit, or what their number says where that is more, so that a rival with many is not held down.

`random` goes on until it has everything that owners hold. The example count of the own hard set is
free; the rows "with the hard set" train on it too, the others follow the paper and do not. Accuracy
is that on the missing attacks of the test file, which no decision could see; intervals are 95 % over
seeds (Student's t). Cells are kept one by one in OUT/intrusion.jsonl, and a second call goes on
where the first one stopped; remove the file after a change to a model or method.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from joblib import Parallel, delayed
from tables import keep, points, row, rule, share, stored

from mycroft_fl.examples import Examples
from mycroft_fl.models.fitting import correct
from mycroft_fl.report.statistics import over_seeds
from mycroft_fl.seeds import derived_seed
from mycroft_fl.selection import Query, method_named
from simulations.simulation import Simulation
from simulations.world import World
from strategies.trainer import Trainer

SCENARIO, MISSING = "intrusion-nsl-kdd", "missing"
MODELS = ("decision-tree", "random-forest", "gradient-boosting", "mlp")
BUDGETS = (10, 20, 50, 100, 200, 500)
BEYOND = (1000, 2000, 5000, 10000, 18000)
LARGEST_SHARE = 0.85
DRAWS = 2000


@dataclass(frozen=True)
class Cell:
    """One model fitted once. Budget 0 is a reference without owners."""

    model: str
    method: str
    budget: int
    with_hard_set: bool
    seed: int

    @property
    def key(self) -> str:
        """Names the cell."""
        return f"{self.model}|{self.method}|{self.budget}|{self.with_hard_set}|{self.seed}"


def main() -> None:
    """Run what is missing, then print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    store = options.out / "intrusion.jsonl"
    seeds = range(options.first, options.first + options.seeds)
    finished = Parallel(n_jobs=options.jobs, return_as="generator_unordered")(
        delayed(run_missing)(seed, store) for seed in seeds
    )
    for done, _ in enumerate(finished, start=1):
        print(f"{done} of {options.seeds} seeds", flush=True)
    curves = Curves(seeds, stored(store))
    for model in MODELS:
        print(f"\n## {model}\n\n{curves.table(model)}")
    print(f"\n{curves.catching_up()}")


def methods_of(model: str) -> tuple[str, ...]:
    """Gradients need a network."""
    return ("features", "features-diverse", *(("omp",) if model == "mlp" else ()), "random")


def cells(seed: int) -> Iterator[Cell]:
    """All cells of a seed."""
    for model in MODELS:
        for with_hard_set in (False, True):
            yield Cell(model, "no owner", 0, with_hard_set, seed)
        for method in methods_of(model):
            for budget in BUDGETS + (BEYOND if method == "random" else ()):
                yield Cell(model, method, budget, False, seed)
            if method in ("features", "random"):
                for budget in BUDGETS:
                    yield Cell(model, method, budget, True, seed)


def run_missing(seed: int, store: Path) -> None:
    """The cells of one seed that `store` lacks; all share one world, those of a model one baseline."""
    known = stored(store)
    missing = [cell for cell in cells(seed) if cell.key not in known]
    torch.set_num_threads(1)
    benches: dict[str, Bench] = {}
    world: World | None = None
    for cell in missing:
        if cell.model not in benches:
            benches[cell.model] = Bench.prepared(cell.model, seed, world)
            world = benches[cell.model].world
        keep(store, cell.key, benches[cell.model].cell(cell))


@dataclass(frozen=True, eq=False)
class Bench:
    """One model and seed: the trainer with its baseline, and the world that it lives in."""

    trainer: Trainer
    world: World

    @classmethod
    def prepared(cls, model: str, seed: int, world: World | None) -> Bench:
        with tempfile.TemporaryDirectory() as folder:
            settings = {"seed": seed, "model": model}
            simulation = Simulation.load(
                SCENARIO, settings, Path(folder) / "run", engine="in-process"
            )
            if world is not None:  # the same draws, whatever the model
                simulation.__dict__["world"] = world
            task = replace(simulation.task, model=model)
            setup = simulation.trainer_setup()
            return cls(Trainer(task, setup.data, setup.config), simulation.world)

    @cached_property
    def owners(self) -> list[tuple[str, Examples, np.ndarray]]:
        """Each owner's name, examples and their groups."""
        names = [owner.name for owner in self.world.scenario.owners]
        return [(name, self.world.owner(name), self.world.owner_groups(name)) for name in names]

    def cell(self, cell: Cell) -> dict[str, Any]:
        """One round of picking and one fit."""
        parts, useful = [], 0
        for place, (name, held, groups) in enumerate(self.owners if cell.budget else ()):
            k = cell.budget // len(self.owners) + (place < cell.budget % len(self.owners))
            picked = self._picked(name, held, cell.method, k)
            parts.append(held[picked])
            useful += int((groups[picked] == MISSING).sum())
        subset = Examples.concatenate(parts) if parts else None
        n = len(subset) if subset is not None else 0
        pooled = n / (n + len(self.trainer.train))
        self.trainer.config = replace(
            self.trainer.config,
            train_on_hard_set=cell.with_hard_set,
            subset_weight=min(max(0.25, pooled), LARGEST_SHARE if cell.with_hard_set else 0.9),
        )
        right = correct(self.trainer.improved(subset if n else None), self.world.trainer("test"))
        there = self.world.trainer_groups("test") == MISSING
        return {
            "missing": float(right[there].mean()),
            "known": float(right[~there].mean()),
            "disclosed": n,
            "useful": useful,
        }

    def _picked(self, name: str, held: Examples, method: str, k: int) -> np.ndarray:
        if k == 0:
            return np.empty(0, np.int64)
        seed = derived_seed(self.trainer.config.seed, "select", name, 1)
        eyes = self.trainer.eyes if method_named(method).looks_through != "nothing" else None
        query = Query(self.trainer.hard_set.sent, eyes, "binning", seed)
        return method_named(method).select(held, query, min(k, len(held))).indices


@dataclass(frozen=True)
class Curves:
    """All cells of some seeds."""

    seeds: range
    results: dict[str, dict[str, Any]]

    def values(self, what: str, *cell: Any) -> np.ndarray:
        """One value a seed of a cell given by model, method, budget and hard set."""
        keys = [Cell(*cell, seed).key for seed in self.seeds]
        return np.array([self.results[key][what] for key in keys], dtype=np.float64)

    def table(self, model: str) -> str:
        """A row a method, a column a budget; accuracy on the missing attacks."""
        budgets = BUDGETS + BEYOND
        lines = [row(["", *map(str, budgets)]), rule(1 + len(budgets))]
        for method in methods_of(model):
            own = BUDGETS if method != "random" else budgets
            lines.append(self._row(method, model, method, own, False))
            disclosed = [self.values("disclosed", model, method, b, False).mean() for b in own]
            if method != "random":
                lines.append(row([f"{method}: disclosed", *(f"{n:.0f}" for n in disclosed)]))
        for method in ("features", "random"):
            name = f"{method}, with the hard set"
            lines.append(self._row(name, model, method, BUDGETS, True))
        free = over_seeds(list(self.values("missing", model, "no owner", 0, True)))
        control = over_seeds(list(self.values("known", model, "no owner", 0, False)))
        lines += [
            "",
            f"Own hard set, no owner: {share(free)}. Known traffic: {share(control)} without owners,",
        ]
        for budget in (50, 500):
            lost = self.values("known", model, "features", budget, False) - self.values(
                "known", model, "no owner", 0, False
            )
            lines.append(f"{points(over_seeds(list(lost)))} with {budget} by features,")
        return "\n".join(lines)

    def _row(self, name: str, model: str, method: str, budgets: Any, hard: bool) -> str:
        reached = [
            over_seeds(list(self.values("missing", model, method, b, hard))) for b in budgets
        ]
        return row([name, *map(share, reached)])

    def catching_up(self) -> str:
        """With how many times as many examples random comes as far, and the interval over seeds."""
        lines = [row(["random needs", *map(str, BUDGETS)]), rule(1 + len(BUDGETS))]
        for model in MODELS:
            for method in methods_of(model)[:-1]:
                times = [self._times(model, method, budget) for budget in BUDGETS]
                lines.append(row([f"{model}, {method}", *times]))
        return "\n".join(lines)

    def _times(self, model: str, method: str, budget: int) -> str:
        """Mean curves of seeds drawn again and again give the interval (bootstrap, percentiles)."""
        reached = self.values("missing", model, method, budget, False)
        spent = self.values("disclosed", model, method, budget, False)
        sizes = np.array(BUDGETS + BEYOND, dtype=np.float64)
        lucky = np.stack([self.values("missing", model, "random", int(n), False) for n in sizes])
        rng, n = np.random.default_rng(0), len(self.seeds)
        found = [
            needed(sizes, lucky[:, of].mean(1), reached[of].mean()) / spent[of].mean()
            for of in [np.arange(n), *rng.integers(n, size=(DRAWS, n))]
        ]
        low, high = np.quantile(found[1:], [0.025, 0.975], method="nearest")
        most = sizes[-1] / spent.mean()
        return (
            f"{_times_text(found[0], most)} ({_times_text(low, most)} to {_times_text(high, most)})"
        )


def needed(sizes: np.ndarray, curve: np.ndarray, reached: float) -> float:
    """Where a curve first comes to `reached`, between two sizes on a logarithmic scale."""
    above = np.flatnonzero(curve >= reached)
    if len(above) == 0:
        return float("inf")
    at = int(above[0])
    if at == 0:
        return float(sizes[0])
    part = (reached - curve[at - 1]) / (curve[at] - curve[at - 1])
    return float(np.exp(np.log(sizes[at - 1]) + part * np.log(sizes[at] / sizes[at - 1])))


def _times_text(times: float, most: float) -> str:
    return f"{times:.1f}x" if np.isfinite(times) else f"> {most:.0f}x"


if __name__ == "__main__":
    main()
