"""The methods, by name: each chooses those of an owner's examples that help with the hard set.

A method is a function `(candidates, query, k) -> Selection`. To add one, write it and name it in
`METHODS`, or give its import path, `package.module:function`, as the method's name.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass

from mycroft_fl import entry_points
from mycroft_fl.entry_points import added, loaded
from mycroft_fl.errors import SettingError, suggestion
from mycroft_fl.examples import Examples
from mycroft_fl.selection.features import (
    coverage,
    features,
    features_diverse,
    features_to_set,
    hard_features,
)
from mycroft_fl.selection.gradients import (
    funcfeat,
    gradient_neighbours,
    omp,
    omp_coverage,
    omp_each,
    omp_whole,
)
from mycroft_fl.selection.query import Query
from mycroft_fl.selection.references import full, random
from mycroft_fl.selection.region import detector_cover
from mycroft_fl.selection.result import Selection, shares
from mycroft_fl.selection.valuation import knn_shapley, transport
from mycroft_fl.settings.run_config import RunConfig

__all__ = ["METHODS", "Method", "Query", "Selection", "method_named", "sent_in", "shares"]


Select = Callable[[Examples, Query, int], Selection]


@dataclass(frozen=True)
class Method:
    """A way to choose. `looks_through` says whose model it needs, and so what must travel.

    "nothing": the data alone; "a-model": gradients of the trainer's model or of the owner's own;
    "trainer-model": the trainer's and no other. `by_class`: a candidate is of use only to hard
    examples of its class. `weighs_features`: it reads the query's `feature_weight`. `takes`: what it
    can go by, as `request` calls it.
    """

    select: Select
    looks_through: str = "a-model"
    everything: bool = False
    by_class: bool = True
    weighs_features: bool = False
    takes: tuple[str, ...] = ("hard-set",)


ANYTHING = ("hard-set", "target", "detector")

METHODS: dict[str, Method] = {
    "omp": Method(omp),
    "omp-whole": Method(omp_whole, by_class=False, takes=("hard-set", "target")),
    "omp-each": Method(omp_each),
    "gradient-neighbours": Method(
        gradient_neighbours, by_class=False, takes=("hard-set", "target")
    ),
    "features": Method(features, looks_through="nothing"),
    "features-to-set": Method(features_to_set, looks_through="nothing"),
    "features-diverse": Method(features_diverse, looks_through="nothing"),
    "hard-features": Method(hard_features, looks_through="trainer-model"),
    "funcfeat": Method(funcfeat, weighs_features=True),
    "coverage": Method(coverage, looks_through="nothing"),
    "omp-coverage": Method(omp_coverage, weighs_features=True),
    "knn-shapley": Method(knn_shapley, looks_through="nothing"),
    "transport": Method(transport, looks_through="nothing", by_class=False),
    "detector-cover": Method(
        detector_cover, looks_through="nothing", by_class=False, takes=("detector",)
    ),
    "random": Method(random, looks_through="nothing", by_class=False, takes=ANYTHING),
    "full": Method(full, looks_through="nothing", everything=True, by_class=False, takes=ANYTHING),
}


def method_named(name: str | Select) -> Method:
    """Find the method called `name`: built-in, an installed package's, or at `package.module:function`.

    A function is a method already. `SettingError` for what is none.
    """
    if not isinstance(name, str):
        return _own(getattr(name, "__name__", repr(name)), name)
    if name in METHODS:
        return METHODS[name]
    if name in (others := added(entry_points.METHODS)):
        return _own(name, loaded(entry_points.METHODS, name))
    if ":" not in name:
        raise SettingError(f"unknown method '{name}'{suggestion(name, [*METHODS, *others])}")
    module_name, _, function_name = name.partition(":")
    try:
        function = getattr(importlib.import_module(module_name), function_name)
    except (Exception, SystemExit) as error:  # a module of somebody's own may raise anything
        raise SettingError(
            f"method '{name}' cannot be imported ({error}); give package.module:function, "
            "importable from the folder you are in"
        ) from error
    return _own(name, function)


def _own(name: str, found: object) -> Method:
    """Return somebody's own method: a `Method`, or a function that looks at whatever it likes."""
    if isinstance(found, Method):
        return found
    if not callable(found) or _parameters(found) != 3:
        raise SettingError(f"method '{name}' must be a function of (candidates, query, k)")
    return Method(found, by_class=False)


def sent_in(config: RunConfig) -> str:
    """Say what owners are sent in a run: as set, or what its method goes by, hard examples if it can."""
    takes = method_named(config.method).takes
    if config.request != "auto":
        return config.request
    return "hard-set" if "hard-set" in takes else takes[0]


def _parameters(function: Callable) -> int | None:
    """Say how many there are; None for a function in C that does not tell."""
    try:
        return len(inspect.signature(function).parameters)
    except ValueError:
        return None
