"""A method of somebody's own, found by its import path."""

import numpy as np

from mycroft_fl.examples import Examples
from mycroft_fl.selection.methods import Query, Selection


def last(candidates: Examples, query: Query, k: int) -> Selection:
    """Pick the last k."""
    return Selection.unweighted(np.arange(len(candidates))[-k:])
