"""What a trainer asks and what an owner answers. Nothing else crosses between them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float32

from mycroft_fl.examples import Examples

Failure = Literal["error", "timeout", "malformed", "refused", "duplicate"]
"""All that the trainer sees of an owner's failure; the detail stays in the owner's log."""


@dataclass(frozen=True, eq=False)
class Request:
    """What the trainer asks one owner: up to `k` examples that help with `hard`.

    `weights` travel only where the method looks through the trainer's model. No field can widen
    an owner's policy.
    """

    server_round: int
    method: str
    k: int
    hard: Examples
    num_classes: int
    model: str
    weights: Float32[np.ndarray, " w"] | None
    feature_space: str
    owner_epochs: int
    seed: int
    mode: str = "raw"
    gradient_layers: str = "last"
    feature_weight: float = 1.0


@dataclass(frozen=True, eq=False)
class OwnerReport:
    """All that leaves an owner in one answer: the examples it discloses, and nothing else."""

    disclosed: Examples


@dataclass(frozen=True)
class Expected:
    """What a well-formed answer looks like to the trainer that asked."""

    shape: tuple[int, ...]
    dtype: np.dtype
    num_classes: int
    at_most: int
    largest: float = math.inf
    """No value of an honest example is larger in size: one such could ruin a model by itself."""
