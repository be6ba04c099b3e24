"""The paper's distance for tables: how many bins lie between a row and the nearest hard value.

Mycroft (arXiv 2410.08432), section 4.2, tabular data.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

BIN_COUNTS = (200, 100, 50, 20, 10, 5)
MOST_OCCUPIED = 6
SAME_SCALE, FAR_SCALE = 5, 50
"""Up to the first ratio of ranges the hard set's bins serve, up to the second its whole range."""


def binned_distances(
    candidates: Float[np.ndarray, "n d"], hard: Float[np.ndarray, "h d"]
) -> Float[np.ndarray, " n"]:
    """Sum over columns, for each candidate, the bins to the nearest hard value.

    A column's bins are of equal width: the hard set's, its whole range, or the candidates' own,
    the further the candidates' range exceeds the hard set's. Where the hard set does not vary,
    the candidates' own serve; where neither varies, the two differ by one bin or by none.
    """
    distances = np.zeros(len(candidates))
    if len(candidates) == 0:
        return distances
    for column in range(candidates.shape[1]):
        own, wanted = candidates[:, column].astype(np.float64), hard[:, column].astype(np.float64)
        width = bin_width(own, wanted)
        start = min(own.min(), wanted.min())
        if width == 0:
            distances += own != wanted[0]
            continue
        bins, hard_bins = (np.floor((v - start) / width) for v in (own, np.unique(wanted)))
        distances += _to_nearest(bins, np.unique(hard_bins))
    return distances


def bin_width(own: Float[np.ndarray, " n"], hard: Float[np.ndarray, " h"]) -> float:
    """Return the width of a column's bins; 0 where neither the candidates nor the hard set vary."""
    own_range, hard_range = np.ptp(own), np.ptp(hard)
    if hard_range > 0 and own_range <= SAME_SCALE * hard_range:
        return _adaptive(hard)
    if hard_range > 0 and own_range <= FAR_SCALE * hard_range:
        return float(hard_range)
    return _adaptive(own) if own_range > 0 else 0.0


def _adaptive(values: Float[np.ndarray, " n"]) -> float:
    """Return the most bins of which at most 6 hold a value; the fewest bins if there are none such."""
    spread = np.ptp(values)
    for count in BIN_COUNTS:
        width = float(spread / count)
        places = np.minimum(np.floor((values - values.min()) / width), count - 1)
        if len(np.unique(places)) <= MOST_OCCUPIED:
            break
    return width


def _to_nearest(
    bins: Float[np.ndarray, " n"], hard_bins: Float[np.ndarray, " b"]
) -> Float[np.ndarray, " n"]:
    """Return how far each bin is from the nearest of the sorted `hard_bins`."""
    after = np.searchsorted(hard_bins, bins).clip(0, len(hard_bins) - 1)
    before = (after - 1).clip(0)
    return np.asarray(np.minimum(np.abs(bins - hard_bins[after]), np.abs(bins - hard_bins[before])))
