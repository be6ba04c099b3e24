"""The worth of a subset to the trainer, with its uncertainty."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

DRAWS = 2000
MOST = 1e6
"""The largest score there is. One from noise, or from an owner that lies, may be of any size, and
none may keep a finished run's result from being written."""


@dataclass(frozen=True)
class Score:
    """A gain in accuracy on the scoring split, and its confidence interval."""

    gain: float
    low: float
    high: float

    @classmethod
    def within(cls, most: float, gain: float, low: float, high: float) -> Score:
        """Return a score brought into -most to most: sums of rounded parts may pass a range's end.

        Args:
            most: the range's end.
            gain: to be clipped.
            low: likewise.
            high: likewise.
        """
        return cls(*(min(max(each, -most), most) for each in (gain, low, high)))


def gain_with_interval(
    with_subset: Bool[np.ndarray, "repeats n"],
    without: Bool[np.ndarray, "repeats n"],
    *,
    confidence: float,
    seed: int,
) -> Score:
    """Return the mean gain, with a percentile interval from a bootstrap over repeats and examples.

    Repeats and examples are resampled together, since both the luck of a fine-tune and the luck of
    the split are in the score. (Efron & Tibshirani 1993, ch. 13.)

    Args:
        with_subset: row r says which of the n scoring examples the r-th fine-tune with it gets right.
        without: the same of the fine-tunes without the subset.
        confidence: of the interval, 0 to 1.
        seed: of the bootstrap.
    """
    difference = with_subset.astype(np.float64) - without
    repeats, n = difference.shape
    rng = np.random.default_rng(seed)
    of_repeats = rng.multinomial(repeats, np.full(repeats, 1 / repeats), size=DRAWS) / repeats
    of_examples = rng.multinomial(n, np.full(n, 1 / n), size=DRAWS) / n
    resampled = np.einsum("br,rn,bn->b", of_repeats, difference, of_examples, optimize=True)
    tail = (1 - confidence) / 2
    low, high = np.quantile(resampled, [tail, 1 - tail])
    return Score.within(1.0, float(difference.mean()), float(low), float(high))


def alignment(
    subset_gradient: Float[np.ndarray, " d"], hard_gradient: Float[np.ndarray, " d"]
) -> float:
    """Return the cheap score: how far a step along the subset's mean gradient goes along the hard one.

    To first order this is the fall in the hard examples' loss for a step of unit size; it costs
    one pass over the subset where a fine-tune costs hundreds.
    """
    length = float(np.linalg.norm(hard_gradient))
    along = float(subset_gradient @ hard_gradient) / length if length else 0.0
    return along if math.isfinite(along) else -math.inf
