"""DP-SGD of a last layer on features that stay frozen: Poisson batches, each an exact noised sum.

A step is what one answer of mode `gradient` is: gradients in closed form, each made whole and
clipped by itself, summed exactly, with discrete Gaussian noise. Who is in a batch is settled by exact
coins. Sums, never means: a batch is divided by nothing that depends on who is in it, and the sampling
rate is a public number. A last layer is a function of the noised sums before it, so that whatever
becomes of it tells no more than they do.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch
from jaxtyping import Float64, Int64, Shaped
from torch import nn

from mycroft_fl.privacy.noise.accounting import SgdRun
from mycroft_fl.privacy.noise.mechanisms import UNITS, noised_sum, sigma_units
from mycroft_fl.privacy.noise.samplers import Noise, coins
from mycroft_fl.privacy.relevance.gradient_rows import GradientRows
from mycroft_fl.privacy.relevance.hard_set_target import RecordView

FARTHEST = 1e29
"""No number of a last layer moves by more, whatever its steps: the sum of many owners' is finite too."""


@dataclass(frozen=True, eq=False)
class Weighted:
    """Records as the last layer sees them, what each counts for, 0 to 1, and whose each is.

    A record's weight must be a function of that record and of public things alone; one whose weight,
    or gradient, is not finite adds nothing. Without `persons` each record is a unit of its own.
    """

    seen: RecordView
    weights: Float64[np.ndarray, " n"]
    persons: Shaped[np.ndarray, " n"] | None = None

    def units(self) -> tuple[Int64[np.ndarray, " n"], int]:
        """Return which unit each record is of, from 0, and how many units there are."""
        if self.persons is None:
            return np.arange(len(self.weights)), len(self.weights)
        names, unit = np.unique(self.persons, return_inverse=True)
        return unit, len(names)


@dataclass(frozen=True)
class HeadRun:
    """How a run goes, all of it public: its price, the clip of a unit's gradient, its steps.

    `rate` is what a step moves by a summed gradient of length 1, before it is divided by the
    sampling rate.
    """

    sgd: SgdRun
    clip: float
    rate: float

    @property
    def step_rate(self) -> float:
        """The length that one step moves by its batch's noised sum of length 1."""
        return self.rate / self.sgd.sample_rate

    @property
    def bound_squared(self) -> Fraction:
        """The squared length of what a unit adds to a batch's sum, at most."""
        return Fraction(self.clip) ** 2

    @property
    def sigma(self) -> float:
        """The standard deviation that the noise of all steps has in each number of the result."""
        step = sigma_units(self.bound_squared, self.sgd.noise_multiplier) / UNITS
        return float(self.step_rate * step * np.sqrt(self.sgd.steps))


def head_delta(
    head: nn.Linear, records: Weighted, run: HeadRun, noise: Noise
) -> Float64[np.ndarray, " h"]:
    """Return how DP-SGD moves `head`: row by row, each with its bias last. Abadi et al. 2016, Algorithm 1.

    A unit, be it a record or a person, is in a batch with all its records or with none, and what they
    add together is clipped as one. Always finite, see `FARTHEST`.

    Args:
        head: the last layer, left as it is.
        records: features and labels, and whose each is.
        run: its price, the clip of a unit's gradient, its steps.
        noise: the source of random bytes.
    """
    unit, units = records.units()
    inputs, chance = records.seen.with_bias(), Fraction(run.sgd.sample_rate)
    start, weights = flat(head), np.clip(records.weights, 0, 1)[:, None]
    moved, delta = copy.deepcopy(head).double(), np.zeros(len(start))
    for _ in range(run.sgd.steps):
        taken = np.flatnonzero(coins(units, chance, noise)[unit])
        # Weighed before they are clipped: as a loss would be, of which this is the gradient.
        deltas = records.seen[taken].deltas(moved) * weights[taken]
        rows = GradientRows(deltas, inputs[taken], np.ones(len(taken)), run.clip)
        released = noised_sum(
            rows,
            run.bound_squared,
            run.sgd.noise_multiplier,
            noise,
            persons=None if records.persons is None else unit[taken],
        )
        delta = np.clip(delta - run.step_rate * released.values, -FARTHEST, FARTHEST)
        _put(moved, start + delta)
    return delta


def flat(head: nn.Linear) -> Float64[np.ndarray, " h"]:
    """Return a last layer's numbers, row by row, each row with its bias last."""
    with torch.no_grad():
        both = torch.cat([head.weight, head.bias[:, None]], dim=1)
    numbers: np.ndarray = both.double().flatten().cpu().numpy()
    return numbers


def _put(head: nn.Linear, numbers: Float64[np.ndarray, " h"]) -> None:
    both = torch.from_numpy(numbers).reshape(head.out_features, head.in_features + 1)
    with torch.no_grad():
        head.weight.copy_(both[:, :-1])
        head.bias.copy_(both[:, -1])
