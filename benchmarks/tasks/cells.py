"""The cells of the two tasks on images: one model fitted once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.tables import keep, stored
from mycroft_fl.examples import Examples
from mycroft_fl.models.fitting import correct
from mycroft_fl.seeds import derived_seed
from mycroft_fl.selection.methods import Query, method_named
from mycroft_fl.settings.run_config import RunConfig
from simulations.population.scenario_file import load_scenario
from simulations.population.world import World
from strategies.training.trainer import Trainer, TrainerData

OWN, CONTROL = "own-hard-set", "control"
HELPFUL = {"encoder": "scarce", "spurious": "swapped"}
METHODS = {"encoder": ("features", "omp", "random"), "spurious": ("features", "random")}
BUDGETS = {"encoder": (100, 200), "spurious": (32, 64)}
SHARES = {"encoder": (0,), "spurious": (5, 2, 10, 20)}
HOLDING = ("a", "b", "c", "d")
ENCODER = "timm:tf_efficientnet_lite0:package@96"
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
    shortlist = Shortlist.prepared(missing[0]) if missing else None
    for cell in missing:
        assert shortlist is not None
        keep(store, cell.key, shortlist.cell(cell))


@dataclass(frozen=True, eq=False)
class Shortlist:
    """One task and seed: the trainer with its baseline, and the world that it lives in."""

    trainer: Trainer
    world: World
    helpful: str

    @classmethod
    def prepared(cls, cell: Cell) -> Shortlist:
        scenario = load_scenario({"encoder": "scarce-cifar10"}.get(cell.task, "spurious-fashion"))
        own: dict[str, Any] = {}
        if cell.task == "encoder":
            scenario = replace(scenario, model=f"linear:{ENCODER}")
            own = {"feature-space": ENCODER}
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
                hard=self.trainer.hard_set.sent,
                model=self.trainer.gradient_model,
                feature_space=self.trainer.config.feature_space,
                seed=seed,
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


def _shared_out(holds: Any, percent: int) -> dict[str, int]:
    """As many examples as before, of which that percentage has its cue swapped."""
    size = sum(holds.values())
    swapped = round(size * percent / 100)
    return {group: n for group, n in (("swapped", swapped), ("usual", size - swapped)) if n}
