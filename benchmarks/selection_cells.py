"""The cells of the table of methods: what is run once, and what it leaves."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tables import keep, stored

from mycroft_fl.examples import Examples
from mycroft_fl.models.fitting import correct
from mycroft_fl.models.networks import Classifier
from mycroft_fl.seeds import derived_seed
from mycroft_fl.selection import Query, method_named
from simulations.simulation import Simulation
from strategies.rehearsal import rehearsed_feature_weight
from strategies.trainer import Trainer

BUDGETS = (16, 32, 64, 128)
OWN, CONTROL, RANDOM = "own-hard-set", "control", "random"
ROWS: dict[str, tuple[str, dict[str, Any]]] = {
    "omp": ("omp", {}),
    "omp, all layers": ("omp", {"gradient_layers": "all"}),
    "omp-whole": ("omp-whole", {}),
    "omp-whole, all layers": ("omp-whole", {"gradient_layers": "all"}),
    "omp-each": ("omp-each", {}),
    "gradient-neighbours": ("gradient-neighbours", {}),
    "gradient-neighbours, all layers": ("gradient-neighbours", {"gradient_layers": "all"}),
    "features": ("features", {}),
    "features, model's space": ("features", {"feature_space": "model"}),
    "hard-features": ("hard-features", {}),
    "funcfeat": ("funcfeat", {}),
    "funcfeat, rehearsed": ("funcfeat", {"feature_weight": 0.0}),
    "coverage": ("coverage", {}),
    "coverage, model's space": ("coverage", {"feature_space": "model"}),
    "omp-coverage": ("omp-coverage", {}),
    "knn-shapley": ("knn-shapley", {}),
    "transport": ("transport", {}),
    RANDOM: ("random", {}),
}
"""A row's name: the method, and the settings that differ from their default."""


def key_of(name: str, budget: int, seed: int) -> str:
    """Names a cell."""
    return f"{name}|{budget}|{seed}"


def cells(seed: int) -> Iterator[tuple[str, int, str]]:
    """Row, budget and key of every cell of a seed; the references come once, with budget 0."""
    for name in (CONTROL, OWN):
        yield name, 0, key_of(name, 0, seed)
    for name in ROWS:
        for budget in BUDGETS:
            yield name, budget, key_of(name, budget, seed)


def run_missing(scenario: str, seed: int, store: Path) -> None:
    """The cells of one seed that `store` lacks; all share one baseline."""
    known = stored(store)
    missing = [cell for cell in cells(seed) if cell[2] not in known]
    if not missing:
        return
    torch.set_num_threads(1)
    bench = Bench.prepared(scenario, seed)
    for name, budget, key in missing:
        keep(store, key, bench.cell(name, budget))


@dataclass(frozen=True, eq=False)
class Bench:
    """One scenario and seed: the trainer with its baseline, the pool, and the test examples."""

    trainer: Trainer
    pool: Examples
    groups: np.ndarray
    test: Examples
    test_groups: np.ndarray
    right_before: np.ndarray

    @classmethod
    def prepared(cls, scenario: str, seed: int) -> Bench:
        with tempfile.TemporaryDirectory() as folder:
            simulation = Simulation.load(
                scenario, {"seed": seed}, Path(folder) / "run", engine="in-process"
            )
            setup, world = simulation.trainer_setup(), simulation.world
            trainer = Trainer(setup.task, setup.data, setup.config)
        names = [owner.name for owner in simulation.scenario.owners]
        test = world.trainer("test")
        return cls(
            trainer,
            Examples.concatenate([world.owner(name) for name in names]),
            np.concatenate([world.owner_groups(name) for name in names]),
            test,
            world.trainer_groups("test"),
            correct(trainer.baseline, test),
        )

    def cell(self, name: str, budget: int) -> dict[str, Any]:
        """One selection and one fine-tune."""
        if name in (CONTROL, OWN):
            return self._judged(
                self.trainer.control if name == CONTROL else self.trainer.own_hard_set
            )
        picked = self._picked(name, budget)
        return self._judged(self.trainer.improved(self.pool[picked])) | {
            "picked": len(picked),
            "useful": float((self.groups[picked] == self._failing).mean()) if len(picked) else 0.0,
        }

    @property
    def _failing(self) -> str:
        """The group that the baseline fails on."""
        groups = np.unique(self.test_groups)
        reached = [self.right_before[self.test_groups == group].mean() for group in groups]
        return str(groups[int(np.argmin(reached))])

    def _judged(self, model: Classifier) -> dict[str, Any]:
        right = correct(model, self.test)
        return {
            "failures": float(right[~self.right_before].mean()),
            "test": float(right.mean()),
            "others": float(right[self.test_groups != self._failing].mean()),
        }

    def _picked(self, name: str, budget: int) -> np.ndarray:
        method, settings = ROWS[name]
        settings = {"feature_space": self.trainer.config.feature_space} | settings
        if settings.get("feature_weight") == 0.0:
            settings["feature_weight"] = self._rehearsed(method)
        query = Query(
            self.trainer.hard_set.sent,
            self.trainer.baseline,
            seed=derived_seed(self.trainer.config.seed, "select", "everyone", 1),
            **settings,
        )
        return method_named(method).select(self.pool, query, budget).indices

    def _rehearsed(self, method: str) -> float:
        self.trainer.config = replace(self.trainer.config, method=method)
        return rehearsed_feature_weight(self.trainer)
