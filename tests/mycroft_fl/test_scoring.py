"""A score is the gain in accuracy, and its interval covers the true one."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import accuracy_score

from mycroft_fl import scoring
from mycroft_fl.scoring import Score, alignment, gain_with_interval


def coins(rng: np.random.Generator, repeats: int, n: int, share: float) -> np.ndarray:
    return rng.random((repeats, n)) < share


@pytest.mark.parametrize("repeats", [1, 3])
def test_no_difference_is_no_gain_with_no_doubt(repeats: int) -> None:
    right = coins(np.random.default_rng(0), repeats, 50, 0.6)
    assert gain_with_interval(right, right, confidence=0.95, seed=1) == Score(0.0, 0.0, 0.0)


@settings(max_examples=30)
@given(st.integers(1, 4), st.integers(1, 40), st.integers(0, 2**32))
def test_the_gain_is_the_mean_difference_of_accuracies(repeats: int, n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, n)
    output = rng.integers(0, 3, (2, repeats, n))
    score = gain_with_interval(*(output == y), confidence=0.9, seed=0)
    means = [np.mean([accuracy_score(y, row) for row in rows]) for rows in output]
    assert score.gain == pytest.approx(means[0] - means[1])
    assert -1 <= score.low <= score.high <= 1


def test_of_one_repeat_the_interval_is_scipys_percentile_bootstrap_over_examples() -> None:
    rng = np.random.default_rng(3)
    with_subset, without = coins(rng, 1, 150, 0.8), coins(rng, 1, 150, 0.6)
    score = gain_with_interval(with_subset, without, confidence=0.9, seed=0)
    other = stats.bootstrap(
        (with_subset[0].astype(float) - without[0],),
        np.mean,
        n_resamples=20_000,
        confidence_level=0.9,
        method="percentile",
        rng=np.random.default_rng(4),
    ).confidence_interval
    assert (score.low, score.high) == pytest.approx((other.low, other.high), abs=0.01)


def test_where_examples_agree_the_interval_is_that_of_the_repeats_by_enumeration() -> None:
    # Row by row all examples behave alike: only the luck of the fine-tune is left.
    gains = np.array([1, 0, 0, -1])
    with_subset = np.repeat((gains > 0)[:, None], 30, axis=1)
    without = np.repeat((gains < 0)[:, None], 30, axis=1)
    score = gain_with_interval(with_subset, without, confidence=0.8, seed=0)
    means = [np.mean(draw) for draw in itertools.product(gains, repeat=4)]
    assert (score.low, score.high) == pytest.approx(tuple(np.quantile(means, [0.1, 0.9])))


@pytest.mark.parametrize(("repeats", "wobble"), [(1, 0.0), (3, 0.0), (3, 0.04)])
def test_the_interval_covers_the_true_gain_about_as_often_as_it_says(
    repeats: int, wobble: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "DRAWS", 400)
    rng = np.random.default_rng(5)
    truth, trials = 0.1, 120
    covered = 0
    for trial in range(trials):
        luck = rng.normal(0, wobble, (repeats, 1))
        with_subset = rng.random((repeats, 100)) < 0.6 + truth + luck
        score = gain_with_interval(
            with_subset, coins(rng, repeats, 100, 0.6), confidence=0.9, seed=trial
        )
        covered += score.low <= truth <= score.high
    # Three standard errors below what is promised; a wider interval than needed is no lie.
    assert covered / trials > 0.9 - 3 * (0.9 * 0.1 / trials) ** 0.5


def test_more_confidence_is_a_wider_interval_and_the_seed_is_all_that_is_random() -> None:
    rng = np.random.default_rng(6)
    pair = coins(rng, 3, 80, 0.7), coins(rng, 3, 80, 0.6)
    at = {level: gain_with_interval(*pair, confidence=level, seed=0) for level in (0.5, 0.9, 0.99)}
    assert at[0.99].low < at[0.9].low < at[0.5].low < at[0.5].high < at[0.9].high < at[0.99].high
    assert at[0.9] == gain_with_interval(*pair, confidence=0.9, seed=0)
    assert at[0.9] != gain_with_interval(*pair, confidence=0.9, seed=1)


def test_alignment_is_the_length_of_the_projection_on_the_hard_gradient() -> None:
    subset, hard = np.array([3.0, 4.0, 12.0]), np.array([0.0, 2.0, 0.0])
    assert alignment(subset, hard) == 4.0
    assert alignment(-subset, hard) == -4.0
    assert alignment(subset, 7 * hard) == 4.0
    assert alignment(2 * subset, hard) == 8.0
    angle = np.arccos(subset @ hard / np.linalg.norm(subset) / np.linalg.norm(hard))
    assert alignment(subset, hard) == pytest.approx(np.linalg.norm(subset) * np.cos(angle))


def test_nothing_is_aligned_with_a_hard_gradient_of_zero() -> None:
    assert alignment(np.ones(3), np.zeros(3)) == 0.0
    assert alignment(np.zeros(3), np.ones(3)) == 0.0


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 6), st.integers(1, 60), st.integers(0, 2**32), st.floats(0.5, 0.999))
def test_a_model_that_becomes_perfect_gains_no_more_than_one(
    repeats: int, n: int, seed: int, confidence: float
) -> None:
    # Sums of rounded shares: of 49 examples they come to 1.0000000000000002.
    for most, (better, worse) in [(1, (True, False)), (-1, (False, True)), (0, (True, True))]:
        pair = np.full((repeats, n), better), np.full((repeats, n), worse)
        score = gain_with_interval(*pair, confidence=confidence, seed=seed)
        assert -1 <= score.low <= score.high <= 1
        assert (score.gain, score.low, score.high) == pytest.approx((most, most, most))
    mixed = coins(np.random.default_rng(seed), repeats, n, 0.98)
    score = gain_with_interval(mixed, ~mixed, confidence=confidence, seed=seed)
    assert -1 <= score.low <= score.high <= 1


@given(st.floats(0.1, 1e6), st.tuples(*[st.floats(allow_nan=False)] * 3))
def test_a_score_is_brought_into_its_range(most: float, output: tuple[float, float, float]) -> None:
    score = Score.within(most, *output)
    for given_, kept in zip(output, (score.gain, score.low, score.high), strict=True):
        assert kept == (given_ if abs(given_) <= most else np.copysign(most, given_))
