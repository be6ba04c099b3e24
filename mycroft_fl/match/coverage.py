"""A cover of the hard set: every hard example is to have its own near candidates."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from mycroft_fl.errors import DataError
from mycroft_fl.match.uniform import require_budget

_LAYERS = 128  # beyond, one more candidate for the same hard example counts next to nothing


class Cover:
    """The value of a set of candidates as a cover, and what one candidate more would add.

    F(S) = sum over hard examples of sum over j of s_(j) / j, with s_(1) >= s_(2) >= ... the
    similarities of S to that hard example. The first layer is facility location; the further
    ones, with harmonic weights, go on where it is saturated, after about one pick per hard
    example. F is monotone and submodular (ordered weighted averages with falling weights:
    Skowron, Faliszewski and Lang 2016), so that greedy picks reach 1 - 1/e of the best set.
    """

    def __init__(self, similarity: Float[np.ndarray, "n m"], most: int) -> None:
        if similarity.ndim != 2 or not np.isfinite(similarity).all() or (similarity < 0).any():
            raise DataError("similarities must be a matrix of finite numbers, none below zero")
        self.similarity = similarity
        layers = max(1, min(most, _LAYERS))
        self._weights = 1 / np.arange(1, layers + 1)
        self._held = np.zeros((similarity.shape[1], layers))  # each row falling
        self._lost = np.zeros((similarity.shape[1], layers + 1))

    def gains(self, candidates: Int[np.ndarray, " c"]) -> Float[np.ndarray, " c"]:
        """Return what each candidate alone would add to F."""
        weights, total = np.append(self._weights, 0.0), np.zeros(len(candidates))
        for column, (held, lost) in enumerate(zip(self._held, self._lost, strict=True)):
            new = self.similarity[candidates, column].astype(np.float64)
            # A new value enters at its rank and moves the lower ones down by one layer each.
            rank = np.searchsorted(-held, -new, side="right")
            total += weights[rank] * new - lost[rank]
        return np.maximum(0.0, total)

    def add(self, candidate: int) -> None:
        """Put one candidate into S."""
        new = self.similarity[candidate].astype(np.float64)[:, None]
        held = -np.sort(-np.concatenate([self._held, new], axis=1), axis=1)
        self._held = held[:, : len(self._weights)]
        steps = self._weights - np.append(self._weights[1:], 0.0)
        self._lost[:, :-1] = np.cumsum((steps * self._held)[:, ::-1], axis=1)[:, ::-1]

    def emptied(self) -> Cover:
        """Return a cover of the same hard examples with S empty."""
        return Cover(self.similarity, len(self._weights))

    @property
    def value(self) -> float:
        """F(S)."""
        return float((self._held @ self._weights).sum())


@dataclass(frozen=True, eq=False)
class Covering:
    """Candidates in the order they were picked, and what each added to F."""

    indices: Int[np.ndarray, " k"]
    gains: Float[np.ndarray, " k"]


def lazy_greedy(cover: Cover, k: int, start: Int[np.ndarray, " s"]) -> Covering:
    """Return up to `k` candidates, each the one that adds most; `start` is in S already.

    Gains only fall as S grows, so an old gain bounds the new one, and most need no second look
    (Minoux 1978). Equal gains go to the lowest index. Ends early where nothing adds anything.
    """
    require_budget(k)
    for candidate in start:
        cover.add(int(candidate))
    free = np.setdiff1d(np.arange(len(cover.similarity)), start)
    heap = [(-gain, int(i), 0) for gain, i in zip(cover.gains(free), free, strict=True)]
    heapq.heapify(heap)
    picks: list[int] = []
    gains: list[float] = []
    while heap and len(picks) < k and heap[0][0] < 0:
        bound, candidate, looked_at = heapq.heappop(heap)
        if looked_at < len(picks):
            gain = float(cover.gains(np.array([candidate]))[0])
            heapq.heappush(heap, (-gain, candidate, len(picks)))
            continue
        cover.add(candidate)
        picks.append(candidate)
        gains.append(-bound)
    return Covering(np.array(picks, dtype=np.int64), np.array(gains))


def closeness(distance: Float[np.ndarray, "n m"]) -> Float[np.ndarray, "n m"]:
    """Return distances as similarities: exp(-(d / median)^2), the median each hard example's own.

    Free of the features' scale, and above zero, so that no candidate is without any use.
    """
    typical = np.median(distance, axis=0, keepdims=True) if len(distance) else 1.0
    near: np.ndarray = np.exp(-np.square(distance / np.where(typical > 0, typical, 1.0)))
    return near
