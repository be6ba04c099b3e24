"""Published scores: near the truth with little noise, and what one record can change in them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mycroft_fl.privacy.noise.samplers import simulated
from mycroft_fl.privacy.relevance.scores import noised_scores

SILENT = 1e-4


def test_with_little_noise_the_scores_are_the_mean_gains() -> None:
    rng = np.random.default_rng(0)
    gains = {name: rng.choice([-1.0, 0.0, 1.0], size=200) for name in "abc"}
    scores, sigma = noised_scores(gains, None, SILENT, simulated(0))
    assert sigma < 1e-3
    for name, each in gains.items():
        assert scores[name] == pytest.approx(each.mean(), abs=1e-3)


def test_a_clip_bounds_every_score() -> None:
    gains = {"a": np.full(50, 0.9), "b": np.full(50, -0.9), "c": np.full(50, 0.05)}
    scores, _ = noised_scores(gains, 0.1, SILENT, simulated(0))
    assert scores == pytest.approx({"a": 0.1, "b": -0.1, "c": 0.05}, abs=1e-3)


def test_noise_for_a_scoring_example_grows_with_the_number_of_owners() -> None:
    few, many = (
        noised_scores({str(n): np.zeros(400) for n in range(owners)}, None, 1.0, simulated(1))[1]
        for owners in (1, 17)
    )
    assert many == pytest.approx(3 * few, rel=0.2)


def test_sums_are_divided_by_a_noised_count_and_not_by_the_true_one() -> None:
    gains = {"a": np.ones(50)}
    noise_in_a_score = {noised_scores(gains, None, 2.0, simulated(seed))[1] for seed in range(5)}
    assert len(noise_in_a_score) == 5


@given(st.integers(0, 100), st.floats(-1, 1), st.floats(-1, 1))
def test_whatever_an_owners_record_did_one_score_moves_by_at_most_twice_the_clip(
    seed: int, before: float, after: float
) -> None:
    # The same noise in both, since it is simulated.
    rest = {"b": np.full(5, 0.02)}
    one, sigma = noised_scores({"a": np.full(5, before), **rest}, 0.1, 1.0, simulated(seed))
    other, _ = noised_scores({"a": np.full(5, after), **rest}, 0.1, 1.0, simulated(seed))
    assert abs(one["a"] - other["a"]) <= 0.2 + 1e-12
    assert one["b"] == other["b"]
    assert sigma == pytest.approx(0.2, rel=1e-3)


@given(st.integers(0, 100), st.lists(st.floats(-1, 1), min_size=3, max_size=3))
def test_a_scoring_example_moves_sums_by_no_more_than_the_bound(seed: int, row: list) -> None:
    plain = {str(n): np.zeros(400) for n in range(3)}
    more = {str(n): np.append(plain[str(n)], value) for n, value in enumerate(row)}
    tiny = 1e-3
    one, _ = noised_scores(plain, None, tiny, simulated(seed))
    other, _ = noised_scores(more, None, tiny, simulated(seed))
    moved = np.array([other[n] * 401 - one[n] * 400 for n in one])
    assert (moved**2).sum() <= 3 * (1 + 0.1)


def test_gains_that_are_no_numbers_count_as_nothing() -> None:
    scores, _ = noised_scores({"a": np.full(5, np.nan)}, 0.1, SILENT, simulated(0))
    assert scores["a"] == pytest.approx(0, abs=1e-3)
