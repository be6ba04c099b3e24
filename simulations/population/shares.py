"""The shares of a partition: which rows each of several owners gets.

For rows in a given order and a seed, they are those of flwr-datasets 0.6.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int64, Shaped

from mycroft_fl.errors import DataError
from mycroft_fl.seeds import derived_seed
from mycroft_fl.settings.toml_table import TomlTable

KEY = "partition"
IID, DIRICHLET, SHARDS, CLASSES = "iid", "dirichlet", "shards", "classes"
KINDS: dict[str, type] = {IID: bool, DIRICHLET: float, SHARDS: int, CLASSES: int}
"""The ways to divide, and what each is given: whether, a concentration, or how many for each owner."""
OVERS = ("class", "group")
EXAMPLE = "dirichlet = 0.3, num = 20"
KNOWN = "dirichlet = 0.3, iid = true, shards = 2 or classes = 2"
DRAWS = 11  # of Dirichlet shares, until the smallest is large enough
Rows = list[Int64[np.ndarray, " _k"]]
Divide = Callable[["Partition", Int64[np.ndarray, " n"], np.random.Generator, int], Rows]
"""Rows of each share, from the class of each row (whole numbers from 0, each there), and the least size."""


@dataclass(frozen=True)
class Partition:
    """A way to divide rows among `num` owners.

    `kind` "iid" gives each as many, at random. "dirichlet" draws for each class what share of it each
    owner gets, from a symmetric Dirichlet distribution of concentration `given` (Yurochkin et al.
    2019). "shards" sorts rows by class, cuts them and gives each owner `given` pieces (McMahan et al.
    2017). "classes" gives each owner rows of `given` classes (Li et al. 2022). `over` says what
    stands for a class: the row's class, or the group that it is of.
    """

    kind: str
    given: float
    num: int
    over: str = OVERS[0]

    def as_table(self) -> dict[str, Any]:
        """Give the table that `read_partition` reads it from."""
        kind = KINDS[self.kind]
        over = {} if self.over == OVERS[0] else {"over": self.over}
        return {self.kind: kind(self.given), "num": self.num, **over}


def read_partition(parent: TomlTable) -> Partition:
    """Read `partition = { dirichlet = 0.3, num = 20 }` of a table. Raises the table's error."""
    table = parent.table(KEY)
    table.check_keys((*KINDS, "num", "over"))
    kinds = [key for key in KINDS if key in table.values]
    if len(kinds) != 1:
        named = " and ".join(kinds) or "no way to divide"
        raise parent.wrong(KEY, f"names {named}; give one of {KNOWN}")
    kind, num = kinds[0], table.one("num", int)
    given: Any = table.one(kind, KINDS[kind])
    if kind == IID and not given:
        raise table.wrong(IID, f"is false; leave it out and give one of {KNOWN}")
    if kind == DIRICHLET and not 0 < given < math.inf:
        raise table.wrong(
            kind, f"is {given}; give a number above 0, the smaller the more unlike owners are"
        )
    for key, count in ((kind, given), ("num", num)):
        if key != DIRICHLET and count < 1:
            raise table.wrong(key, f"is {count}; give a whole number of at least 1")
    over = table.choice("over", OVERS)
    if over and kind == IID:
        raise table.wrong("over", "does nothing beside iid; leave it out")
    return Partition(kind, float(given), num, over or OVERS[0])


def shares(
    partition: Partition, values: Shaped[np.ndarray, " n"], seed: int, at_least: int = 0
) -> Rows:
    """Return the rows of each owner: none twice, and of "iid" and "dirichlet" all of them.

    Equal seeds give equal shares. `DataError` where it cannot be done.

    Args:
        partition: how they are divided.
        values: the class, or group, of each row.
        seed: draws what is random.
        at_least: of rows in each share. "dirichlet" is drawn up to eleven times for it.
    """
    num, n = partition.num, len(values)
    least = max(1, at_least) * num
    if n < least:
        each = f" of {at_least} rows" if at_least > 1 else ""
        raise DataError(f"{num} owners{each} need {least} rows, and {n} are left; lower num")
    # The rows of a class are divided in their order, whatever that came from.
    order = np.random.default_rng(derived_seed(seed, "order")).permutation(n).astype(np.int64)
    classes = np.unique(values[order], return_inverse=True)[1].astype(np.int64)
    rng = np.random.default_rng(derived_seed(seed, "shares"))
    found = DIVIDE[partition.kind](partition, classes, rng, at_least)
    smallest = min(len(rows) for rows in found)
    if smallest < at_least:
        raise DataError(_too_small(partition, smallest, at_least))
    return [order[rows] for rows in found]


