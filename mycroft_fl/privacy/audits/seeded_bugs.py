"""Bugs that privacy code is known to have, planted one at a time: an audit that misses one is blind."""

from __future__ import annotations

import itertools
import math
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import Any
from unittest.mock import patch

import numpy as np

from mycroft_fl.privacy.audits import canary_bugs
from mycroft_fl.privacy.audits import catalogue as audits
from mycroft_fl.privacy.audits.bounds import Finding
from mycroft_fl.privacy.audits.canary_bugs import Planted
from mycroft_fl.privacy.noise import mechanisms
from mycroft_fl.privacy.noise.mechanisms import UNITS, NoisedSum
from mycroft_fl.privacy.noise.samplers import Noise, discrete_gaussian, simulated
from mycroft_fl.privacy.relevance import hard_set_target as relevance
from mycroft_fl.privacy.spending import entries, ledger

_quantised, _noised, _exact_sum = mechanisms.quantised, mechanisms.noised, mechanisms.exact_sum
_sigma_units, _discrete_gaussian = mechanisms.sigma_units, discrete_gaussian
_drawn = mechanisms.drawn_by_utility


def _replace_adjacency() -> Any:
    """Plant a bound for adding or removing a record, where a record is replaced by its opposite."""

    def replaced(rows: np.ndarray, bound_squared: Fraction, **rest: Any) -> np.ndarray:
        whole = _exact_sum(rows, bound_squared, **rest)
        # Without the first record its opposite is there: what "replace" allows.
        if len(rows) == 21:
            return whole
        opposite = _exact_sum(relevance.score_rows(np.array([1.0])), bound_squared)
        there: np.ndarray = whole - opposite
        return there

    return patch.object(mechanisms, "exact_sum", replaced)


def _mean_over_true_n() -> Any:
    """Plant the sum divided by the true number of records, the noise by it too."""

    def averaged(rows: np.ndarray, bound_squared: Fraction, **rest: Any) -> np.ndarray:
        # On the scale of the noise, so times a fixed count; the others' sum lies far from zero.
        whole = _exact_sum(rows, bound_squared, **rest) - 40 * UNITS
        mean: np.ndarray = whole * 20 // max(1, len(rows))
        return mean

    return patch.object(mechanisms, "exact_sum", averaged)


def _data_dependent_clip() -> Any:
    """Plant a clip that is the largest norm in the data."""

    def clipped(rows: np.ndarray, bound_squared: Fraction) -> np.ndarray:
        lengths = np.linalg.norm(rows, axis=1)
        largest = max(float(lengths.max(initial=0.0)), 1e-9)
        # Scaled so that the longest record has the bound: everybody else moves with it.
        return _quantised(rows * 20 / largest, bound_squared * 400)

    return patch.object(mechanisms, "quantised", clipped)


