"""Means over seeds, with intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds and the half-width of its confidence interval."""

    mean: float
    half_width: float

    @property
    def is_clear_of_zero(self) -> bool:
        """Whether the interval leaves out zero."""
        return abs(self.mean) > self.half_width


def over_seeds(values: Sequence[float], *, confidence: float = 0.95) -> Estimate:
    """Return the mean of one value a seed, with Student's t interval (infinite for a single seed)."""
    array = np.asarray(values, dtype=np.float64)
    if len(array) < 2:
        return Estimate(float(array.mean()), math.inf)
    error = float(array.std(ddof=1)) / math.sqrt(len(array))
    return Estimate(
        float(array.mean()), float(stats.t.ppf((1 + confidence) / 2, len(array) - 1)) * error
    )
