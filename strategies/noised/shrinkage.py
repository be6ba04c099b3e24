"""Noised sums over several steps, brought down to what stands out from their noise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Float64
from numpy.linalg import eigh

from strategies.noised.whitening import second_moments


def shrunk(
    noised: Float64[np.ndarray, " C_times_q"], variance: float, classes: Bool[np.ndarray, " C"]
) -> Float64[np.ndarray, " C_times_q"]:
    """Apply a positive-part James-Stein estimator, direction by direction of the last layer's inputs.

    Gradients have few directions in common; noise of that variance lies in all alike. What a direction
    (a column of C x q) holds, over all `classes` that there are examples of, is shrunk by the noise's
    share of its squared length, and to nothing where it is no longer than noise would be. Without
    noise nothing changes. Postprocessing: it looks at noised numbers and public things, and costs
    no privacy.
    """
    rows = noised.reshape(len(classes), -1) * classes[:, None]
    lengths = np.maximum((rows**2).sum(axis=0), np.finfo(np.float64).tiny)
    kept = np.maximum(0.0, 1 - classes.sum() * variance / lengths)
    left: np.ndarray = (rows * kept).flatten()
    return left


class Shrinkage:
    """`shrunk` for last layers as they are: by the principal directions of the trainer's own inputs."""

    def __init__(
        self, inputs: Sequence[Float[np.ndarray, "m p"]], classes: Bool[np.ndarray, " C"]
    ) -> None:
        self._basis: Float64[np.ndarray, "p_and_bias p_and_bias"] = eigh(second_moments(inputs))[1]
        self._classes = classes

    def __call__(
        self, noised: Float64[np.ndarray, " h"], variance: float
    ) -> Float64[np.ndarray, " h"]:
        """Shrink `noised`, row by row of the last layer, by what noise of that variance explains."""
        along = noised.reshape(len(self._classes), -1) @ self._basis
        left = shrunk(along.flatten(), variance, self._classes)
        back: np.ndarray = (left.reshape(along.shape) @ self._basis.T).flatten()
        return back
