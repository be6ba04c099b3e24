"""Known bugs of DP-SGD, of published scores and of the noised target, planted one at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import Any
from unittest.mock import patch

import numpy as np

from mycroft_fl.privacy import sgd
from mycroft_fl.privacy.audits import canaries, sgd_canaries
from mycroft_fl.privacy.audits.bounds import Finding
from mycroft_fl.privacy.noise import mechanisms
from mycroft_fl.privacy.noise.mechanisms import NoisedSum
from mycroft_fl.privacy.noise.samplers import Noise, coins
from mycroft_fl.privacy.relevance import noised_target as targets
from mycroft_fl.privacy.relevance import scores as publishing

Planted = tuple[Callable[[], Any], Callable[[], Iterator[Finding]]]
"""A context that puts a bug in for as long as it is entered, and the audit that must see it."""

_noised_scores, _noised_sum = publishing.noised_scores, mechanisms.noised_sum


def _sgd_sum(changed: Callable[[Any, Fraction, float, Noise, Any], NoisedSum]) -> Any:
    """Plant DP-SGD whose steps are summed in another way."""

    def summed(
        rows: Any, bound_squared: Fraction, multiplier: float, noise: Noise, *, persons: Any = None
    ) -> NoisedSum:
        return changed(rows, bound_squared, multiplier, noise, persons)

    return patch.object(sgd, "noised_sum", summed)


def _sgd_noise_halved() -> Any:
    """Plant DP-SGD with half the noise that was paid for."""
    return _sgd_sum(lambda rows, bound, z, noise, persons: _noised_sum(
        rows, bound, z / 2, noise, persons=persons
    ))  # fmt: skip


class _Longer:
    """Rows that may be a hundred times as long."""

    def __init__(self, rows: Any) -> None:
        self._rows, self.shape = rows, rows.shape

    def __getitem__(self, some: Any) -> np.ndarray:
        longer: np.ndarray = 100 * self._rows[some]
        return longer


def _sgd_clip_removed() -> Any:
    """Plant DP-SGD in which a record may add what it likes; the noise is that of the clip."""
    return _sgd_sum(lambda rows, bound, z, noise, persons: _noised_sum(
        _Longer(rows), bound * 10**4, z / 100, noise, persons=persons
    ))  # fmt: skip


def _sgd_larger_batches() -> Any:
    """Plant DP-SGD that samples twice as often as its price says."""

    def more(size: int, chance: Fraction, noise: Noise) -> np.ndarray:
        return coins(size, min(Fraction(1), 2 * chance), noise)

    return patch.object(sgd, "coins", more)


def _sgd_not_finite_kept() -> Any:
    """Plant DP-SGD into which a record that is not finite goes."""

    def kept(rows: Any, bound: Fraction, z: float, noise: Noise, persons: Any) -> NoisedSum:
        released = _noised_sum(rows, bound, z, noise, persons=persons)
        spoiled = not np.isfinite(rows[:]).all()
        return (
            NoisedSum(released.values * math.nan, released.sigma, released.rho)
            if spoiled
            else released
        )

    return _sgd_sum(kept)


@contextmanager
def _sgd_noise_in_one_step() -> Iterator[None]:
    """Plant DP-SGD whose noise is drawn once for all steps: from the second one on, sums are as they are."""
    plain, taken = sgd.head_delta, 0

    def begun(*those: Any) -> np.ndarray:
        nonlocal taken
        taken = 0
        return plain(*those)

    def once(rows: Any, bound: Fraction, z: float, noise: Noise, persons: Any) -> NoisedSum:
        nonlocal taken
        taken += 1
        if taken == 1:
            return _noised_sum(rows, bound, z, noise, persons=persons)
        clear = mechanisms.exact_sum(rows, bound, persons=persons) / mechanisms.UNITS
        return NoisedSum(clear, 0.0, 0.0)

    with patch.object(sgd, "head_delta", begun), _sgd_sum(once):
        yield


def _sgd_coins_by_record() -> Any:
    """Plant DP-SGD by person whose coins are each record's: whoever has many is in nearly every batch."""

    def by_record(records: sgd.Weighted) -> tuple[np.ndarray, int]:
        return np.arange(len(records.weights)), len(records.weights)

    return patch.object(sgd.Weighted, "units", by_record)


def _sgd_seeded() -> Any:
    """Plant DP-SGD whose noise comes from a generator with a seed of 32 bits: all of it can be tried."""

    def generated(noise: Noise) -> Noise:
        seed = int.from_bytes(noise.draw(4), "big")
        return Noise(np.random.default_rng(seed).bytes, noise.origin)

    plain = sgd.head_delta

    def seeded(head: Any, records: Any, run: Any, noise: Noise) -> np.ndarray:
        return plain(head, records, run, generated(noise))

    return patch.object(sgd, "head_delta", seeded)


def _published_unclipped() -> Any:
    """Plant published scores of any size, with the noise of clipped ones."""

    def unclipped(gains: Any, clip: float | None, multiplier: float, noise: Noise) -> Any:
        return _noised_scores({k: 0.1 * v for k, v in gains.items()}, clip, multiplier / 9, noise)

    return patch.object(publishing, "noised_scores", unclipped)


def _published_for_one_owner() -> Any:
    """Plant published scores whose noise forgets that a scoring example gains for every owner at once."""

    def alone(rows: np.ndarray, bound_squared: Fraction, *rest: Any, **others: Any) -> NoisedSum:
        return _noised_sum(rows, bound_squared, rest[0] / float(bound_squared), rest[1])

    return patch.object(publishing, "noised_sum", alone)


def _target_with_noise_of_a_mean() -> Any:
    """Plant a target with the noise that a mean over the true number of hard examples would get."""

    def averaged(rows: np.ndarray, bound_squared: Fraction, *rest: Any) -> NoisedSum:
        return _noised_sum(rows, bound_squared, rest[0] / rows.shape[0], rest[1])

    return patch.object(targets, "noised_sum", averaged)


BUGS: dict[str, Planted] = {
    "DP-SGD: sigma halved": (_sgd_noise_halved, sgd_canaries.audit_dp_sgd),
    "DP-SGD: clip removed": (_sgd_clip_removed, sgd_canaries.audit_dp_sgd),
    "DP-SGD: batches larger than paid for": (_sgd_larger_batches, sgd_canaries.audit_dp_sgd),
    "DP-SGD: a record that is not finite kept": (_sgd_not_finite_kept, sgd_canaries.audit_dp_sgd),
    "DP-SGD: noise drawn once for all steps": (_sgd_noise_in_one_step, sgd_canaries.audit_dp_sgd),
    "DP-SGD: coins by record where units are persons": (
        _sgd_coins_by_record,
        sgd_canaries.audit_dp_sgd,
    ),
    "DP-SGD: noise from a seed of 32 bits": (_sgd_seeded, sgd_canaries.audit_dp_sgd),
    "published scores: clip removed": (_published_unclipped, canaries.audit_published),
    "published scores: noise for one owner": (_published_for_one_owner, canaries.audit_published),
    "target: noise of a mean": (_target_with_noise_of_a_mean, canaries.audit_target),
}
