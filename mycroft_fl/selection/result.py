"""The picks of a method, and what methods share: k over classes, and going on from earlier picks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from mycroft_fl.examples import Examples
from mycroft_fl.selection.query import Query


@dataclass(frozen=True)
class Selection:
    """The picks of one owner. They never leave it.

    `weights` are non-negative, one per index, 0 for a pick that is no part of a match;
    `unexplained` is the share of the target that the picks leave open: for several targets its
    mean, 1 where a method has no such notion.
    """

    indices: Int[np.ndarray, " k"]
    weights: Float[np.ndarray, " k"]
    unexplained: float = 1.0

    @classmethod
    def unweighted(cls, indices: Int[np.ndarray, " k"]) -> Selection:
        """Make picks that all weigh the same."""
        return cls(indices, np.ones(len(indices)))


@dataclass(frozen=True, eq=False)
class Pool:
    """The candidates, and behind them what of the owner's was disclosed before.

    The latter cannot be picked again, but it counts: a match goes on from it, and a hard example
    that has its nearest neighbours gets the next ones.
    """

    examples: Examples
    fresh: int

    @classmethod
    def of(cls, candidates: Examples, query: Query) -> Pool:
        """Join both in one set; candidates keep their indices."""
        if query.disclosed is None:
            return cls(candidates, len(candidates))
        return cls(Examples.concatenate([candidates, query.disclosed]), len(candidates))

    def __len__(self) -> int:
        return len(self.examples)

    @property
    def sent(self) -> Bool[np.ndarray, " n"]:
        """Which of the pool were disclosed before."""
        return np.arange(len(self)) >= self.fresh


def continued(
    candidates: Examples, query: Query, k: int, order: Callable[[Examples, int], np.ndarray]
) -> Int[np.ndarray, " j"]:
    """Give the first `k` candidates in the order of the whole pool, what was disclosed left out.

    `order(examples, depth)` gives the best `depth` of them, best first. Asked twice, a method
    then picks what it would have picked at once.
    """
    pool = Pool.of(candidates, query)
    if pool.fresh == 0:
        return np.empty(0, dtype=np.int64)
    best = order(pool.examples, min(len(pool), k + len(pool) - pool.fresh))
    return best[best < pool.fresh][:k]


@dataclass(frozen=True, eq=False)
class ClassShare:
    """One class of a query: its hard examples, its part of the pool and how many it may pick.

    `start` are the places within `pool` of what was disclosed before.
    """

    hard: Int[np.ndarray, " m"]
    pool: Int[np.ndarray, " n"]
    start: Int[np.ndarray, " s"]
    k: int


def by_class(pool: Pool, query: Query, k: int) -> Iterator[ClassShare]:
    """Divide `k` over the hard set's classes as the hard set is, with what was sent before."""
    classes, hard_counts = np.unique(query.hard.y, return_counts=True)
    places = [np.flatnonzero(pool.examples.y == label) for label in classes]
    sizes = np.array([len(each) for each in places])
    sent = np.array([int(pool.sent[each].sum()) for each in places])
    owed = np.maximum(0, shares(k + int(sent.sum()), hard_counts, sizes) - sent)
    granted = shares(k, owed, owed)
    for label, place, allowed in zip(classes, places, granted, strict=True):
        hard, start = np.flatnonzero(query.hard.y == label), np.flatnonzero(pool.sent[place])
        yield ClassShare(hard, place, start, int(allowed))


def whole(pool: Pool, query: Query, k: int) -> Iterator[ClassShare]:
    """Spend all of `k` on all hard examples together, whatever their class."""
    everyone = np.arange(len(pool))
    yield ClassShare(np.arange(len(query.hard)), everyone, np.flatnonzero(pool.sent), k)


def shares(
    total: int, weights: Int[np.ndarray, " c"], most: Int[np.ndarray, " c"]
) -> Int[np.ndarray, " c"]:
    """Split `total` in proportion to `weights`, none above `most`; what is cut goes to the rest."""
    full = (weights <= 0) | (most <= 0)
    granted = np.zeros(len(weights), dtype=np.int64)
    # Whoever's proportion passes its cap gets the cap, and the others divide the rest.
    while not full.all():
        left = total - granted.sum()
        exact = np.where(full, 0, left * weights / weights[~full].sum())
        capped = ~full & (exact >= most)
        if not capped.any():
            floors = np.floor(exact).astype(np.int64)
            # The rest that rounding down leaves: the largest fractions first, ties to the first.
            by_fraction = np.argsort(-np.where(full, -1, exact - floors), kind="stable")
            floors[by_fraction[: left - floors.sum()]] += 1
            return granted + floors
        granted[capped] = most[capped]
        full |= capped
    return granted


class Chosen:
    """Picks of one share of k after another."""

    def __init__(self) -> None:
        self._indices, self._weights = [np.empty(0, np.int64)], [np.empty(0)]
        self._unexplained: list[float] = []

    def add(
        self, share: ClassShare, indices: np.ndarray, weights: np.ndarray, unexplained: float
    ) -> None:
        """Add a share's picks with their weights, and how much of its hard examples they leave."""
        self._indices.append(indices)
        self._weights.append(weights)
        self._unexplained += [unexplained] * max(1, len(share.hard))

    def nothing(self, share: ClassShare) -> None:
        """Add a share without picks."""
        self.add(share, np.empty(0, np.int64), np.empty(0), 1.0)

    def selection(self) -> Selection:
        """Join everything, with the mean over hard examples of what is unexplained."""
        left = float(np.mean(self._unexplained))
        return Selection(np.concatenate(self._indices), np.concatenate(self._weights), left)
