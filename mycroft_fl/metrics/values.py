"""The values of metrics on examples that count more or less: what a bootstrap recomputes.

`counts` say, a row a resample, how often each example is in it. A class or group that a resample
lacks says nothing of itself there and counts as 0.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float, Float64, Int, Int64

Counts = Float[np.ndarray, "b n"] | Int[np.ndarray, "b n"]
Valued = Callable[[Float64[np.ndarray, "n C"], Counts], Float64[np.ndarray, " b"]]
"""The value of these probabilities on each resample."""


def members(labels: Int[np.ndarray, " n"]) -> Bool[np.ndarray, "n s"]:
    """Say which examples belong to each label that occurs, in the labels' order; -1 belongs to none."""
    found: np.ndarray = labels[:, None] == np.unique(labels[labels >= 0])
    return found


def shares_of(counts: Counts, strata: Int[np.ndarray, " n"]) -> Float64[np.ndarray, "b n"]:
    """Compute by what each example's count is divided, so that a sum is the mean of means over strata.

    That is its stratum's size times the number of strata; infinite where the stratum is -1.
    """
    belongs = members(strata)
    if not belongs.size:
        return np.full(counts.shape, np.inf)
    held = np.maximum(counts @ belongs.astype(np.int64), 1) * belongs.shape[1]
    return np.where(strata >= 0, held[:, belongs.argmax(axis=1)], np.inf)


def macro_f1(y: Int64[np.ndarray, " n"]) -> Valued:
    """Make macro-averaged F1 over the classes that occur in `y`: of answers, the likeliest classes."""
    classes = np.unique(y)
    held = y[:, None] == classes

    def valued(probabilities: np.ndarray, counts: np.ndarray) -> np.ndarray:
        answered = probabilities.argmax(axis=1)[:, None] == classes
        right = counts @ (held & answered).astype(np.float64)
        either = counts @ (held.astype(np.float64) + answered)
        of_classes = np.divide(2 * right, either, out=np.zeros_like(right), where=either > 0)
        return np.asarray(of_classes.mean(axis=1))

    return valued


def macro_auc(y: Int64[np.ndarray, " n"]) -> Valued:
    """Make the mean, over the classes that occur in `y`, of the area under each one's ROC curve."""

    def valued(probabilities: np.ndarray, counts: np.ndarray) -> np.ndarray:
        # Of two classes both areas are the same, but for probabilities that round to 1.
        classes = [1] if probabilities.shape[1] == 2 else np.unique(y)
        turned = np.ascontiguousarray(counts.T, dtype=np.float64)
        areas = [_auc(probabilities[:, c], y == c, turned) for c in classes]
        return np.asarray(np.mean(areas, axis=0))

    return valued


def worst_share(strata: Int[np.ndarray, " n"], y: Int64[np.ndarray, " n"]) -> Valued:
    """Make the least, over the strata of a resample, of the share that is answered right."""
    belongs = members(strata).astype(np.float64)

    def valued(probabilities: np.ndarray, counts: np.ndarray) -> np.ndarray:
        right = probabilities.argmax(axis=1) == y
        held, got = counts @ belongs, (counts * right) @ belongs
        shares = np.divide(got, held, out=np.full_like(got, np.inf), where=held > 0)
        return np.asarray(shares.min(axis=1, initial=1.0))

    return valued


def _auc(
    scores: Float64[np.ndarray, " n"], positive: Bool[np.ndarray, " n"], counts: np.ndarray
) -> Float64[np.ndarray, " b"]:
    """Compute the chance that a positive example scores above a negative one; ties count half.

    `counts` have a row an example here: rows are sorted far faster than columns.
    """
    order = np.argsort(scores, kind="stable")
    _, starts = np.unique(scores[order], return_index=True)
    sorted_counts, is_positive = counts[order], positive[order, None]
    above, below = sorted_counts * is_positive, sorted_counts * ~is_positive
    if len(starts) < len(scores):
        # Examples of one score stand together: nobody among them is above another.
        above, below = (np.add.reduceat(each, starts, axis=0) for each in (above, below))
    pairs = above.sum(axis=0) * below.sum(axis=0)
    won = np.einsum("nb,nb->b", above, below.cumsum(axis=0) - below / 2)
    return np.asarray(np.divide(won, pairs, out=np.zeros_like(won), where=pairs > 0))
