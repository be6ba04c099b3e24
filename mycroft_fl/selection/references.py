"""The references of all methods: luck from below, everything from above."""

from __future__ import annotations

import numpy as np

from mycroft_fl.examples import Examples
from mycroft_fl.match.uniform import uniform
from mycroft_fl.selection.query import Query
from mycroft_fl.selection.result import Selection


def random(candidates: Examples, query: Query, k: int) -> Selection:
    """Draw candidates uniformly at random."""
    return Selection.unweighted(uniform(len(candidates), k, np.random.default_rng(query.seed)))


def full(candidates: Examples, query: Query, k: int) -> Selection:
    """Pick everything, as far as `k` allows: full information, the reference from above."""
    return Selection.unweighted(np.arange(min(k, len(candidates))))
