"""The worth of a subset to the trainer, with its uncertainty."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Float64, Int64, Shaped

DRAWS = 2000
MOST = 1e6
"""The largest score there is. One from noise, or from an owner that lies, may be of any size, and
none may keep a finished run's result from being written."""


@dataclass(frozen=True)
class Score:
    """A gain in the run's metric on validation examples that judge, and its confidence interval.

    `loss_fall` is the mean fall of their log-loss, in nats, between `loss_low` and `loss_high`; None
    where it is not known. It tells owners apart long before accuracies do.
    """

    gain: float
    low: float
    high: float
    loss_fall: float | None = None
    loss_low: float | None = None
    loss_high: float | None = None

    @property
    def expected(self) -> float:
        """The gain that is to be expected, in proportion to which owners are asked for more."""
        return self.gain if self.loss_fall is None else self.loss_fall

    @property
    def is_clear(self) -> bool:
        """Whether the gain is above zero beyond doubt."""
        return (self.low if self.loss_low is None else self.loss_low) > 0

    @property
    def is_harmful(self) -> bool:
        """Whether the gain is below zero beyond doubt."""
        return (self.high if self.loss_high is None else self.loss_high) < 0

    @property
    def order(self) -> tuple[float, float]:
        """What ranks owners, the larger the better.

        The expected fall in log-loss; where none is known the lower bound, then the gain.
        """
        return (self.low if self.loss_fall is None else self.loss_fall, self.gain)

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

    def with_loss(self, other: Score) -> Score:
        """Return the same score with the fall in log-loss that goes with it, and its interval."""
        return replace(self, loss_fall=other.gain, loss_low=other.low, loss_high=other.high)


@dataclass(frozen=True, eq=False)
class Draws:
    """The resamples of a bootstrap: each repeat's share of it, and how often each example is in it."""

    of_repeats: Float64[np.ndarray, "b repeats"]
    counts: Int64[np.ndarray, "b n"]


@runtime_checkable
class Judge(Protocol):
    """A metric on the examples that are scored, as `Metric.on` makes one."""

    def gains(
        self, with_subset: np.ndarray, without: np.ndarray, drawn: Draws
    ) -> tuple[float, np.ndarray]:
        """Compute by how much outputs with a subset are better than without, and so on each resample."""
        ...


class PlainMean:
    """The mean of outputs that are a figure of each example, such as whether it is right."""

    def gains(
        self,
        with_subset: Shaped[np.ndarray, "repeats n"],
        without: Shaped[np.ndarray, "repeats n"],
        drawn: Draws,
    ) -> tuple[float, Float64[np.ndarray, " b"]]:
        """Compute the mean difference, and that of each resample."""
        difference = with_subset.astype(np.float64) - without
        n = difference.shape[1]
        return weighted_gains(difference, np.ones(n), drawn, drawn.counts / n)


def gain_with_interval(
    with_subset: Shaped[np.ndarray, "repeats n ..."],
    without: Shaped[np.ndarray, "repeats n ..."],
    *,
    confidence: float,
    seed: int,
    metric: Judge | None = None,
    most: float = 1.0,
) -> Score:
    """Return the mean gain, with a percentile interval from a bootstrap over repeats and examples.

    Repeats and examples are resampled together, since both the luck of a fine-tune and the luck of
    the split are in the score. (Efron & Tibshirani 1993, ch. 13.)

    Args:
        with_subset: row r is of the r-th fine-tune with it: for each of the n judging examples the
            probabilities of all classes; without a metric, whether it is right, or another figure, the
            larger the better.
        without: the same of the fine-tunes without the subset.
        confidence: of the interval, 0 to 1.
        seed: of the bootstrap.
        metric: what is gained, on these examples; None for accuracy.
        most: the largest gain that there can be.
    """
    repeats, n = with_subset.shape[:2]
    rng = np.random.default_rng(seed)
    of_repeats = rng.multinomial(repeats, np.full(repeats, 1 / repeats), size=DRAWS) / repeats
    counts = rng.multinomial(n, np.full(n, 1 / n), size=DRAWS)
    gain, resampled = (metric or PlainMean()).gains(with_subset, without, Draws(of_repeats, counts))
    tail = (1 - confidence) / 2
    low, high = np.quantile(resampled, [tail, 1 - tail])
    return Score.within(most, gain, float(low), float(high))


def weighted_gains(
    difference: Float64[np.ndarray, "repeats n"],
    weights: Float64[np.ndarray, " n"],
    drawn: Draws,
    of_examples: Float64[np.ndarray, "b n"],
) -> tuple[float, Float64[np.ndarray, " b"]]:
    """Return the weighted mean of each example's gain, and that of each resample.

    Args:
        difference: what each repeat gains on each example.
        weights: of the examples, 1 in the mean.
        drawn: the resamples.
        of_examples: what each example weighs in each resample, 1 in all.
    """
    resampled = np.einsum("br,rn,bn->b", drawn.of_repeats, difference, of_examples, optimize=True)
    return float((difference * weights).mean()), resampled


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
