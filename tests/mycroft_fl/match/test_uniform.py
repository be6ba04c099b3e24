"""Random candidates are distinct, in range and repeatable."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mycroft_fl.errors import DataError, SettingError
from mycroft_fl.match.uniform import uniform


@given(n=st.integers(0, 60), k=st.integers(1, 80), seed=st.integers(0, 2**32))
def test_distinct_in_range_and_never_more_than_there_are(n: int, k: int, seed: int) -> None:
    chosen = uniform(n, k, np.random.default_rng(seed))
    assert len(chosen) == len(set(chosen.tolist())) == min(k, n)
    assert chosen.dtype == np.int64
    assert set(chosen.tolist()) <= set(range(n))


def test_the_generator_alone_decides() -> None:
    first, again, other = (uniform(100, 10, np.random.default_rng(seed)) for seed in (7, 7, 8))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_every_candidate_is_equally_likely_at_every_place() -> None:
    rng = np.random.default_rng(0)
    draws = np.stack([uniform(5, 2, rng) for _ in range(5000)])
    for place in range(2):
        counts = np.bincount(draws[:, place], minlength=5)
        assert np.abs(counts - 1000).max() < 5 * np.sqrt(1000 * 0.8)


@pytest.mark.parametrize("k", [0, -3])
def test_a_budget_below_one_is_refused(k: int) -> None:
    with pytest.raises(SettingError, match=f"k is {k}; ask for 1 candidate or more"):
        uniform(5, k, np.random.default_rng(0))


def test_a_negative_number_of_candidates_is_refused() -> None:
    with pytest.raises(DataError, match="-1 candidates; give how many there are, 0 or more"):
        uniform(-1, 2, np.random.default_rng(0))
