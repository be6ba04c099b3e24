"""Choosing, among one owner's examples, those that help with the hard set: the methods, by name.

A method is a function `(candidates, query, k) -> Selection`. To add one, write it and name it in
`METHODS`, or give its import path, `package.module:function`, as the method's name.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int

from mycroft_fl.config import suggestion
from mycroft_fl.errors import SettingError
from mycroft_fl.examples import Examples
from mycroft_fl.match.nearest import nearest
from mycroft_fl.match.omp import orthogonal_matching_pursuit
from mycroft_fl.match.uniform import uniform
from mycroft_fl.models.fitting import as_input, correct
from mycroft_fl.models.networks import Classifier
from mycroft_fl.represent.gradients import last_layer_gradients
from mycroft_fl.represent.spaces import space_named


@dataclass(frozen=True)
class Selection:
    """What one owner picked. Never leaves the owner.

    `weights` are non-negative, one per index; `unexplained` is the share of the target that the
    picks leave open: for several targets its mean, 1 where a method has no such notion.
    """

    indices: Int[np.ndarray, " k"]
    weights: Float[np.ndarray, " k"]
    unexplained: float = 1.0

    @classmethod
    def unweighted(cls, indices: Int[np.ndarray, " k"]) -> Selection:
        """Picks that all weigh the same."""
        return cls(indices, np.ones(len(indices)))


@dataclass(frozen=True)
class Query:
    """What a method may look at besides the candidates.

    `model` is the one whose gradients count (the trainer's, or an early one of the owner's), and
    is None where the method asked for none.
    """

    hard: Examples
    model: Classifier | None
    feature_space: str
    seed: int

    def require_model(self) -> Classifier:
        """The model, for a method that cannot do without."""
        if self.model is None:
            raise SettingError("this method looks through a model, and the request brought none")
        return self.model

    def features(self, examples: Examples) -> Float[torch.Tensor, "n d"]:
        """The examples in the feature space that was asked for."""
        return space_named(self.feature_space)(examples, self)


Select = Callable[[Examples, Query, int], Selection]


@dataclass(frozen=True)
class Method:
    """A way to choose. `looks_through` says whose eyes it needs, and so what must travel.

    "nothing": the data alone; "a-model": gradients of the trainer's model or of the owner's own;
    "trainer-model": the trainer's and no other.
    """

    select: Select
    looks_through: str = "a-model"
    everything: bool = False


def omp(candidates: Examples, query: Query, k: int) -> Selection:
    """Gradient matching per class: candidates of a class against the hard examples of that class.

    Each class may spend its share of k, and ends early where nothing improves the match.
    Killamsetty et al. 2021, Algorithm 2 (GRAD-MATCH), per class as in Mycroft (arXiv 2410.08432).
    """
    model = query.require_model()
    hard = last_layer_gradients(model, as_input(query.hard.x), torch.from_numpy(query.hard.y))
    atoms = last_layer_gradients(model, as_input(candidates.x), torch.from_numpy(candidates.y))
    classes, hard_counts = np.unique(query.hard.y, return_counts=True)
    pools = [np.flatnonzero(candidates.y == label) for label in classes]
    spend = shares(k, hard_counts, np.array([len(pool) for pool in pools]))
    picks, weights, unexplained = [np.empty(0, np.int64)], [np.empty(0)], []
    for label, pool, allowed in zip(classes, pools, spend, strict=True):
        if allowed == 0:
            unexplained.append(1.0)
            continue
        target = hard[torch.from_numpy(np.flatnonzero(query.hard.y == label))].mean()
        found = orthogonal_matching_pursuit(atoms[torch.from_numpy(pool)], target, int(allowed))
        picks.append(pool[found.indices.numpy()])
        weights.append(found.weights.numpy())
        unexplained.append(found.unexplained)
    mean_unexplained = float(np.average(unexplained, weights=hard_counts))
    return Selection(np.concatenate(picks), np.concatenate(weights), mean_unexplained)


def features(candidates: Examples, query: Query, k: int) -> Selection:
    """The nearest candidates of the same class, each hard example in turn."""
    return Selection.unweighted(_nearest(candidates, query, k))


def hard_features(candidates: Examples, query: Query, k: int) -> Selection:
    """The nearest of those candidates that the trainer's model gets wrong.

    May end with fewer than k: what the model already gets right is not offered as a substitute.
    """
    wrong = np.flatnonzero(~correct(query.require_model(), candidates))
    return Selection.unweighted(wrong[_nearest(candidates[wrong], query, k)])


def random(candidates: Examples, query: Query, k: int) -> Selection:
    """Candidates drawn uniformly at random."""
    return Selection.unweighted(uniform(len(candidates), k, np.random.default_rng(query.seed)))


def full(candidates: Examples, query: Query, k: int) -> Selection:
    """Everything, as far as `k` allows: full information, the reference from above."""
    return Selection.unweighted(np.arange(min(k, len(candidates))))


METHODS: dict[str, Method] = {
    "omp": Method(omp),
    "features": Method(features, looks_through="nothing"),
    "hard-features": Method(hard_features, looks_through="trainer-model"),
    "random": Method(random, looks_through="nothing"),
    "full": Method(full, looks_through="nothing", everything=True),
}


def method_named(name: str) -> Method:
    """The built-in method called `name`, or the function at `package.module:function`."""
    if name in METHODS:
        return METHODS[name]
    if ":" not in name:
        raise SettingError(f"unknown method '{name}'{suggestion(name, list(METHODS))}")
    module_name, _, function_name = name.partition(":")
    try:
        function = getattr(importlib.import_module(module_name), function_name)
    except (Exception, SystemExit) as error:  # a module of somebody's own may raise anything
        raise SettingError(
            f"method '{name}' cannot be imported ({error}); give package.module:function, "
            "importable from the folder you are in"
        ) from error
    if not callable(function) or _parameters(function) != 3:
        raise SettingError(f"method '{name}' must be a function of (candidates, query, k)")
    return Method(function)


def _parameters(function: Callable) -> int | None:
    """How many there are; None for a function in C that does not tell."""
    try:
        return len(inspect.signature(function).parameters)
    except ValueError:
        return None


def shares(
    total: int, weights: Int[np.ndarray, " c"], most: Int[np.ndarray, " c"]
) -> Int[np.ndarray, " c"]:
    """`total` split in proportion to `weights`, none above `most`; what is cut goes to the rest."""
    full = (weights <= 0) | (most <= 0)
    granted = np.zeros(len(weights), dtype=np.int64)
    # Whoever's proportion passes its cap gets the cap, and the others divide the rest.
    while not full.all():
        left = total - granted.sum()
        exact = np.where(full, 0, left * weights / weights[~full].sum())
        capped = ~full & (exact >= most)
        if not capped.any():
            floors = np.floor(exact).astype(np.int64)
            # What rounding down leaves: the largest fractions first, ties to the first.
            by_fraction = np.argsort(-np.where(full, -1, exact - floors), kind="stable")
            floors[by_fraction[: left - floors.sum()]] += 1
            return granted + floors
        granted[capped] = most[capped]
        full |= capped
    return granted


def _nearest(candidates: Examples, query: Query, k: int) -> Int[np.ndarray, " j"]:
    if len(candidates) == 0:
        return np.empty(0, dtype=np.int64)
    return nearest(
        query.features(candidates),
        query.features(query.hard),
        k,
        candidate_labels=torch.from_numpy(candidates.y),
        hard_labels=torch.from_numpy(query.hard.y),
    ).numpy()
