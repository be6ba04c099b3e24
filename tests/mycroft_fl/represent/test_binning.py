"""The paper's distance for tables, against a literal reading of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mycroft_fl.represent.binning import bin_width, binned_distances

SMALL = st.integers(-50, 50).map(float)
TABLE = arrays(np.float64, st.tuples(st.integers(1, 12), st.just(3)), elements=SMALL)


def literally(candidates: np.ndarray, hard: np.ndarray) -> np.ndarray:
    total = np.zeros(len(candidates))
    for f in range(candidates.shape[1]):
        own, wanted = candidates[:, f], hard[:, f]
        width = bin_width(own, wanted)
        low = min(own.min(), wanted.min())
        for i, value in enumerate(own):
            if width:
                steps = [
                    abs(np.floor((value - low) / width) - np.floor((h - low) / width))
                    for h in wanted
                ]
                total[i] += min(steps)
            else:
                total[i] += value != wanted[0]
    return total


@given(TABLE, TABLE)
def test_agrees_with_the_sum_over_columns_of_the_least_number_of_bins(candidates, hard):
    np.testing.assert_array_equal(binned_distances(candidates, hard), literally(candidates, hard))


@given(TABLE)
def test_a_hard_example_is_at_distance_zero(hard):
    assert not binned_distances(hard, hard).any()


@pytest.mark.parametrize(
    ("own", "hard", "width"),
    [
        ([0, 4], [0, 1], 1 / 200),  # ranges alike: the hard set's, two values in 200 bins
        ([0, 30], [0, 1], 1.0),  # up to fifty times: the hard set's whole range
        ([0, 60], [0, 1], 60 / 200),  # beyond: the owner's own
        ([0, 60], [5, 5], 60 / 200),
        ([5, 5], [5, 5], 0.0),
        ([0, 5], list(range(12)), 11 / 5),  # never at most six: the fewest bins
        ([0, 5], [0, 0.4, 0.9, 1.3, 10, 10.4, 10.9, 11.3, 20], 20 / 20),  # 6 bins at 20
    ],
)
def test_bins_are_chosen_as_the_paper_says(own, hard, width):
    assert bin_width(np.array(own, float), np.array(hard, float)) == pytest.approx(width)


def test_no_candidates_have_no_distances():
    assert binned_distances(np.empty((0, 3)), np.zeros((2, 3))).shape == (0,)
