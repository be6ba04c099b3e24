"""A cache for the runs of one process while they are compared: worlds, and whatever was fitted."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from mycroft_fl.models.fit_cache import caching_fits
from simulations.population.scenario_file import Scenario
from simulations.population.world import World

WORLDS = 2

_worlds: OrderedDict[tuple[str, int], World] | None = None


@contextmanager
def sharing() -> Iterator[None]:
    """Let runs of the same scenario and seed share their world, and equal fits, inside `with`.

    Files of data are taken to stay as they are meanwhile.
    """
    global _worlds
    before, _worlds = _worlds, OrderedDict()
    try:
        with caching_fits():
            yield
    finally:
        _worlds = before


def world_of(scenario: Scenario, seed: int) -> World:
    """Return the world of that scenario and seed; the same one again where runs share."""
    if _worlds is None:
        return World(scenario, seed)
    key = (definition(scenario), seed)
    if key not in _worlds:
        _worlds[key] = World(scenario, seed)
        while len(_worlds) > WORLDS:
            _worlds.popitem(last=False)
    _worlds.move_to_end(key)
    return _worlds[key]


def definition(scenario: Scenario) -> str:
    """Return all of a scenario that says who holds what; not how it is run, nor what owners allow.

    Fields added later count only where they are set, so that studies find the cells that they have.
    """
    later = [owner.share for owner in scenario.owners if owner.share is not None]
    text = repr(replace(scenario, title="", run={}, policy={}))
    return f"{text} {scenario.by_partition} {later}" if scenario.by_partition or later else text
