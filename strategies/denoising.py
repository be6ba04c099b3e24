"""Noised sums over several steps, brought down to what stands out from their noise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Float64
from numpy.linalg import eigh


class Shrinkage:
    """A positive-part James-Stein estimator, direction by direction of the last layer's inputs.

    Directions are the principal ones of the trainer's own inputs (uncentred, bias included), so that
    what gradients have in common lies in few of them; noise lies in all alike. What a direction
    holds, over all classes that there are examples of, is shrunk by the noise's share of its squared
    length, and to nothing where it is no longer than noise would be. Without noise nothing changes.
    Postprocessing: it looks at noised numbers and the trainer's own data, and costs no privacy.
    """

    def __init__(
        self, inputs: Sequence[Float[np.ndarray, "m p"]], classes: Bool[np.ndarray, " C"]
    ) -> None:
        width = inputs[0].shape[1] + 1
        moments = np.zeros((width, width))
        for each in inputs:  # each lot counts alike, however many it holds
            with_bias = np.column_stack([each, np.ones(len(each))]).astype(np.float64)
            moments += with_bias.T @ with_bias / len(with_bias)
        self._basis: Float64[np.ndarray, "p_and_bias p_and_bias"] = eigh(moments)[1]
        self._classes = classes

    def __call__(
        self, noised: Float64[np.ndarray, " h"], variance: float
    ) -> Float64[np.ndarray, " h"]:
        """`noised`, row by row of the last layer, without what noise of that variance explains."""
        rows = noised.reshape(len(self._classes), -1) * self._classes[:, None]
        along = rows @ self._basis
        lengths = np.maximum((along**2).sum(axis=0), np.finfo(np.float64).tiny)
        kept = np.maximum(0.0, 1 - self._classes.sum() * variance / lengths)
        shrunk: np.ndarray = ((along * kept) @ self._basis.T).flatten()
        return shrunk