def _sigma_halved() -> Any:
    """Plant half the noise that was paid for."""
    return patch.object(mechanisms, "sigma_units", lambda *args: _sigma_units(*args) // 2)


def _sigma_a_tenth_short() -> Any:
    """Plant a tenth less noise than was paid for: what a tight audit sees and a loose one does not."""
    return patch.object(mechanisms, "sigma_units", lambda *args: _sigma_units(*args) * 9 // 10)


def _clip_removed() -> Any:
    """Plant records of any length."""

    def unclipped(rows: np.ndarray, bound_squared: Fraction) -> np.ndarray:
        whole: np.ndarray = np.trunc(np.clip(rows, -1e9, 1e9) * UNITS).astype(np.int64)
        return whole

    return patch.object(mechanisms, "quantised", unclipped)


def _noise_reused() -> Any:
    """Plant the same noise for every answer."""

    def reused(size: int, sigma: int, noise: Noise) -> np.ndarray:
        return _discrete_gaussian(size, sigma, simulated(0))

    return patch.object(mechanisms, "discrete_gaussian", reused)


def _charge_skipped() -> Any:
    """Plant answers that are entered at no cost."""

    def free(connection: sqlite3.Connection, key: Any, mode: str, spend: Any, limits: Any) -> None:
        _enter(connection, key, mode, type(spend)(), limits)

    return patch.object(ledger, "enter", free)


_enter = entries.enter


def _gumbel_scale_halved() -> Any:
    """Plant half the randomness in drawing examples: twice the strength."""

    def drawn(levels: np.ndarray, k: int, strength: float, noise: Noise) -> np.ndarray:
        return _drawn(levels, k, 2 * strength, noise)

    return patch.object(mechanisms, "drawn_by_utility", drawn)


def _utilities_scaled() -> Any:
    """Plant utilities divided by the data's own largest."""

    def scaled(values: np.ndarray, units: int) -> np.ndarray:
        levels: np.ndarray = (np.clip(values / values.max(), 0, 1) * units).astype(np.int64)
        return levels

    return patch.object(relevance, "utility_levels", scaled)


def _not_finite_kept() -> Any:
    """Plant a record that is not finite and comes through: a comparison with nan clips nothing."""

    def kept(rows: np.ndarray) -> np.ndarray:
        return np.ones(len(rows), bool)

    def clipped(rows: np.ndarray, bound_squared: Fraction) -> np.ndarray:
        lengths = np.linalg.norm(rows, axis=1)
        factor = np.where(lengths > math.sqrt(bound_squared), 1 / lengths, 1.0)
        whole: np.ndarray = np.trunc(np.nan_to_num(rows * factor[:, None]) * UNITS).astype(np.int64)
        return whole

    return _both(
        patch.object(mechanisms, "finite", kept), patch.object(mechanisms, "quantised", clipped)
    )


def _person_not_clipped() -> Any:
    """Plant a count of each record of a person by itself."""

    def by_record(rows: np.ndarray, bound_squared: Fraction, **rest: Any) -> np.ndarray:
        return _exact_sum(rows, bound_squared)

    return patch.object(mechanisms, "exact_sum", by_record)


def _person_clipped_by_class() -> Any:
    """Plant a person's sum clipped class by class: whoever has records of all classes counts in each."""

    def by_column(rows: np.ndarray, bound_squared: Fraction, **rest: Any) -> np.ndarray:
        columns = [rows[:, [place]] for place in range(rows.shape[1])]
        return np.concatenate([_exact_sum(each, bound_squared, **rest) for each in columns])

    return patch.object(mechanisms, "exact_sum", by_column)


def _rounded_to_nearest() -> Any:
    """Plant whole numbers by rounding, not toward zero, and their length not checked."""

    def rounded(rows: np.ndarray, bound_squared: Fraction) -> np.ndarray:
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        factor = np.minimum(1, math.sqrt(bound_squared) / np.maximum(lengths, 1e-300))
        whole: np.ndarray = np.ceil(rows * factor * UNITS - 0.5).astype(np.int64)
        return whole

    return patch.object(mechanisms, "quantised", rounded)


def _no_noise_in_float() -> Any:
    """Plant noise of the right size, but the same in every run of one process."""

    def constant(
        whole: np.ndarray, bound_squared: Fraction, multiplier: float, noise: Noise
    ) -> NoisedSum:
        released = _noised(whole[:1], bound_squared, multiplier, noise)
        first = released.values[0] - whole[0] / UNITS
        return NoisedSum(whole / UNITS + first, released.sigma, released.rho)

    return patch.object(mechanisms, "noised", constant)


@contextmanager
def _both(*patches: Any) -> Iterator[None]:
    with patches[0], patches[1]:
        yield


BUGS: dict[str, Planted] = {
    "replace adjacency scored as add/remove": (_replace_adjacency, audits.audit_score),
    "mean over the true n": (_mean_over_true_n, audits.audit_score),
    "clip from the data": (_data_dependent_clip, audits.audit_gradient),
    "sigma halved": (_sigma_halved, audits.audit_score),
    "sigma a tenth short": (_sigma_a_tenth_short, audits.audit_score),
    "clip removed": (_clip_removed, audits.audit_gradient),
    "noise reused from answer to answer": (_noise_reused, audits.audit_fresh_noise),
    "noise drawn once": (_no_noise_in_float, audits.audit_score),
    "ledger charge skipped": (_charge_skipped, audits.audit_ledger),
    "Gumbel scale halved": (_gumbel_scale_halved, audits.audit_gumbel),
    "utilities scaled by the data's own maximum": (_utilities_scaled, audits.audit_gumbel),
    "a record that is not finite kept": (_not_finite_kept, audits.audit_gradient),
    "persons clipped by record": (_person_not_clipped, audits.audit_score),
    "persons clipped class by class": (_person_clipped_by_class, audits.audit_score_by_class),
    "rounded to the nearest": (_rounded_to_nearest, audits.audit_gradient),
    **canary_bugs.BUGS,
}


def caught(name: str) -> list[Finding]:
    """Find the first finding that does not hold with the bug planted, if there is one."""
    plant, audited = BUGS[name]
    with plant(), np.errstate(all="ignore"):
        broken = (finding for finding in audited() if not finding.holds)
        return list(itertools.islice(broken, 1))
