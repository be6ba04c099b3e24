"""The cover of the hard set: its value by definition, and how near the best the greedy comes."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mycroft_fl.errors import DataError, SettingError
from mycroft_fl.match.coverage import Cover, closeness, lazy_greedy

NOBODY = np.empty(0, np.int64)


def value(similarity: np.ndarray, chosen: list[int], layers: int = 10**9) -> float:
    """Sum over hard examples of the j-th largest similarity over j."""
    held = -np.sort(-similarity[chosen], axis=0)[:layers]
    return float((held / np.arange(1, len(held) + 1)[:, None]).sum())


def drawn(seed: int, n: int, m: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    # Some equal and some zero, so that ties and ranks are put to the test.
    return np.round(rng.random((n, m)) * rng.integers(0, 2, (n, m)), 1)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 9), st.integers(1, 4), st.integers(1, 5))
def test_greedy_reaches_its_share_of_the_best_set(seed: int, n: int, m: int, k: int) -> None:
    similarity = drawn(seed, n, m)
    found = lazy_greedy(Cover(similarity, k), k, NOBODY)
    best = max(value(similarity, list(each)) for each in combinations(range(n), min(k, n)))
    assert value(similarity, list(found.indices)) >= (1 - 1 / math.e) * best - 1e-9


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 15), st.integers(1, 4), st.integers(1, 15))
def test_lazy_is_what_looking_at_everyone_every_time_would_pick(
    seed: int, n: int, m: int, k: int
) -> None:
    similarity = np.random.default_rng(seed).random((n, m))
    plain: list[int] = []
    for _ in range(min(k, n)):
        gains = [-1.0 if i in plain else value(similarity, [*plain, i]) for i in range(n)]
        plain.append(int(np.argmax(gains)))
    assert lazy_greedy(Cover(similarity, k), k, NOBODY).indices.tolist() == plain


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 12), st.integers(1, 4), st.integers(1, 6))
def test_gains_are_differences_of_the_value_by_definition(
    seed: int, n: int, m: int, layers: int
) -> None:
    similarity, order = drawn(seed, n, m), np.random.default_rng(seed).permutation(n)
    cover = Cover(similarity, layers)
    for place, candidate in enumerate(order):
        before = list(order[:place])
        output = cover.gains(np.array([candidate]))[0]
        difference = value(similarity, [*before, candidate], layers) - value(
            similarity, before, layers
        )
        assert output == pytest.approx(difference, abs=1e-9)
        cover.add(int(candidate))
        assert cover.value == pytest.approx(value(similarity, [*before, candidate], layers))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 10), st.integers(1, 4))
def test_the_value_is_monotone_and_submodular(seed: int, n: int, m: int) -> None:
    similarity, rng = drawn(seed, n, m), np.random.default_rng(seed)
    *larger, extra = rng.permutation(n).tolist()
    smaller = larger[: rng.integers(0, n)]
    little = value(similarity, [*smaller, extra]) - value(similarity, smaller)
    late = value(similarity, [*larger, extra]) - value(similarity, larger)
    assert little >= late - 1e-9 >= -2e-9


def test_the_first_picks_go_to_different_hard_examples() -> None:
    # Two candidates near the first, one less near the second.
    similarity = np.array([[1.0, 0.0], [0.9, 0.0], [0.0, 0.6]])
    found = lazy_greedy(Cover(similarity, 3), 3, NOBODY)
    assert found.indices.tolist() == [0, 2, 1]
    assert found.gains.tolist() == pytest.approx([1.0, 0.6, 0.45])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 8), st.integers(1, 8))
def test_going_on_from_earlier_picks_is_picking_at_once(seed: int, first: int, then: int) -> None:
    similarity = np.random.default_rng(seed).random((20, 3))
    at_once = lazy_greedy(Cover(similarity, 20), first + then, NOBODY).indices
    begun = lazy_greedy(Cover(similarity, 20), first, NOBODY).indices
    rest = lazy_greedy(Cover(similarity, 20), then, begun).indices
    assert [*begun, *rest] == at_once.tolist()


def test_nothing_is_picked_that_adds_nothing() -> None:
    found = lazy_greedy(Cover(np.array([[0.0], [0.5], [0.0]]), 3), 3, NOBODY)
    assert found.indices.tolist() == [1]


@pytest.mark.parametrize(
    "bad", [[[np.nan]], [[-0.1]], [[np.inf]], pytest.param([0.5], marks=pytest.mark.unchecked)]
)
def test_similarities_that_are_none_are_refused(bad: list) -> None:
    with pytest.raises(DataError, match="a matrix of finite numbers, none below zero"):
        Cover(np.array(bad), 1)


def test_k_must_be_positive() -> None:
    with pytest.raises(SettingError, match="k is 0; ask for 1 candidate or more"):
        lazy_greedy(Cover(np.ones((2, 2)), 1), 0, NOBODY)


def test_closeness_is_one_where_equal_and_the_same_at_any_scale() -> None:
    distance = np.array([[0.0, 2.0], [1.0, 2.0], [3.0, 4.0]])
    near = closeness(distance)
    assert near[:, 0].tolist() == pytest.approx([1.0, math.exp(-1), math.exp(-9)])
    assert np.allclose(closeness(1000 * distance), near)
    assert closeness(np.zeros((2, 1))).tolist() == [[1.0], [1.0]]
    assert closeness(np.empty((0, 3))).shape == (0, 3)
