"""Checks on what owners hand over. Pure functions."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool

from mycroft_fl.examples import Examples

COPIES_TOLERATED = 0.1
"""Share of an answer that may be near-copies of the hard set; a few may be so by chance."""


def hard_set_copies(answer: Examples, hard: Examples) -> Bool[np.ndarray, " n"]:
    """Which examples of an answer are the hard set sent back, exactly or slightly changed.

    A near-copy lies closer to a hard example than half of what the closest pair of the hard
    set lie from one another: natural neighbours do not come so near.
    """
    if len(answer) == 0:
        return np.zeros(0, dtype=bool)
    own = _distances(hard, hard)
    np.fill_diagonal(own, np.inf)
    apart = own[own > 0]
    closest = float(apart.min()) if np.isfinite(apart).any() else 0.0
    nearest = _distances(answer, hard).min(axis=1)
    copies: np.ndarray = np.isin(answer.ids, hard.ids) | (nearest < closest / 2)
    return copies


def is_copying(answer: Examples, hard: Examples) -> bool:
    """Whether too much of an answer is the hard set sent back."""
    return bool(len(answer)) and float(hard_set_copies(answer, hard).mean()) > COPIES_TOLERATED


def _distances(a: Examples, b: Examples) -> np.ndarray:
    """Euclidean distances, by differences: the near-zero ones are those that count."""
    left = a.x.reshape(len(a), -1).astype(np.float64)
    right = b.x.reshape(len(b), -1).astype(np.float64)
    return np.stack([np.linalg.norm(left - row, axis=1) for row in right], axis=1)
