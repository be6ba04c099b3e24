"""How relevant each record is to a hard set, looked at one by one.

A record's value must not depend on which others are there, not even in its last bit: matrix
products over a batch round differently in another batch, and a thousand last bits are no longer
covered by any noise. So records go through the model alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from mycroft_fl.errors import BadMessage
from mycroft_fl.examples import Examples
from mycroft_fl.exchange import COUNT_WEIGHT
from mycroft_fl.models.fitting import as_input
from mycroft_fl.models.networks import Classifier
from mycroft_fl.represent.gradients import last_layer_gradients

USEFUL = 0.6
"""Of the hard set's own median alignment: a record above it counts as useful."""

SCORE_BOUND = 1 + Fraction(COUNT_WEIGHT) ** 2
"""The squared length of what a record adds to a score, at most."""


@dataclass(frozen=True, eq=False)
class Target:
    """The mean last-layer gradient of a hard set, and the median alignment within the hard set.

    Both come from the trainer; neither is looked up in the owner's data.
    """

    direction: Float[Tensor, "C p_and_bias"]
    scale: float

    @classmethod
    def of(cls, model: Classifier, hard: Examples) -> Target:
        """The target of a hard set. `BadMessage` where it does not agree with itself."""
        gradients = last_layer_gradients(model, as_input(hard.x), torch.from_numpy(hard.y))
        direction = gradients.mean()
        scale = float(gradients.correlate(direction).median())
        if not 0 < scale < np.inf:
            raise BadMessage("the hard set's gradients do not agree, so nothing is relevant to it")
        return cls(direction, scale)


def relevances(model: Classifier, examples: Examples, target: Target) -> Float64[np.ndarray, " n"]:
    """Each record's alignment with the target, 1 for as much as the median hard example has.

    Not finite where a record's gradient is not.
    """
    return aligned(*alone(model, examples), target)


def aligned(
    delta: Float64[np.ndarray, "n C"], hidden: Float64[np.ndarray, "n p"], target: Target
) -> Float64[np.ndarray, " n"]:
    """`relevances` of records whose factors are known already."""
    direction = target.direction.double().numpy()
    weight, bias = direction[:, :-1], direction[:, -1]
    values = [
        float(each @ (weight @ inputs + bias)) / target.scale
        for each, inputs in zip(delta, hidden, strict=True)
    ]
    return np.array(values, np.float64)


def score_rows(values: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, "n 4"]:
    """What each record adds to a score: its relevance within [-1, 1], and which bin it is in.

    The bins are public: below 0, below `USEFUL`, and above, each counted by `COUNT_WEIGHT`. A row's
    squared length is at most `SCORE_BOUND`.
    """
    clipped = np.clip(values, -1, 1)
    bins = np.column_stack(
        [clipped < 0, (clipped >= 0) & (clipped <= USEFUL), clipped > USEFUL]
    ).astype(np.float64)
    return np.column_stack([clipped, COUNT_WEIGHT * bins])


def utility_levels(values: Float64[np.ndarray, " n"], units: int) -> Int64[np.ndarray, " n"]:
    """The static utility of `raw-gumbel`: all for a useful record, nothing for any other."""
    return np.where(values > USEFUL, units, 0).astype(np.int64)


def gradient_rows(
    model: Classifier, examples: Examples, weights: Float64[np.ndarray, " n"], clip: float
) -> Float64[np.ndarray, "n d"]:
    """Each record's last-layer gradient, clipped to length `clip`, times its weight in [0, 1]."""
    delta, hidden = alone(model, examples)
    with_bias = np.concatenate([hidden, np.ones((len(hidden), 1))], axis=1)
    size = delta.shape[1] * with_bias.shape[1]
    rows = (delta[:, :, None] * with_bias[:, None, :]).reshape(len(delta), size)
    # |delta (x) h| = |delta| |h|; the exact check is on whole numbers, in `quantised`.
    lengths = np.array([np.linalg.norm(row) for row in rows])
    factor = np.minimum(1.0, clip / np.maximum(lengths, 1e-300)) * np.clip(weights, 0, 1)
    return np.asarray(rows * factor[:, None])


def alone(
    model: Classifier, examples: Examples
) -> tuple[Float64[np.ndarray, "n C"], Float64[np.ndarray, "n p"]]:
    """Each record's factors of its last-layer gradient, from a forward pass of its own."""
    atoms = last_layer_gradients(
        model, as_input(examples.x), torch.from_numpy(examples.y), batch_size=1
    )
    return atoms.delta.double().cpu().numpy(), atoms.inputs.double().cpu().numpy()
