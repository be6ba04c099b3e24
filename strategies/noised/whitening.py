"""Coordinates in which steps of the last layer are taken: inputs, nearly whitened by the trainer's own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Float32, Float64
from numpy.linalg import eigh

RIDGE = 0.1
"""Addition to each direction's mean square, as a share of the largest one."""

LENGTH = 200.0
"""The median length of the trainer's own inputs in these coordinates, forty times the clip that owners
have unless they set another: only records that the model is all but sure of have a gradient that
is not clipped. What the others tell is where they pull, not how hard (automatic clipping, Bu et
al. 2023), so that none is lost in the noise of a clip made for the longest."""

AT_MOST = 256
"""Directions that are kept, the longest first: each costs a number a class in every answer."""


class Whitening:
    """A matrix S by which inputs, with a one at the end, become coordinates of nearly one size.

    `largest` is the mean square of inputs along their longest direction. Half of it bounds the
    curvature of softmax regression on the same inputs, so that steps of about 1 / largest are sound.

    Gradients of a last layer lie mostly along what all inputs have in common, which says little:
    clipped as they are, that is what is left of them, and the noise, alike in all directions, covers
    the rest. Clipped by these coordinates, rare directions count for more, and a step along
    g S^T S is one of Newton's kind. On features preprocessed before private optimization see Sun,
    Suresh & Menon 2024; the directions here are the trainer's own, so that they cost no privacy.
    """

    def __init__(self, matrix: Float32[np.ndarray, "q p_and_bias"], largest: float) -> None:
        self.matrix, self.largest = matrix, largest
        exact = matrix.astype(np.float64)
        # The longest direction is stretched by nothing but the common scale.
        scale_squared = np.square(exact).sum(axis=1).min()
        self._there, self._back = exact.T, exact / (scale_squared * largest)

    @classmethod
    def of(cls, lots: Sequence[Float[np.ndarray, "m p"]]) -> Whitening:
        """Whiten by these inputs' principal directions (uncentred, bias included); each lot counts alike.

        The first lot sets the scale.
        """
        squares, directions = eigh(second_moments(lots) / len(lots))
        squares, directions = squares[-AT_MOST:], directions[:, -AT_MOST:]
        shares = np.maximum(squares, 0) / squares[-1]
        matrix = (directions * ((shares + RIDGE) / (1 + RIDGE)) ** -0.5).T
        lengths = np.linalg.norm(with_bias(lots[0]) @ matrix.T, axis=1)
        scaled = (matrix * LENGTH / np.median(lengths)).astype(np.float32)
        return cls(scaled, float(squares[-1]))

    def coordinates(self, gradient: Float64[np.ndarray, " h"]) -> Float64[np.ndarray, " C_times_q"]:
        """Write a gradient of the last layer, flat, in these coordinates."""
        there: np.ndarray = (gradient.reshape(-1, len(self._there)) @ self._there).flatten()
        return there

    def step(self, coordinates: Float64[np.ndarray, " C_times_q"]) -> Float64[np.ndarray, " h"]:
        """Turn a gradient in these coordinates into a step of the last layer, one of Newton's kind."""
        back: np.ndarray = (coordinates.reshape(-1, len(self._back)) @ self._back).flatten()
        return back


def second_moments(
    lots: Sequence[Float[np.ndarray, "m p"]],
) -> Float64[np.ndarray, "p_and_bias p_and_bias"]:
    """Sum, over lots, the mean square of inputs with a one at the end, however many a lot holds."""
    moments: np.ndarray = np.sum([a.T @ a / len(a) for a in map(with_bias, lots)], axis=0)
    return moments


def with_bias(inputs: Float[np.ndarray, "m p"]) -> Float64[np.ndarray, "m p_and_bias"]:
    """Put a one at the end of each input."""
    return np.column_stack([inputs, np.ones(len(inputs))]).astype(np.float64)
