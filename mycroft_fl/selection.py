"""Choosing, among one owner's examples, those that help with the hard set: the methods, by name.

A method is a function `(candidates, query, k) -> Selection`. To add one, write it and name it in
`METHODS`, or give its import path, `package.module:function`, as the method's name.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, cast

import torch
from jaxtyping import Float

from mycroft_fl.config import suggestion
from mycroft_fl.device import torch_device
from mycroft_fl.errors import SettingError
from mycroft_fl.examples import Examples
from mycroft_fl.methods.choice import Selection, shares
from mycroft_fl.methods.features import coverage, features, features_to_set, hard_features
from mycroft_fl.methods.gradients import (
    funcfeat,
    gradient_neighbours,
    omp,
    omp_coverage,
    omp_each,
    omp_whole,
)
from mycroft_fl.methods.references import full, random
from mycroft_fl.methods.valuation import knn_shapley, transport
from mycroft_fl.models.fitting import as_input
from mycroft_fl.models.networks import Classifier
from mycroft_fl.represent.gradients import Atoms, DenseAtoms, gradients

__all__ = ["METHODS", "Method", "Query", "Selection", "method_named", "shares"]


@dataclass(frozen=True)
class Query:
    """What a method may look at besides the candidates.

    `model` is the one whose gradients count (the trainer's, or an early one of the owner's), and
    is None where the method asked for none. `disclosed` are the owner's own examples that it
    handed over before: a later choice goes on from them. `gradient_layers`, `feature_weight` and
    `device` are the run's settings of these names. With `ready` an example's x is its gradient.
    """

    hard: Examples
    model: Classifier | None
    feature_space: str
    seed: int
    disclosed: Examples | None = None
    gradient_layers: str = "last"
    feature_weight: float = 1.0
    device: str = "cpu"
    ready: bool = False

    def require_model(self) -> Classifier:
        """The model, for a method that cannot do without."""
        if self.model is None:
            raise SettingError("this method looks through a model, and the request brought none")
        return self.model

    def features(self, examples: Examples) -> Float[torch.Tensor, "n d"]:
        """The examples in the feature space that was asked for."""
        x = as_input(examples.x)
        if self.feature_space == "pixels":
            return x.flatten(start_dim=1)
        model = self.require_model().eval()
        with torch.no_grad():
            return torch.cat([model.features(part) for part in torch.split(x, 1024)])

    def gradients(self, examples: Examples) -> Atoms:
        """Each example's gradient of the loss, by the layers that were asked for, as factors."""
        x, device = as_input(examples.x), torch_device(self.device)
        if self.ready:
            return DenseAtoms(x.to(device))
        y, layers = torch.from_numpy(examples.y), cast(Literal["last", "all"], self.gradient_layers)
        return gradients(self.require_model(), x, y, layers=layers, device=device)


Select = Callable[[Examples, Query, int], Selection]


@dataclass(frozen=True)
class Method:
    """A way to choose. `looks_through` says whose eyes it needs, and so what must travel.

    "nothing": the data alone; "a-model": gradients of the trainer's model or of the owner's own;
    "trainer-model": the trainer's and no other. `by_class`: a candidate is of use only to hard
    examples of its class. `weighs_features`: it reads the query's `feature_weight`.
    """

    select: Select
    looks_through: str = "a-model"
    everything: bool = False
    by_class: bool = True
    weighs_features: bool = False


METHODS: dict[str, Method] = {
    "omp": Method(omp),
    "omp-whole": Method(omp_whole, by_class=False),
    "omp-each": Method(omp_each),
    "gradient-neighbours": Method(gradient_neighbours, by_class=False),
    "features": Method(features, looks_through="nothing"),
    "features-to-set": Method(features_to_set, looks_through="nothing"),
    "hard-features": Method(hard_features, looks_through="trainer-model"),
    "funcfeat": Method(funcfeat, weighs_features=True),
    "coverage": Method(coverage, looks_through="nothing"),
    "omp-coverage": Method(omp_coverage, weighs_features=True),
    "knn-shapley": Method(knn_shapley, looks_through="nothing"),
    "transport": Method(transport, looks_through="nothing", by_class=False),
    "random": Method(random, looks_through="nothing", by_class=False),
    "full": Method(full, looks_through="nothing", everything=True, by_class=False),
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
    return Method(function, by_class=False)


def _parameters(function: Callable) -> int | None:
    """How many there are; None for a function in C that does not tell."""
    try:
        return len(inspect.signature(function).parameters)
    except ValueError:
        return None
