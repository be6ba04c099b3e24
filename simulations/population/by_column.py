"""The owners that a table's column names: who they are once the table is read, and what they hold."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from jaxtyping import Bool

from mycroft_fl.data.dataset import Dataset
from mycroft_fl.data.formats.spec import DatasetSpec
from mycroft_fl.data.sources import load_dataset
from mycroft_fl.errors import DataError, ScenarioError
from simulations.population.division import POOL, REST, ByColumn, Rows
from simulations.population.groups import Population
from simulations.population.owners import LONGEST_NAME, Owner
from simulations.population.partition import Draws, Rng, at_most, rows_left
from simulations.population.scenario_file import Group, Scenario

UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


def with_owners_named(scenario: Scenario) -> Scenario:
    """Return the scenario with one owner for each value of its column, the largest first.

    A scenario that lists its owners is returned as it is. A value's size is the number of its
    rows in the groups, the trainer's among them: who is an owner does not depend on the draw.
    Raises `ScenarioError` where the column is unknown or names nobody, and `DataError`.
    """
    by = scenario.by_column
    if by is None:
        return scenario
    dataset = load_dataset(DatasetSpec.of(scenario.dataset), scenario.base)
    try:
        sizes = _sizes(dataset, by, scenario.groups)
    except DataError as error:
        raise ScenarioError(f"{scenario.name}: owners.by does not fit: {error}") from error
    large = {value: size for value, size in sizes.items() if size >= by.at_least}
    small = tuple(value for value in sizes if value not in large)
    parts: list[tuple[tuple[str, ...], str]] = [((value,), _safe(value)) for value in large]
    if small and by.rest == POOL:
        parts.append((small, REST))
    if not parts:
        raise ScenarioError(
            f"{scenario.name}: owners.at-least is {by.at_least}, but no value of '{by.by}' has so many "
            f"rows; the most are {max(sizes.values(), default=0)}"
        )
    names = _distinct(name for _, name in parts)
    owners = tuple(
        Owner(name, holds={}, rows=Rows(by.by, values, by.of, by.at_most))
        for (values, _), name in zip(parts, names, strict=True)
    )
    return replace(scenario, owners=owners, by_column=None)


def draw_by_column(
    population: Population, owners: Iterable[Owner], draws: Draws, rng: Rng
) -> Draws:
    """Return what owners of a column's values hold: all that is left with these, up to their limit.

    A row of several groups is of the scarcest, as everywhere. Raises `ScenarioError` where the
    trainer has all rows of one.
    """
    named = {owner.name: owner.rows for owner in owners if owner.rows is not None}
    if not named:
        return {}
    # All of one scenario's stand in one column and the same groups.
    one = next(iter(named.values()))
    held: Draws = {name: {} for name in named}
    for group, left in rows_left(population.pools, draws, one.of).items():
        texts = population.texts(group, one.column, left)
        for name, rows in named.items():
            found = left[np.isin(texts, rows.values)]
            held[name] |= {group: found} if len(found) else {}
    for name, parts in held.items():
        if not parts:
            raise ScenarioError(
                f"owner '{name}' holds nothing, for the trainer has all of its rows; let the trainer draw "
                "fewer, or raise owners.at-least"
            )
        held[name] = at_most(parts, named[name].at_most, rng("at-most", name))
    return held


def _sizes(dataset: Dataset, by: ByColumn, groups: Iterable[Group]) -> dict[str, int]:
    """Return the rows of each value in the groups, outside the test file, the most first."""
    chosen = np.zeros(len(dataset), dtype=bool)
    for group in groups:
        if group.name not in by.of:
            continue
        if group.dataset is not None:
            raise DataError(
                f"group '{group.name}' has a data set of its own; name the groups without one in "
                "owners.of"
            )
        chosen |= dataset.where(group.where) & _of_classes(dataset, group)
    texts = dataset.texts(by.by)[chosen & ~dataset.from_test]
    counts = Counter(str(text) for text in texts if text is not None)
    return dict(sorted(counts.items(), key=lambda each: (-each[1], each[0])))


def _of_classes(dataset: Dataset, group: Group) -> Bool[np.ndarray, " n"]:
    if group.classes is None:
        return np.ones(len(dataset), dtype=bool)
    labels = [
        label
        for label, name in enumerate(dataset.classes)
        if label in group.classes or name in group.classes
    ]
    return np.isin(dataset.y, labels)


def _safe(value: str) -> str:
    """Return a value as an owner's name: what a folder's name may not hold becomes '-'."""
    return UNSAFE.sub("-", value).strip("-._")[:LONGEST_NAME].rstrip("-._") or "value"


def _distinct(names: Iterable[str]) -> list[str]:
    """Return the names, with a number where one is too like another before it."""
    taken: set[str] = set()
    output = []
    for name in names:
        number, free = 1, name
        while free.casefold() in taken:
            number += 1
            free = f"{name[: LONGEST_NAME - 4]}-{number}"
        taken.add(free.casefold())
        output.append(free)
    return output
