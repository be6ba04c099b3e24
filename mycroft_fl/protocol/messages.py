"""The messages of trainer and owner: requests and answers. Nothing else crosses between them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float32, Float64

from mycroft_fl.examples import Examples
from mycroft_fl.protocol.card import Card
from mycroft_fl.protocol.description import Description
from mycroft_fl.protocol.detector import Detector
from mycroft_fl.settings.selection import SelectionSettings

BESIDES = 1 << 16
"""Bytes of an answer beside its numbers: headers of arrays, the card, the seal."""

COUNTS = 3
"""A score's last numbers: how many records are against, of little use, useful. Before them sums of
relevances: one, or by class one for each class that hard examples have."""

SCORED_BY = ("hard-set", "class")
"""The targets of a score's relevances: the whole hard set, or the hard examples of a record's own class."""

COUNT_WEIGHT = 0.5
"""The weight of a record in those three numbers.

All numbers get the same noise, which grows with the length of a record's row: counted half, records
cost the sum that owners are ranked by a fifth less of it.
"""

Failure = Literal["error", "timeout", "malformed", "refused", "duplicate"]
"""All that the trainer sees of an owner's failure; the detail stays in the owner's log."""


@dataclass(frozen=True, eq=False)
class NoisedTarget:
    """The trainer's message in place of hard examples: their mean gradient, with noise.

    By the last layer of the trainer's model, each gradient clipped to length `clip`; `direction` is
    C x (p + 1), flat, the bias last in each row. An alignment with it of `scale` counts as 1.
    `stands_for` is how many hard examples are behind it at most, and what their sum was divided by.
    """

    direction: Float32[np.ndarray, " h"]
    scale: float
    clip: float
    stands_for: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Request(SelectionSettings):
    """A question of the trainer to one owner: up to `k` examples that help with what the model fails on.

    That is told by `hard` examples, by a `target`, or by a `detector`; with one of the latter `hard`
    is empty and says only of what shape and type examples are. `weights` travel only where owners
    look through the trainer's model. No field can widen an owner's policy.

    Example:
        >>> import mycroft_fl as mf, numpy as np
        >>> hard = mf.Examples(np.eye(2, dtype=np.float32), np.array([0, 1]))
        >>> asked = Request(server_round=1, k=5, hard=hard, num_classes=2, model="linear",
        ...     weights=None, seed=0, method="features")
        >>> asked.brought
        'hard-set'
    """

    server_round: int
    k: int
    hard: Examples
    num_classes: int
    model: str
    weights: Float32[np.ndarray, " w"] | None
    seed: int
    mode: str = "raw"
    head: Float32[np.ndarray, " h"] | None = None
    """The last layer at which `gradient` is taken; None: that of `weights`."""
    whitening: Float32[np.ndarray, "q p_and_bias"] | None = None
    """The matrix that multiplies the last layer's inputs, with a one at the end, in `gradient`, before
    records' gradients are clipped; None: nothing. An answer then has C q numbers."""
    rate: float = 0.0
    """How far `dp-sgd` goes by a summed gradient of length 1."""
    target: NoisedTarget | None = None
    detector: Detector | None = None
    score_by: str = "hard-set"
    """To what a `score` adds up relevances, see `SCORED_BY`."""

    @property
    def brought(self) -> str:
        """What tells of the failures, as the setting `request` calls it."""
        if self.detector is not None:
            return "detector"
        return "hard-set" if self.target is None else "target"


@dataclass(frozen=True, eq=False)
class Statistic:
    """A noised answer: numbers, each with Gaussian noise of standard deviation `sigma`."""

    values: Float64[np.ndarray, " d"]
    sigma: float

    def counted(self) -> Float64[np.ndarray, " 3"]:
        """Say, of a score, how many records are against, of little use, useful; negative at times.

        With noise of standard deviation sigma / `COUNT_WEIGHT`.
        """
        counts: np.ndarray = self.values[-COUNTS:] / COUNT_WEIGHT
        return counts

    def relevance(self) -> Float64[np.ndarray, " s"]:
        """Give, of a score, the sum of relevances, or by class one for each of the `hard_classes`."""
        return self.values[:-COUNTS]


@dataclass(frozen=True, eq=False)
class OwnerReport:
    """All that leaves an owner in one answer, with the card that says what is promised about it.

    Examples that it discloses, or a noised statistic, and nothing else.
    """

    disclosed: Examples | None = None
    card: Card | None = None
    statistic: Statistic | None = None


@dataclass(frozen=True, eq=False)
class Described:
    """All that an owner says of its data before it is asked for anything, as its policy allows.

    `counts` are noised numbers of records by class, or of persons where the card's unit is one;
    None, as the card then is, where the policy lets no counts out or nothing is left to pay them.
    """

    description: Description
    counts: Statistic | None = None
    card: Card | None = None


@dataclass(frozen=True)
class Expected:
    """The form of a well-formed answer, as the trainer that asked knows it.

    `values` is how many numbers a noised statistic has; 0 where examples are wanted.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    num_classes: int
    at_most: int
    largest: float = math.inf
    """No value of an honest example is larger in size: one such could ruin a model by itself."""
    values: int = 0

    @property
    def most_bytes(self) -> int:
        """How many bytes such an answer takes at most, with its headers, its card and its seal."""
        each = math.prod(self.shape) * self.dtype.itemsize + 8
        return BESIDES + (8 * self.values if self.values else each * self.at_most)
