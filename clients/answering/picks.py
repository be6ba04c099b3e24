"""Picks of a method, checked, and examples found again by their content."""

from __future__ import annotations

import numpy as np

from mycroft_fl.errors import BadMessage
from mycroft_fl.selection.methods import Selection


def checked_picks(selection: Selection, k: int, n: int) -> np.ndarray:
    """A method's picks, checked: a method may be anybody's code."""
    indices = np.asarray(selection.indices)
    if indices.size == 0:
        return np.empty(0, dtype=np.int64)
    if (
        # Not cast: a mask, or fractions, would become other examples' indices.
        not np.issubdtype(indices.dtype, np.integer)
        or indices.ndim != 1
        or len(indices) > k
        or len(np.unique(indices)) < len(indices)
        or not 0 <= indices.min() <= indices.max() < n
    ):
        raise BadMessage(
            f"the method returned picks that are not up to {k} distinct indices below {n}"
        )
    return indices


def first_of_each(ids: np.ndarray) -> np.ndarray:
    """Positions of the first example of each content, in order: copies are one example."""
    return np.sort(np.unique(ids, return_index=True)[1])


def positions(ids: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Where each of `wanted` stands in `ids`."""
    order = np.argsort(ids, kind="stable")
    return order[np.searchsorted(ids, wanted, sorter=order)]
