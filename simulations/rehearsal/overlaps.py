"""Rows that stand with the trainer and an owner, or with two owners: on one machine they can be found."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from itertools import combinations

import numpy as np

from mycroft_fl.data.fitted import Records
from mycroft_fl.errors import DataError
from mycroft_fl.tasks.file import TaskFile

log = logging.getLogger(__name__)
SHOWN = 3  # pairs of owners that one line names


def trainers_ids(task: TaskFile) -> dict[str, np.ndarray]:
    """Return the ids of the trainer's examples, by what they are to it."""
    parts = {"test": task.test, "validation": task.validation, "training": task.train}
    return {name: each.ids for name, each in parts.items() if each is not None}


def without_trainers(name: str, held: Records, trainers: Mapping[str, np.ndarray]) -> Records:
    """Return an owner's records but for those that the trainer holds. `DataError` where none is left."""
    known = np.isin(held.examples.ids, np.concatenate(list(trainers.values())))
    if known.all():
        raise DataError(f"owner {name}: it holds nothing that the trainer does not hold")
    return held[~known] if known.any() else held


def say_trainers(name: str, held: Records, trainers: Mapping[str, np.ndarray]) -> None:
    """Say how many of an owner's rows the trainer holds, a line for each part of its data."""
    for part, ids in trainers.items():
        count = int(np.isin(held.examples.ids, ids).sum())
        if count:
            log.warning(
                "owner %s: %d of its %d rows are the trainer's %s examples, and left out",
                name, count, len(held.examples), part,
            )  # fmt: skip


def say_shared(ids: Mapping[str, np.ndarray]) -> None:
    """Say in a line which owners hold the same rows, the pairs with most of them first."""
    counts = {
        (one, other): len(np.intersect1d(ids[one], ids[other]))
        for one, other in combinations(ids, 2)
    }
    found = sorted(((n, pair) for pair, n in counts.items() if n), key=lambda each: -each[0])
    if not found:
        return
    said = "; ".join(f"{one} and {other} {n}" for n, (one, other) in found[:SHOWN])
    more = f"; and {len(found) - SHOWN} pairs more" if len(found) > SHOWN else ""
    log.warning("owners hold the same rows, and each can hand them over: %s%s", said, more)
