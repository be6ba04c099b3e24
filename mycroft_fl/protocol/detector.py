"""The failure detector as it travels: small linear models in place of hard examples.

A record's value never depends on which others are there, not even in its last bit: noise that
hides a record covers no such difference. So there is no product of two matrices here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int64

from mycroft_fl.errors import BadMessage

CLASS_TERMS, LABEL_TERMS = 0.7, 2.0
"""What terms of a class, and the label itself, weigh beside the shared features."""
BEYOND = 6.0
"""Standard deviations at which features are cut off."""
LARGEST, FARTHEST = 1e9, 1e30
"""The largest size of a number in a detector, and of a mean, which is only taken off."""
COMPONENTS = 40
"""Principal components that stand for the inputs of an image, at most."""

Labels = Int64[np.ndarray, " n"]


@dataclass(frozen=True, eq=False)
class Detector:
    """Two linear models of failure over phi(z, y), and the threshold of their region.

    A record's z is its inputs, or by `basis` fewer numbers made of them, then, if `hidden`, its last
    hidden layer in the trainer's model: d numbers in all. They are shifted by `mean`, multiplied by
    `scale` (0: counts for nothing) and cut off at six deviations.
    phi = [z, .7 z (x) onehot(failing classes), 2 onehot(y)]; `weights` has a row for each model.
    """

    basis: Float32[np.ndarray, "q p"] | None
    hidden: bool
    mean: Float32[np.ndarray, " d"]
    scale: Float32[np.ndarray, " d"]
    classes: Int64[np.ndarray, " K"]
    weights: Float32[np.ndarray, "2 terms"]
    bias: Float32[np.ndarray, " 2"]
    threshold: float

    @property
    def num_classes(self) -> int:
        """Number of labels that the detector knows."""
        return int(self.weights.shape[1]) - len(self.mean) * (1 + len(self.classes))

    @property
    def size(self) -> int:
        """Count of its numbers."""
        numbers: int = sum(array.size for array in self.arrays().values())
        return numbers

    @cached_property
    def digest(self) -> str:
        """Name of its whole content."""
        hasher = hashlib.sha256(repr((self.hidden, self.threshold)).encode())
        for name, array in sorted(self.arrays().items()):
            hasher.update(f"{name}{array.dtype.str}{array.shape}".encode())
            hasher.update(np.ascontiguousarray(array).tobytes())
        return hasher.hexdigest()

    def seen(
        self, inputs: Float[np.ndarray, "n p"], hidden: Float[np.ndarray, "n h"] | None
    ) -> Float64[np.ndarray, "n d"]:
        """Standardise records as the detector sees them. `BadMessage` where it is not of their size.

        Args:
            inputs: Flat inputs, images between 0 and 1.
            hidden: Last hidden layers in the trainer's model; None where none is looked at.
        """
        parts = []
        if self.basis is None:
            parts.append(inputs)
        elif self.basis.shape[1] == inputs.shape[1]:
            parts.append(_products(inputs, self.basis))
        else:
            raise BadMessage(
                f"a detector of {self.basis.shape[1]} inputs; examples have {inputs.shape[1]}"
            )
        if self.hidden and hidden is not None:
            parts.append(hidden)
        z = np.concatenate(parts, axis=1).astype(np.float64)
        if z.shape[1] != len(self.mean):
            raise BadMessage(f"a detector of {len(self.mean)} features; there are {z.shape[1]}")
        scaled: np.ndarray = np.clip((z - self.mean) * self.scale, -BEYOND, BEYOND)
        return scaled

    def probability(self, z: Float64[np.ndarray, "n d"], y: Labels) -> Float64[np.ndarray, " n"]:
        """Return how likely each record is a failure: the mean of both models. NaN where z is."""
        d, place = len(self.mean), np.searchsorted(self.classes, y)
        weights = self.weights.astype(np.float64)
        logits = _products(z, weights[:, :d]) + self.bias  # (n, 2)
        for each, label in enumerate(self.classes):
            of_class = (place == each) & (y == label)
            terms = weights[:, d * (1 + each) : d * (2 + each)]
            logits[of_class] += CLASS_TERMS * _products(z[of_class], terms)
        logits += LABEL_TERMS * weights[:, d * (1 + len(self.classes)) :].T[y]
        probability: np.ndarray = (1 / (1 + np.exp(-np.clip(logits, -50, 50)))).mean(axis=1)
        return probability

    def region(self, z: Float64[np.ndarray, "n d"], y: Labels) -> Bool[np.ndarray, " n"]:
        """Tell which records lie where failures are."""
        inside: np.ndarray = self.probability(z, y) >= self.threshold
        return inside

    def counted(self, z: Float64[np.ndarray, "n d"], y: Labels) -> Float64[np.ndarray, " n"]:
        """Return 1 for each record in the region and 0 outside; NaN for one that is not finite."""
        probability = self.probability(z, y)
        inside: np.ndarray = (probability >= self.threshold).astype(np.float64)
        return np.where(np.isfinite(probability), inside, np.nan)

    def arrays(self) -> dict[str, np.ndarray]:
        """Give its arrays by name."""
        named = {name: getattr(self, name) for name in ARRAYS}
        return named if self.basis is None else {"basis": self.basis, **named}


ARRAYS = ("mean", "scale", "classes", "weights", "bias")
"""The arrays that every detector has."""


def checked_detector(
    arrays: Mapping[str, np.ndarray], *, hidden: bool, threshold: float, num_classes: int
) -> Detector:
    """Make a detector of a stranger's arrays. `BadMessage` where they are not one."""
    basis, mean, scale = arrays.get("basis"), arrays["mean"], arrays["scale"]
    classes, weights, bias = arrays["classes"], arrays["weights"], arrays["bias"]
    dimensions = {"basis": 2, "mean": 1, "scale": 1, "weights": 2, "bias": 1}
    for name, ndim in dimensions.items():
        array = arrays.get(name)
        if array is None:
            continue
        if array.dtype != np.float32 or array.ndim != ndim:
            raise BadMessage(f"a detector's {name} must be float32 of {ndim} dimensions")
        if not np.abs(array).max(initial=0.0) <= (FARTHEST if name == "mean" else LARGEST):
            raise BadMessage(f"a detector's {name} has a number that is not finite, or too large")
    if basis is not None and len(basis) > COMPONENTS:
        raise BadMessage(f"a detector of {len(basis)} components; at most {COMPONENTS}")
    if (
        classes.dtype != np.int64
        or classes.ndim != 1
        or (len(classes) and not 0 <= classes[0] <= classes[-1] < num_classes)
        or (np.diff(classes) <= 0).any()
    ):
        raise BadMessage("a detector's classes must be distinct labels in order")
    d = len(mean)
    if not d or scale.shape != mean.shape or (scale < 0).any() or bias.shape != (2,):
        raise BadMessage("a detector needs a mean and a scale for each feature, and two biases")
    if weights.shape != (2, terms := d * (1 + len(classes)) + num_classes):
        raise BadMessage(f"a detector's weights are of {weights.shape}; they must be 2 x {terms}")
    if not 0 < threshold < 1:  # nor is NaN
        raise BadMessage("a detector's threshold must be between 0 and 1")
    return Detector(basis, hidden, mean, scale, classes, weights, bias, threshold)


def _products(
    a: Float[np.ndarray, "n d"], b: Float[np.ndarray, "m d"]
) -> Float64[np.ndarray, "n m"]:
    """Multiply each row with each row, one by one."""
    product: np.ndarray = np.einsum(
        "nd,md->nm", a.astype(np.float64), b.astype(np.float64), optimize=False
    )
    return product
