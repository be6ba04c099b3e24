"""The owners that share a scenario's rows: who they are, and what each holds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from jaxtyping import Int64, Shaped

from mycroft_fl.errors import DataError, ScenarioError
from simulations.population.division import POOL, REST, ByPartition, Share
from simulations.population.groups import Population
from simulations.population.owners import Owner
from simulations.population.partition import Draws, Rng, at_most, rows_left
from simulations.population.scenario_file import Scenario
from simulations.population.shares import OVERS, shares

MOST_SEED = 2**31


def with_shares_named(scenario: Scenario) -> Scenario:
    """Return the scenario with an owner for each share of its partition, and one for what is pooled.

    A scenario without a partition is returned as it is. With `rest`, some of them may turn out to
    hold nothing of their own once shares are drawn.
    """
    by = scenario.by_partition
    if by is None:
        return scenario
    named = {f"owner-{place + 1}": Share(by, place) for place in range(by.partition.num)}
    if by.rest == POOL:
        named[REST] = Share(by, None)
    owners = tuple(Owner(name, holds={}, share=share) for name, share in named.items())
    return replace(scenario, owners=owners, by_partition=None)


def draw_by_partition(
    population: Population, owners: Iterable[Owner], draws: Draws, rng: Rng
) -> Draws:
    """Return what owners of shares hold of all that is left, up to their limit.

    A row of several groups is of the scarcest, as everywhere. Whoever holds nothing is left out.
    Raises `ScenarioError` where rows cannot be shared so.
    """
    named = {owner.name: owner.share for owner in owners if owner.share is not None}
    if not named:
        return {}
    by = next(iter(named.values())).by  # one for all of a scenario
    left = {
        group: ids for group, ids in rows_left(population.pools, draws, by.of).items() if len(ids)
    }
    groups = np.repeat(list(left), [len(ids) for ids in left.values()])
    ids = np.concatenate([*left.values(), np.empty(0, np.int64)])
    values = groups
    if by.partition.over == OVERS[0]:
        values = np.concatenate([population.labels(group, ids) for group, ids in left.items()])
    seed = int(rng("partition", "shares").integers(MOST_SEED))
    held: Draws = {}
    for place, rows in _rows_by_place(by, values, seed).items():
        parts = {group: ids[rows][groups[rows] == group] for group in left}
        for name in (name for name, share in named.items() if share.place == place and len(rows)):
            held[name] = at_most(parts, by.at_most, rng("at-most", name))
    return held


def _rows_by_place(
    by: ByPartition, values: Shaped[np.ndarray, " n"], seed: int
) -> dict[int | None, Int64[np.ndarray, " _k"]]:
    """Return the rows of each share that has an owner, by its place, and those of nobody by None."""
    try:
        found = shares(by.partition, values, seed, 0 if by.rest else by.at_least)
    except DataError as error:
        raise ScenarioError(f"owners.partition does not fit: {error}") from error
    places: dict[int | None, Int64[np.ndarray, " _k"]] = {
        place: rows for place, rows in enumerate(found) if len(rows) >= by.at_least
    }
    if not places:
        raise ScenarioError(
            f"owners.at-least is {by.at_least}, but no share has so many rows; the largest has "
            f"{max(len(rows) for rows in found)}"
        )
    whole = np.concatenate(list(places.values()))
    return places | {None: np.setdiff1d(np.arange(len(values)), whole)}
