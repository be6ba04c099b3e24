"""Reconstruction: what gradients say of the records they are of."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float64, Int64
from scipy import stats


def features_within(gradient: Float64[np.ndarray, "C p_and_bias"]) -> Float64[np.ndarray, " p"]:
    """Return the features of the record that a last-layer gradient is of, exactly.

    The gradient is of rank one, delta times (features, 1): any row over its last number. With a
    model that is linear in the pixels that is the image (Phong et al. 2017). Of a sum over records
    it is a mixture, of a noised one mostly noise.
    """
    row = int(np.abs(gradient[:, -1]).argmax())
    return np.asarray(gradient[row, :-1] / gradient[row, -1])


def similarity(one: Float64[np.ndarray, " p"], other: Float64[np.ndarray, " p"]) -> float:
    """Return the cosine of two feature vectors; 0 where one of them vanishes."""
    lengths = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / lengths if lengths else 0.0


def identified(
    release: Callable[[Float64[np.ndarray, "n d"]], Float64[np.ndarray, " d"]],
    candidates: Float64[np.ndarray, "M d"],
    known: Float64[np.ndarray, "n d"],
    truth: Int64[np.ndarray, " runs"],
) -> int:
    """Return how often somebody who knows all records but one finds which of M candidates that one is.

    The likeliest is the one whose row is nearest to what the known records leave.

    Args:
        release: the noised sum of rows.
        candidates: M rows, one of which is there.
        known: all other rows.
        truth: which candidate is there, run by run.
    """
    rest = known.sum(axis=0)
    right = 0
    for place in truth.tolist():
        left = release(np.vstack([known, candidates[place]])) - rest
        right += int(((candidates - left) ** 2).sum(axis=1).argmin()) == place
    return right


def identification_ceiling(candidates: int, mu: float) -> float:
    """Return the most often that anybody can be right: Phi(Phi^-1(1/M) + mu) against mu of Gaussian DP.

    Hayes, Mahloujifar & Balle 2023, Theorem 2, for a uniform prior.
    """
    return float(stats.norm.cdf(stats.norm.ppf(1 / candidates) + mu))
