"""Data valuation as a way to choose: anchors from the literature."""

from __future__ import annotations

import numpy as np

from mycroft_fl.examples import Examples
from mycroft_fl.match.shapley import knn_shapley as shapley_values
from mycroft_fl.match.transport import labelled_cost, transport_gradient
from mycroft_fl.selection.query import Query
from mycroft_fl.selection.result import Selection, continued


def knn_shapley(candidates: Examples, query: Query, k: int) -> Selection:
    """Pick the candidates worth most to a 5-nearest-neighbour classifier of the hard set.

    Only those worth more than nothing; exact values, Jia et al. 2019.
    """

    def order(pool: Examples, depth: int) -> np.ndarray:
        value = shapley_values(
            query.features(pool).cpu(), pool.y, query.features(query.hard).cpu(), query.hard.y
        )
        best_first = np.argsort(-value, kind="stable")
        return best_first[value[best_first] > 0][:depth]

    return Selection.unweighted(continued(candidates, query, k, order))


def transport(candidates: Examples, query: Query, k: int) -> Selection:
    """Pick the candidates that would bring the owner's data nearest the hard set, if weighed more.

    The calibrated gradient of the transport distance over features and labels, as in LAVA
    (Just et al. 2023).
    """

    def order(pool: Examples, depth: int) -> np.ndarray:
        there, here = query.features(pool).cpu(), query.features(query.hard).cpu()
        gradient = transport_gradient(labelled_cost(there, pool.y, here, query.hard.y))
        return np.argsort(gradient.numpy(), kind="stable")[:depth]

    return Selection.unweighted(continued(candidates, query, k, order))
