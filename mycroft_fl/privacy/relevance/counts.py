"""The counts of records by class, which an owner may show before it is asked for anything."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from jaxtyping import Float64, Int64, Shaped

from mycroft_fl.privacy.noise.mechanisms import NoisedSum, noised_sum
from mycroft_fl.privacy.noise.samplers import Noise

COUNT_BOUND = Fraction(1)
"""The squared length of what one record, or all records of one person, add to the counts."""


@dataclass(frozen=True, eq=False)
class ClassRows:
    """The rows that records add: a one in the column of their class. Made when some are asked for.

    Example:
        >>> import numpy as np
        >>> ClassRows(np.array([2, 0]), 3)[:]
        array([[0., 0., 1.],
               [1., 0., 0.]])
    """

    labels: Int64[np.ndarray, " n"]
    classes: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Records, and classes."""
        return len(self.labels), self.classes

    def __getitem__(self, some: slice | Int64[np.ndarray, " m"], /) -> Float64[np.ndarray, "m d"]:
        """Return the rows of some records; of a label that is no class, zeros."""
        rows: np.ndarray = self.labels[some][:, None] == np.arange(self.classes)
        return rows.astype(np.float64)


def noised_counts(
    labels: Int64[np.ndarray, " n"],
    classes: int,
    multiplier: float,
    noise: Noise,
    persons: Shaped[np.ndarray, " n"] | None = None,
) -> NoisedSum:
    """Count records by class and add discrete Gaussian noise of standard deviation `multiplier`.

    One record moves one count by 1, so rho = 1 / (2 multiplier^2) of zCDP (Canonne, Kamath & Steinke
    2020, Theorem 14). With `persons` all rows of one person are clipped to length 1 together: who is
    in one class counts 1 there, however many records there are.

    Args:
        labels: the class of each record.
        classes: of the task, whether the owner has them or not.
        multiplier: of the noise.
        noise: the source of random bytes.
        persons: whose each record is; None where each stands alone.

    Example:
        >>> from mycroft_fl.privacy.noise.samplers import simulated
        >>> found = noised_counts(np.array([0, 0, 1]), 2, 1e-3, simulated(0))
        >>> found.values.round().tolist()
        [2.0, 1.0]
    """
    return noised_sum(ClassRows(labels, classes), COUNT_BOUND, multiplier, noise, persons=persons)
