"""Known bugs of DP-SGD, of published scores and of the noised target, planted one at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any
from unittest.mock import patch

import numpy as np
from opacus.optimizers import DPOptimizer
from opacus.utils.uniform_sampler import UniformWithReplacementSampler

from mycroft_fl.privacy import canaries, mechanisms, publishing, sgd, targets
from mycroft_fl.privacy.audit import Finding
from mycroft_fl.privacy.mechanisms import NoisedSum
from mycroft_fl.privacy.noise import Noise

Planted = tuple[Callable[[], Any], Callable[[], Iterator[Finding]]]
"""What puts a bug in for as long as it is entered, and the audit that must see it."""

_noised_scores, _noised_sum = publishing.noised_scores, mechanisms.noised_sum


def _sgd(**changed: Any) -> Any:
    """Opacus's optimizer with some of its settings changed."""

    def optimizer(plain: Any, **settings: Any) -> DPOptimizer:
        return DPOptimizer(plain, **{**settings, **changed})

    return patch.object(sgd, "DPOptimizer", optimizer)


def _sgd_noise_halved() -> Any:
    """DP-SGD with half the noise that was paid for."""
    return _sgd(noise_multiplier=0.25)


def _sgd_clip_removed() -> Any:
    """DP-SGD in which a record may add what it likes; the noise is that of the clip."""
    return _sgd(max_grad_norm=1e3, noise_multiplier=0.5 / 1e3)


def _sgd_larger_batches() -> Any:
    """DP-SGD that samples twice as often as its price says."""

    def sampler(*, sample_rate: float, **rest: Any) -> UniformWithReplacementSampler:
        return UniformWithReplacementSampler(sample_rate=min(1.0, 2 * sample_rate), **rest)

    return patch.object(sgd, "UniformWithReplacementSampler", sampler)


def _sgd_not_finite_kept() -> Any:
    """DP-SGD into which a record that is not finite goes."""
    return patch.object(sgd, "_finite", lambda records: records)


def _published_unclipped() -> Any:
    """Published scores of any size, with the noise of clipped ones."""

    def unclipped(gains: Any, clip: float | None, multiplier: float, noise: Noise) -> Any:
        return _noised_scores({k: 0.1 * v for k, v in gains.items()}, clip, multiplier / 9, noise)

    return patch.object(publishing, "noised_scores", unclipped)


def _published_for_one_owner() -> Any:
    """Published scores whose noise forgets that a scoring example gains for every owner at once."""

    def alone(rows: np.ndarray, bound_squared: Fraction, *rest: Any, **others: Any) -> NoisedSum:
        return _noised_sum(rows, bound_squared, rest[0] / float(bound_squared), rest[1])

    return patch.object(publishing, "noised_sum", alone)


def _target_with_noise_of_a_mean() -> Any:
    """A target with the noise that a mean over the true number of hard examples would get."""

    def averaged(rows: np.ndarray, bound_squared: Fraction, *rest: Any) -> NoisedSum:
        return _noised_sum(rows, bound_squared, rest[0] / rows.shape[0], rest[1])

    return patch.object(targets, "noised_sum", averaged)


BUGS: dict[str, Planted] = {
    "DP-SGD: sigma halved": (_sgd_noise_halved, canaries.audit_dp_sgd),
    "DP-SGD: clip removed": (_sgd_clip_removed, canaries.audit_dp_sgd),
    "DP-SGD: batches larger than paid for": (_sgd_larger_batches, canaries.audit_dp_sgd),
    "DP-SGD: a record that is not finite kept": (_sgd_not_finite_kept, canaries.audit_dp_sgd),
    "published scores: clip removed": (_published_unclipped, canaries.audit_published),
    "published scores: noise for one owner": (_published_for_one_owner, canaries.audit_published),
    "target: noise of a mean": (_target_with_noise_of_a_mean, canaries.audit_target),
}
