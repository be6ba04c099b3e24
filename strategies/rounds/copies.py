"""Checks on what owners hand over. Pure functions."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from mycroft_fl.examples import Examples

COPIES_TOLERATED = 0.1
"""Share of an answer that may be near-copies of the hard set; a few may be so by chance."""

NEAR = 1 / 3
"""Of the way from a hard example to the nearest other that the trainer holds. Of owners with up to
fifteen times its examples none was wrongly refused; at 1/2 it was 1 in 30 (8x8 digits)."""


def copy_radii(hard: Examples, others: Examples) -> Float[np.ndarray, " h"]:
    """How near to each hard example an example must lie to be a copy of it.

    `others` are what else the trainer holds: they show how near natural neighbours come. The
    hard examples alone would not: few of them lie far apart.
    """
    apart = _distances(Examples.concatenate([hard, others]), hard)
    apart[apart == 0] = np.inf
    nearest = apart.min(axis=0)
    return np.where(np.isfinite(nearest), NEAR * nearest, 0.0)


def hard_set_copies(
    answer: Examples, hard: Examples, radii: Float[np.ndarray, " h"]
) -> Bool[np.ndarray, " n"]:
    """Which examples of an answer are the hard set sent back, exactly or slightly changed."""
    if len(answer) == 0:
        return np.zeros(0, dtype=bool)
    near = (_distances(answer, hard) < radii).any(axis=1)
    copies: np.ndarray = np.isin(answer.ids, hard.ids) | near
    return copies


def is_copying(answer: Examples, hard: Examples, radii: Float[np.ndarray, " h"]) -> bool:
    """Whether too much of an answer is the hard set sent back."""
    copies = hard_set_copies(answer, hard, radii)
    return bool(len(answer)) and float(copies.mean()) > COPIES_TOLERATED


def _distances(a: Examples, b: Examples) -> np.ndarray:
    """Euclidean distances, by differences: the near-zero ones are those that count."""
    left = a.x.reshape(len(a), -1).astype(np.float64)
    right = b.x.reshape(len(b), -1).astype(np.float64)
    return np.stack([np.linalg.norm(left - row, axis=1) for row in right], axis=1)
