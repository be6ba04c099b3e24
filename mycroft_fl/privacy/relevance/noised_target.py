"""A noised target: the mean gradient of hard examples, to be sent in their place."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from mycroft_fl.examples import Examples
from mycroft_fl.models.networks import Classifier
from mycroft_fl.privacy.noise.mechanisms import NoisedSum, noised_sum
from mycroft_fl.privacy.noise.samplers import Noise
from mycroft_fl.privacy.relevance.hard_set_target import RecordView
from mycroft_fl.protocol.messages import NoisedTarget


def noised_gradient_sum(
    model: Classifier, hard: Examples, clip: float, noise_multiplier: float, noise: Noise
) -> NoisedSum:
    """Draw the sum of the hard examples' last-layer gradients, each clipped to length `clip`, with noise.

    C (p + 1) numbers. Each example goes through the model alone. rho = 1 / (2 noise_multiplier^2)
    of zCDP for adding or removing one hard example; one whose gradient is not finite is left out.
    """
    rows = RecordView.through(model, hard).gradients(model.head, np.ones(len(hard)), clip)
    return noised_sum(rows, Fraction(clip) ** 2, noise_multiplier, noise)


def target_of_sum(
    values: np.ndarray, sigma: float, *, clip: float, stands_for: int
) -> NoisedTarget:
    """Take the target from a noised sum. Costs nothing more: it looks at the sum and public things alone.

    The sum is divided by `stands_for`, a public number, since the true one is private. A hard
    example's alignment with the mean is on average the mean's squared length, which the noise's own
    length is taken from; below what noise alone does to a gradient of length `clip` it says nothing.
    """
    mean, spread = values / stands_for, sigma / stands_for
    agreement = float(mean @ mean) - len(mean) * spread**2
    scale = max(agreement, spread * clip)
    return NoisedTarget(mean.astype(np.float32), scale, clip, stands_for)
