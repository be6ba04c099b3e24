"""Each candidate's exact worth to a nearest-neighbour classifier on the hard set."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor

from mycroft_fl.errors import DataError, SettingError
from mycroft_fl.match.distances import distances

_BLOCK_NUMBERS = 2**22


def knn_shapley(
    candidates: Float[Tensor, "n d"],
    candidate_labels: Int[np.ndarray, " n"],
    hard: Float[Tensor, "m d"],
    hard_labels: Int[np.ndarray, " m"],
    *,
    neighbours: int = 5,
) -> Float[np.ndarray, " n"]:
    """Return each candidate's Shapley value, averaged over the hard examples; they sum to the accuracy.

    The game: the share of a hard example's `neighbours` nearest that are of its class. From the
    farthest inwards, s_n = right_n / max(K, n) and s_i = s_(i+1) + (right_i - right_(i+1)) / K *
    min(K, i) / i (Jia et al. 2019, "Efficient task-specific data valuation for nearest neighbor
    algorithms", theorem 1). Equal distances go to the lowest index.

    Args:
        candidates: features, a row each.
        candidate_labels: a class each.
        hard: features, as long.
        hard_labels: a class each.
        neighbours: how many vote, 1 or more.
    """
    if neighbours < 1:
        raise SettingError(f"neighbours is {neighbours}; give 1 or more")
    if not len(hard):
        raise DataError("no hard example to be worth anything to; give at least one")
    n = len(candidates)
    total = np.zeros(n)
    if n == 0:
        return total
    place = np.arange(1, n + 1)
    step = np.minimum(neighbours, place[:-1]) / place[:-1] / neighbours
    rows = max(1, _BLOCK_NUMBERS // n)
    for start in range(0, len(hard), rows):
        few, labels = hard[start : start + rows], hard_labels[start : start + rows]
        order = distances(candidates, few).T.argsort(dim=1, stable=True).numpy()
        right = (candidate_labels[order] == labels[:, None]).astype(np.float64)
        value = np.zeros_like(right)
        value[:, -1] = right[:, -1] / max(neighbours, n)
        steps = (right[:, :-1] - right[:, 1:]) * step
        value[:, :-1] = value[:, -1:] + np.cumsum(steps[:, ::-1], axis=1)[:, ::-1]
        np.add.at(total, order, value)
    return total / len(hard)
