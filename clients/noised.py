"""What each record adds to a noised answer: bounded, and a function of that record alone."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from jaxtyping import Float64, Int64

from mycroft_fl.errors import BadMessage
from mycroft_fl.examples import Examples
from mycroft_fl.exchange import Request
from mycroft_fl.models.networks import Classifier, build
from mycroft_fl.models.weights import load_flat_weights, load_head
from mycroft_fl.privacy.mechanisms import UNITS
from mycroft_fl.privacy.relevance import (
    SCORE_BOUND,
    Target,
    gradient_rows,
    relevances,
    score_rows,
    utility_levels,
)


def contributions(
    request: Request, examples: Examples, clip: float
) -> tuple[Fraction, Float64[np.ndarray, "n d"]]:
    """The squared bound of what a record may add to the answer, and what each record adds.

    `examples` have labels that the request knows, see `in_range`.
    """
    model = trainers_model(request, examples)
    values = relevances(model, examples, Target.of(model, request.hard))
    if request.mode == "score":
        return SCORE_BOUND, score_rows(values)
    if request.head is not None:
        load_head(model, request.head)
    return Fraction(clip) ** 2, gradient_rows(model, examples, values, clip)


def levels_of(request: Request, pool: Examples) -> Int64[np.ndarray, " n"]:
    """Each record's level for `raw-gumbel`; none is left out, or there were fewer to hide among."""
    model = trainers_model(request, pool)
    known = in_range(request, pool)
    levels = np.zeros(len(pool), np.int64)
    values = relevances(model, pool[known], Target.of(model, request.hard))
    levels[known] = utility_levels(values, UNITS)
    return levels


def in_range(request: Request, examples: Examples) -> Int64[np.ndarray, " m"]:
    """Records whose label the trainer knows: any other is left out, never an error to be seen."""
    known: np.ndarray = np.flatnonzero((examples.y >= 0) & (examples.y < request.num_classes))
    return known


def trainers_model(request: Request, examples: Examples) -> Classifier:
    """The trainer's model. Never one fitted to the owner's data, which would tell of it unpaid."""
    if request.weights is None:
        raise BadMessage(f"mode '{request.mode}' needs the trainer's weights")
    model = build(request.model, tuple(examples.x.shape[1:]), request.num_classes, seed=0)
    load_flat_weights(model, request.weights)
    return model
