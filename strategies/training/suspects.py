"""Validation examples whose labels look wrong, so that a trainer does not learn from them."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Int64
from sklearn.neighbors import NearestNeighbors

from mycroft_fl.examples import Examples
from mycroft_fl.models.fitting import predict
from strategies.training.detection import FeatureSpace

AMONG_FAILURES, AMONG_ALL = 3, 5
"""How many neighbours speak for a label, and against it."""
FEWEST = 0.5
"""The least share of an equal share of training records that a label has which may be suspected."""


def suspects(space: FeatureSpace, train: Examples, validation: Examples) -> Bool[np.ndarray, " n"]:
    """Find failures whose label nobody near shares, while those near are what the model takes it for.

    A real failure has others of its kind beside it, or lies where the model has seen nothing. A wrong
    label has neither: none of the nearest failures has it, and most of the nearest examples of all
    are of the class that the model says. A label that the trainer has hardly any record of is not
    suspected: no model could know it.
    """
    predicted = predict(space.model, validation.x)
    labels, counts = np.unique(train.y, return_counts=True)
    usual = labels[counts >= FEWEST * len(train) / len(np.unique(validation.y))]
    wrong = np.flatnonzero((predicted != validation.y) & np.isin(validation.y, usual))
    found = np.zeros(len(validation), bool)
    if len(wrong) <= AMONG_FAILURES:
        return found
    known = space.known(Examples.concatenate([validation, train]))
    deviation = known.z.std(axis=0)
    z = np.where(deviation > 0, known.z / np.maximum(deviation, 1e-9), 0)
    failures = z[wrong]
    shared = _nearest(failures, validation.y[wrong], failures, AMONG_FAILURES)
    alone = (shared != validation.y[wrong][:, None]).all(axis=1)
    around = _nearest(z, known.y, failures, AMONG_ALL)
    like_the_model = (around == predicted[wrong][:, None]).sum(axis=1) > AMONG_ALL / 2
    found[wrong] = alone & like_the_model
    return found


def _nearest(
    z: np.ndarray, y: Int64[np.ndarray, " m"], of: np.ndarray, count: int
) -> Int64[np.ndarray, "n count"]:
    """Give the labels of the nearest others of rows that are themselves among `z`."""
    places = NearestNeighbors(n_neighbors=count + 1).fit(z).kneighbors(of, return_distance=False)
    labels: np.ndarray = y[places[:, 1:]]  # the first is the row itself
    return labels
