"""The allocation of a budget: who is asked for how many. Pure functions of what the trainer knows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from jaxtyping import Int64

from mycroft_fl.scoring import Score
from mycroft_fl.seeds import derived_seed
from mycroft_fl.selection.methods import shares


def pilots(owners: Iterable[str], *, budget: int, per_owner: int, seed: int) -> dict[str, int]:
    """Ask for `per_owner` of each, in the first round.

    Where the budget cannot pay for all, a subset drawn by `seed` is asked, and the last of it for
    what is left over.
    """
    names = sorted(owners)
    if len(names) * per_owner > budget:
        order = np.random.default_rng(derived_seed(seed, "pilots")).permutation(len(names))
        names = [names[place] for place in order]
    asked: dict[str, int] = {}
    for name in names:
        count = min(per_owner, budget - sum(asked.values()))
        if count > 0:
            asked[name] = count
    return dict(sorted(asked.items()))


def equal_shares(owners: Iterable[str], budget: int) -> dict[str, int]:
    """Split `budget` evenly, the first by name taking what does not divide."""
    names = sorted(owners)
    return _split(names, [1.0] * len(names), budget)


def by_score(scores: Mapping[str, Score], budget: int) -> dict[str, int]:
    """Split `budget` in proportion to the expected gain, among owners of whom one is expected.

    By accuracy alone, a pilot tells too little of that: there, first among owners that gain beyond
    doubt. Where nothing is expected of anybody, all are asked alike.
    """
    names = sorted(scores)
    by_loss = any(score.loss_fall is not None for score in scores.values())
    earning = [] if by_loss else [name for name in names if scores[name].is_clear]
    if not earning:
        earning = [name for name in names if scores[name].expected > 0]
    if not earning:
        return equal_shares(names, budget)
    return _split(earning, [scores[name].expected for name in earning], budget)


def by_stock(
    promises: Mapping[str, float], stocks: Mapping[str, float], budget: int
) -> dict[str, int]:
    """Split `budget` in proportion to what each owner promises, none asked for more than its stock."""
    names = [name for name in sorted(promises) if promises[name] > 0 and stocks[name] >= 1]
    most = np.array([int(min(stocks[name], budget)) for name in names], np.int64)
    # Beside the largest: one owner's lie about its stock must not pass all whole numbers.
    largest = max((promises[name] for name in names), default=1.0)
    return _split(names, [promises[name] / largest for name in names], budget, most)


def _split(
    names: Sequence[str],
    weights: Sequence[float],
    budget: int,
    most: Int64[np.ndarray, " n"] | None = None,
) -> dict[str, int]:
    # Whole-number weights, so that a split does not hang on the last bit of a float.
    scaled = np.maximum(1, np.round(np.asarray(weights) * 1e6)).astype(np.int64)
    granted = shares(budget, scaled, np.full(len(names), budget) if most is None else most)
    return {name: int(count) for name, count in zip(names, granted, strict=True) if count}
