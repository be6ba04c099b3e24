"""Facility location: records that stand for all others of their label, the weightier ones first."""

from __future__ import annotations

import heapq

import numpy as np
from jaxtyping import Float, Int

from mycroft_fl.errors import DataError
from mycroft_fl.match.coverage import Covering
from mycroft_fl.match.uniform import require_budget

MOST_SERVED, MOST_CANDIDATES = 4096, 8192
"""Records of a label that picks are judged by, and that may be picked: of more, the weightiest."""
BLOCK = 512


def facility_location(
    vectors: Float[np.ndarray, "n d"],
    labels: Int[np.ndarray, " n"],
    weights: Float[np.ndarray, " n"],
    k: int,
    start: Int[np.ndarray, " s"] | None = None,
) -> Covering:
    """Pick up to `k` records that cover all, label by label.

    F(S) = sum over records i of w_i max over picks j of the same label of s_ij, with
    s_ij = exp(-|z_i - z_j|^2 / m) and m the median squared distance within the label. Of a label with
    more than `MOST_SERVED` records, i runs over the weightiest, and of one with more than
    `MOST_CANDIDATES` the weightiest alone are picked. F is monotone and submodular, so greedy picks
    reach 1 - 1/e of the best set (Nemhauser et al. 1978).

    Args:
        vectors: A vector for each record.
        labels: Its label; a pick serves records of its own label alone.
        weights: What serving a record is worth, not below 0.
        k: Number of picks at most.
        start: Records that are picked already.

    Returns:
        Picks in their order, and what each added to F. Fewer than `k` where nothing adds anything.

    Raises:
        DataError: A vector or weight that is not finite, or a weight below 0.
        SettingError: `k` below 1.
    """
    require_budget(k)
    if not (np.isfinite(vectors).all() and np.isfinite(weights).all() and (weights >= 0).all()):
        raise DataError("vectors must be finite, and weights finite and not below zero")
    picked = np.empty(0, np.int64) if start is None else start
    picks, gains = [np.empty(0, np.int64)], [np.empty(0)]
    for label in np.unique(labels):
        place = _weightiest(
            np.flatnonzero(labels == label), weights, max(MOST_CANDIDATES, k), picked
        )
        begun = np.flatnonzero(np.isin(place, picked))
        found = _within(vectors[place], weights[place], k, begun)
        picks.append(place[found.indices])
        gains.append(found.gains)
    # F is a sum over labels: the best of all labels' next picks is the greedy choice over all.
    added = np.concatenate(gains)
    best_first = np.argsort(-added, kind="stable")[:k]
    return Covering(np.concatenate(picks)[best_first], added[best_first])


def _weightiest(
    place: Int[np.ndarray, " n"],
    weights: Float[np.ndarray, " _w"],
    most: int,
    kept: Int[np.ndarray, " _k"],
) -> Int[np.ndarray, " m"]:
    """Keep the weightiest places, and those that are picked already."""
    if len(place) <= most:
        return place
    best = place[np.argsort(-weights[place], kind="stable")[:most]]
    return np.union1d(best, place[np.isin(place, kept)])


def _within(
    vectors: Float[np.ndarray, "n d"],
    weights: Float[np.ndarray, " n"],
    k: int,
    start: Int[np.ndarray, " s"],
) -> Covering:
    served = np.sort(np.argsort(-weights, kind="stable")[:MOST_SERVED])
    worth = weights[served]
    similarity = _similarity(vectors, vectors[served])  # (n, served)
    best = similarity[start].max(axis=0, initial=0.0)  # (served,)

    def gain(candidate: int) -> float:
        return float(worth @ np.maximum(similarity[candidate] - best, 0.0))

    # An old gain bounds the new one, so that most need no second look (Minoux 1978).
    free = np.setdiff1d(np.arange(len(vectors)), start)
    heap = [(-gain(int(each)), int(each), 0) for each in free]
    heapq.heapify(heap)
    picks: list[int] = []
    gains: list[float] = []
    while heap and len(picks) < k and heap[0][0] < 0:
        bound, candidate, looked_at = heapq.heappop(heap)
        if looked_at < len(picks):
            heapq.heappush(heap, (-gain(candidate), candidate, len(picks)))
            continue
        best = np.maximum(best, similarity[candidate])
        picks.append(candidate)
        gains.append(-bound)
    return Covering(np.array(picks, np.int64), np.array(gains))


def _similarity(
    vectors: Float[np.ndarray, "n d"], served: Float[np.ndarray, "m d"]
) -> Float[np.ndarray, "n m"]:
    # |a - b|^2 = |a|^2 + |b|^2 - 2 ab, about the common mean for the digits' sake.
    centre = vectors.mean(axis=0)
    a, b = (vectors - centre).astype(np.float64), (served - centre).astype(np.float64)
    squared = np.empty((len(a), len(b)), np.float32)
    for start in range(0, len(a), BLOCK):
        some = a[start : start + BLOCK]
        apart = (some**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * some @ b.T
        squared[start : start + BLOCK] = np.maximum(apart, 0.0)
    typical = float(np.median(squared)) or 1.0
    return np.exp(np.divide(squared, np.float32(-typical), out=squared), out=squared)
