"""The cells of the curves on NSL-KDD: one model fitted once."""

from __future__ import annotations

import tempfile
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
from simulations.population.world import World
from simulations.setup.simulation import Simulation
from strategies.training.trainer import Trainer

SCENARIO, MISSING = "intrusion-nsl-kdd", "missing"
MODELS = ("decision-tree", "random-forest", "gradient-boosting", "mlp")
BUDGETS = (10, 20, 50, 100, 200, 500)
BEYOND = (1000, 2000, 5000, 10000, 18000)
LARGEST_SHARE = 0.85


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
    benches: dict[str, Shortlist] = {}
    world: World | None = None
    for cell in missing:
        if cell.model not in benches:
            benches[cell.model] = Shortlist.prepared(cell.model, seed, world)
            world = benches[cell.model].world
        keep(store, cell.key, benches[cell.model].cell(cell))


@dataclass(frozen=True, eq=False)
class Shortlist:
    """One model and seed: the trainer with its baseline, and the world that it lives in."""

    trainer: Trainer
    world: World

    @classmethod
    def prepared(cls, model: str, seed: int, world: World | None) -> Shortlist:
        with tempfile.TemporaryDirectory() as folder:
            # The published curves are of accuracy; auto would weigh rare attacks.
            settings = {"seed": seed, "model": model, "metric": "accuracy"}
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
        gradient_model = (
            self.trainer.gradient_model if method_named(method).looks_through != "nothing" else None
        )
        query = Query(
            hard=self.trainer.hard_set.sent,
            model=gradient_model,
            feature_space="binning",
            seed=seed,
        )
        return method_named(method).select(held, query, min(k, len(held))).indices
