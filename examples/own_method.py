"""A selection method of your own, compared with random picks and with the default.

python examples/own_method.py

A method is a function of the candidates, the query and k. A run names it by its import path.
"""

from __future__ import annotations

import numpy as np

import mycroft_fl as mf
from mycroft_fl.selection.methods import Examples, Query, Selection

METHODS = ("own_method:surest_neighbours", "hard-features", "random")


def surest_neighbours(candidates: Examples, query: Query, k: int) -> Selection:
    """Pick the candidates of a hard example's class that lie nearest, in units of that class's spread.

    A class that is spread wide has far neighbours everywhere; `hard-features` compares plain distances.
    """
    owned, hard = query.features(candidates), query.features(query.hard)
    closeness = np.full(len(candidates), np.inf)
    for label in np.unique(query.hard.y):
        rows = np.flatnonzero(candidates.y == label)
        if len(rows):
            apart = np.linalg.norm(owned[rows, None] - hard[query.hard.y == label], axis=2)
            closeness[rows] = apart.min(axis=1) / np.median(apart)
    order = np.argsort(closeness, kind="stable")[:k]
    return Selection.unweighted(order[np.isfinite(closeness[order])])


def main() -> None:
    """Print what each method brings on one seed; a study over ten says which is better."""
    for method in METHODS:
        result = mf.simulate(
            "rotated-digits", method=method, owners=4, budget=60, num_rounds=1, fit_epochs=10
        )
        print(f"{method:30} {result.answer}")


if __name__ == "__main__":
    main()
