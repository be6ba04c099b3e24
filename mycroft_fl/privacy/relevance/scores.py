"""Scores of owners with noise, for publication: what one record of either side can change in them."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

import numpy as np
from jaxtyping import Float64

from mycroft_fl.privacy.noise.mechanisms import UNITS, noised, noised_sum
from mycroft_fl.privacy.noise.samplers import Noise


def noised_scores(
    gains: Mapping[str, Float64[np.ndarray, " n"]],
    clip: float | None,
    multiplier: float,
    noise: Noise,
) -> tuple[dict[str, float], float]:
    """Give every owner's score with noise, and the noise's standard deviation in a score.

    `gains` are, owner by owner, how much each scoring example is gained, from -1 to 1. Without a
    clip the unit is a scoring example: it adds its row of gains and a count of 1, of squared length
    at most owners + 1, and the sums are divided by the noised count. With a clip the unit is a
    record of one owner's subset: mean gains are clipped to it, and whatever the record did to the
    fine-tune, one of them moves by at most twice that. rho = 1 / (2 multiplier^2) of zCDP.
    """
    owners = sorted(gains)
    table = np.stack([gains[owner] for owner in owners], axis=1)
    if clip is None:
        rows = np.column_stack([np.clip(table, -1, 1), np.ones(len(table))])
        released = noised_sum(rows, Fraction(len(owners) + 1), multiplier, noise)
        count = max(float(released.values[-1]), released.sigma, 1.0)
        scores = released.values[:-1] / count
        return dict(zip(owners, scores.tolist(), strict=True)), released.sigma / count
    means = np.clip(np.nan_to_num(table.mean(axis=0)), -clip, clip)
    whole = np.trunc(means * UNITS).astype(np.int64)
    released = noised(whole, (2 * Fraction(clip)) ** 2, multiplier, noise)
    return dict(zip(owners, released.values.tolist(), strict=True)), released.sigma
