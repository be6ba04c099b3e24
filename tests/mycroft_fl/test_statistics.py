"""Means over seeds, against scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from mycroft_fl.statistics import Estimate, over_seeds

values = st.lists(st.floats(-100, 100), min_size=2, max_size=12)


@given(values, st.sampled_from([0.8, 0.95, 0.99]))
def test_the_interval_is_students(sample: list[float], confidence: float) -> None:
    assume(np.std(sample) > 1e-3)
    found = over_seeds(sample, confidence=confidence)
    truth = stats.ttest_1samp(sample, 0.0).confidence_interval(confidence)
    assert (found.mean - found.half_width, found.mean + found.half_width) == pytest.approx(
        (truth.low, truth.high), rel=1e-6, abs=1e-6
    )


@given(values)
def test_clear_of_zero_is_significant_at_five_percent(sample: list[float]) -> None:
    assume(np.std(sample) > 1e-3)
    p = stats.ttest_1samp(sample, 0.0).pvalue
    assume(abs(p - 0.05) > 1e-6)
    assert over_seeds(sample).is_clear_of_zero == (p < 0.05)


def test_one_seed_proves_nothing() -> None:
    found = over_seeds([3.0])
    assert (found.mean, found.half_width) == (3.0, math.inf)
    assert not found.is_clear_of_zero


def test_equal_seeds_leave_no_doubt() -> None:
    assert over_seeds([2.0, 2.0, 2.0]) == Estimate(2.0, 0.0)
    assert over_seeds([2.0, 2.0, 2.0]).is_clear_of_zero
    assert not over_seeds([0.0, 0.0]).is_clear_of_zero


def test_below_zero_is_clear_as_well() -> None:
    assert Estimate(-1.0, 0.5).is_clear_of_zero
    assert not Estimate(-0.5, 0.5).is_clear_of_zero
