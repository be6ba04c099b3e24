"""What owners with `reuse` hold: slightly unlike what other owners got of the same examples."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from mycroft_fl.data.formats.transforms import jitter, shift
from mycroft_fl.examples import Examples

LARGEST_SHIFT = 2  # pixels
JITTER = 0.01  # of a column's standard deviation
SHIFTS = np.array(
    [
        (dx, dy)
        for dx in range(-LARGEST_SHIFT, LARGEST_SHIFT + 1)
        for dy in range(-LARGEST_SHIFT, LARGEST_SHIFT + 1)
        if (dx, dy) != (0, 0)
    ]
)


def unlike_others(
    examples: Examples, spread: Float[np.ndarray, " d"] | None, rng: np.random.Generator
) -> Examples:
    """Images shifted by up to two pixels; vectors with a hundredth of each column's `spread` added."""
    if spread is not None:
        return Examples(jitter(examples.x, JITTER * spread, rng), examples.y)
    dx, dy = SHIFTS[rng.integers(len(SHIFTS), size=len(examples))].T
    return Examples(shift(examples.x, dx, dy), examples.y)
