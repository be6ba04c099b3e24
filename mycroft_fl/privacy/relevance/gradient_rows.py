"""The rows that records add to a noised gradient: what each weighs, and its clipped numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

FLOOR = 0.1
"""The weight in a noised gradient of a record that is neither relevant nor failed on: the many of
them keep what the model knows."""


def step_weights(
    values: Float64[np.ndarray, " n"], failed: Bool[np.ndarray, " n"]
) -> Float64[np.ndarray, " n"]:
    """Say what records weigh in a noised gradient: 1 if failed on, or half as relevant as a hard example.

    And none less than `FLOOR`. What is not finite stays so, and is left out.
    """
    return np.where(failed & np.isfinite(values), 1.0, np.clip(2 * np.clip(values, 0, 1), FLOOR, 1))


@dataclass(frozen=True, eq=False)
class GradientRows:
    """Clipped, weighted gradients delta (x) input, flat, C q numbers for each record.

    Thousands of rows of thousands of numbers are not held: a slice is made when it is asked for.
    """

    deltas: Float64[np.ndarray, "n C"]
    inputs: Float64[np.ndarray, "n q"]
    weights: Float64[np.ndarray, " n"]
    clip: float

    @property
    def shape(self) -> tuple[int, int]:
        """Records, and numbers in a row."""
        return len(self.deltas), self.deltas.shape[1] * self.inputs.shape[1]

    def __getitem__(self, some: slice | Int64[np.ndarray, " m"]) -> Float64[np.ndarray, "m d"]:
        """Make rows as they are added; not finite where a record's gradient is not."""
        deltas, inputs = self.deltas[some], self.inputs[some]
        # The exact check is on whole numbers, in `quantised`.
        lengths = np.sqrt((deltas**2).sum(axis=1) * (inputs**2).sum(axis=1))
        factor = np.minimum(1.0, self.clip / np.maximum(lengths, 1e-300)) * self.weights[some]
        shortened = deltas * factor[:, None]
        products = shortened[:, :, None] * inputs[:, None, :]
        rows: np.ndarray = products.reshape(len(deltas), self.shape[1])
        return rows
