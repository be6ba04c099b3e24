"""The cells of the table of methods: what is run once, and what it leaves."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch

from benchmarks.tables import keep, stored
from mycroft_fl.examples import Examples
from mycroft_fl.models.fitting import correct
from mycroft_fl.models.networks import Classifier
from mycroft_fl.seeds import derived_seed
from mycroft_fl.selection import gradients
from mycroft_fl.selection.methods import Query, method_named
from simulations.setup.simulation import Simulation
from strategies.training.trainer import Trainer

BUDGETS = (16, 32, 64, 128)
OWN, CONTROL, RANDOM = "own-hard-set", "control", "random"


@dataclass(frozen=True)
class Row:
    """A method, the settings that differ from their default, and how it spends k.

    `atoms` a hard example may go to the match, where that is not as the methods have it;
    `unfilled` leaves out the picks that are no part of the match. `cosine` compares features by
    their angle.
    """

    method: str
    settings: dict[str, Any] = field(default_factory=dict)
    atoms: int | None = None
    unfilled: bool = False
    cosine: bool = False


class CosineQuery(Query):
    """A query whose features have length one, so that Euclidean distances order as cosines do."""

    def features(self, examples: Examples) -> torch.Tensor:
        vectors = super().features(examples)
        norms = torch.linalg.vector_norm(vectors, dim=1, keepdim=True, dtype=torch.float64)
        return (vectors / norms.masked_fill(norms == 0, 1)).to(vectors.dtype)


ALL_LAYERS, MODEL_SPACE = {"gradient_layers": "all"}, {"feature_space": "model"}
UNBOUNDED = 10**6
METHOD_ROWS = {
    "omp": Row("omp"),
    "omp, all layers": Row("omp", ALL_LAYERS),
    "omp-whole": Row("omp-whole"),
    "omp-whole, all layers": Row("omp-whole", ALL_LAYERS),
    "omp-each": Row("omp-each"),
    "gradient-neighbours": Row("gradient-neighbours"),
    "gradient-neighbours, all layers": Row("gradient-neighbours", ALL_LAYERS),
    "features": Row("features"),
    "features, model's space": Row("features", MODEL_SPACE),
    "hard-features": Row("hard-features"),
    "funcfeat": Row("funcfeat"),
    "funcfeat, tuned": Row("funcfeat", {"feature_weight": 0.0}),
    "coverage": Row("coverage"),
    "coverage, model's space": Row("coverage", MODEL_SPACE),
    "omp-coverage": Row("omp-coverage"),
    "knn-shapley": Row("knn-shapley"),
    "transport": Row("transport"),
    RANDOM: Row("random"),
}
CHOICE_ROWS = {
    f"{method}, {output}": Row(method, atoms=atoms, unfilled=unfilled)
    for method in ("omp", "omp-whole")
    for output, atoms, unfilled in (
        ("no atom: neighbours alone", 0, False),
        ("1 atom a hard example", 1, False),
        ("2 atoms", 2, False),
        ("4 atoms", 4, False),
        ("as many as help", UNBOUNDED, False),
        ("as many as help, nothing fills the rest", UNBOUNDED, True),
    )
} | {
    "features": Row("features"),
    "features, cosine": Row("features", cosine=True),
    "features, model's space": Row("features", MODEL_SPACE),
    "features, model's space, cosine": Row("features", MODEL_SPACE, cosine=True),
    RANDOM: Row("random"),
}
ROWS = {"methods": METHOD_ROWS, "choices": CHOICE_ROWS}
FIRST_SEED = {"methods": 0, "choices": 100}
"""What is chosen by a table must not be judged on the same seeds."""


def key_of(name: str, budget: int, seed: int) -> str:
    """Names a cell."""
    return f"{name}|{budget}|{seed}"


def cells(table: str, seed: int) -> Iterator[tuple[str, int, str]]:
    """Row, budget and key of every cell of a seed; the references come once, with budget 0."""
    for name in (CONTROL, OWN):
        yield name, 0, key_of(name, 0, seed)
    for name in ROWS[table]:
        for budget in BUDGETS:
            yield name, budget, key_of(name, budget, seed)


def run_missing(scenario: str, table: str, seed: int, store: Path) -> None:
    """The cells of one seed that `store` lacks; all share one baseline."""
    known = stored(store)
    missing = [cell for cell in cells(table, seed) if cell[2] not in known]
    if not missing:
        return
    torch.set_num_threads(1)
    shortlist = Shortlist.prepared(scenario, seed)
    for name, budget, key in missing:
        keep(store, key, shortlist.cell(name, ROWS[table].get(name), budget))


@dataclass(frozen=True, eq=False)
class Shortlist:
    """One scenario and seed: the trainer with its baseline, the pool, and the test examples."""

    trainer: Trainer
    pool: Examples
    groups: np.ndarray
    test: Examples
    test_groups: np.ndarray
    right_before: np.ndarray

    @classmethod
    def prepared(cls, scenario: str, seed: int) -> Shortlist:
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

    def cell(self, name: str, cell_row: Row | None, budget: int) -> dict[str, Any]:
        """One selection and one fine-tune."""
        if cell_row is None:
            return self._judged(getattr(self.trainer, name.replace("-", "_")))
        picked = self._picked(cell_row, budget)
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

    def _picked(self, wanted: Row, budget: int) -> np.ndarray:
        settings = {"feature_space": self.trainer.config.feature_space} | wanted.settings
        if settings.get("feature_weight") == 0.0:
            settings["feature_weight"] = self._tuned(wanted.method)
        query = (CosineQuery if wanted.cosine else Query)(
            self.trainer.hard_set.sent,
            self.trainer.baseline,
            seed=derived_seed(self.trainer.config.seed, "select", "everyone", 1),
            **settings,
        )
        atoms = gradients.ATOMS_PER_HARD if wanted.atoms is None else wanted.atoms
        with mock.patch.object(gradients, "ATOMS_PER_HARD", atoms):
            found = method_named(wanted.method).select(self.pool, query, budget)
        return found.indices[found.weights > 0] if wanted.unfilled else found.indices

    def _tuned(self, method: str) -> float:
        self.trainer.config = replace(self.trainer.config, method=method)
        return self.trainer.tuned_feature_weight()