def evenly(
    partition: Partition, classes: Int64[np.ndarray, " n"], rng: np.random.Generator, at_least: int
) -> Rows:
    """Cut rows, which are in an order at random, into pieces of one size."""
    return np.array_split(np.arange(len(classes)), partition.num)


def by_dirichlet(
    partition: Partition, classes: Int64[np.ndarray, " n"], rng: np.random.Generator, at_least: int
) -> Rows:
    """Cut each class by a draw of its own, all of them anew while a share is too small."""
    of_class = _of_each(classes)
    for _ in range(DRAWS):
        parts = []
        for rows in of_class:
            drawn = rng.dirichlet(np.full(partition.num, partition.given))
            cuts = (np.cumsum(drawn) * len(rows)).astype(np.int64)[:-1]
            parts.append(np.split(rows, cuts))
        found = [np.concatenate(each) for each in zip(*parts, strict=True)]
        if min(len(rows) for rows in found) >= at_least:
            break
    return found


def by_shards(
    partition: Partition, classes: Int64[np.ndarray, " n"], rng: np.random.Generator, at_least: int
) -> Rows:
    """Cut rows sorted by class into shards of one size, and deal these out at random."""
    num, n, each = partition.num, len(classes), int(partition.given)
    if num * each > n:
        raise DataError(f"{num} owners of {each} shards are more than {n} rows; lower shards")
    size = n // (num * each)
    # What is left of the rows makes shards too, some of which nobody gets.
    dealt = rng.permutation(n // size)[: num * each].reshape(num, each)
    rows = np.argsort(classes, kind="stable")
    return [
        np.concatenate([rows[place * size : (place + 1) * size] for place in hand])
        for hand in dealt
    ]


def by_classes(
    partition: Partition, classes: Int64[np.ndarray, " n"], rng: np.random.Generator, at_least: int
) -> Rows:
    """Give each owner classes, the first one in turn, and cut each class evenly among its owners."""
    of_class, each = _of_each(classes), int(partition.given)
    if each > len(of_class):
        raise DataError(f"classes is {each}, but rows have {len(of_class)}; lower it")
    held = []
    for place in range(partition.num):
        # A class in turn: none is left to nobody where there are as many owners.
        own = [place % len(of_class)]
        while len(own) < each:
            own += [c for c in rng.choice(len(of_class), size=1).tolist() if c not in own]
        held.append(own)
    parts: list[list[np.ndarray]] = [[] for _ in held]
    for label, rows in enumerate(of_class):
        holders = [place for place, own in enumerate(held) if label in own]
        if len(holders) > len(rows):
            raise DataError(
                f"{len(holders)} owners are to share a class of {len(rows)} rows; lower num or classes"
            )
        for place, part in zip(holders, np.array_split(rows, max(1, len(holders))), strict=False):
            parts[place].append(part)
    return [np.concatenate(part) for part in parts]


DIVIDE: dict[str, Divide] = {
    IID: evenly,
    DIRICHLET: by_dirichlet,
    SHARDS: by_shards,
    CLASSES: by_classes,
}


def _of_each(classes: Int64[np.ndarray, " n"]) -> Rows:
    """Return the rows of each class, in their order."""
    rows = np.argsort(classes, kind="stable")
    return np.split(rows, np.cumsum(np.bincount(classes))[:-1])


def _too_small(partition: Partition, smallest: int, at_least: int) -> str:
    if partition.kind != DIRICHLET:
        return (
            f"{partition.kind} = {partition.given:.0f} leaves an owner {smallest} rows, below at-least, "
            f"which is {at_least}; lower at-least or num"
        )
    return (
        f"no draw of dirichlet = {partition.given:g} gives all of {partition.num} owners at least "
        f"{at_least} rows; lower at-least or num, raise dirichlet, or say what becomes of smaller "
        'shares with rest = "leave" or "pool"'
    )
