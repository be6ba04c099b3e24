"""Nearest-neighbour Shapley values, against every subset there is."""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mycroft_fl.errors import DataError, SettingError
from mycroft_fl.match.shapley import knn_shapley


def utility(chosen: tuple[int, ...], order: np.ndarray, right: np.ndarray, k: int) -> float:
    nearest = [i for i in order if i in chosen][:k]
    return float(right[nearest].sum()) / k


def by_subsets(
    x: np.ndarray, y: np.ndarray, hard: np.ndarray, labels: np.ndarray, k: int
) -> np.ndarray:
    """The definition: marginal gains averaged over the sizes and subsets of the others."""
    n, total = len(x), np.zeros(len(x))
    for row, label in zip(hard, labels, strict=True):
        order = np.argsort(np.linalg.norm(x - row, axis=1), kind="stable")
        right = (y == label).astype(float)
        for i in range(n):
            others = [j for j in range(n) if j != i]
            for size in range(n):
                for each in combinations(others, size):
                    gain = utility((*each, i), order, right, k) - utility(each, order, right, k)
                    total[i] += gain / n / comb(n - 1, size)
    return total / len(hard)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 7), st.integers(1, 3), st.integers(1, 8))
def test_is_the_shapley_value_of_every_candidate(seed: int, n: int, m: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    x, hard = rng.normal(size=(n, 2)), rng.normal(size=(m, 2))
    y, labels = rng.integers(0, 2, n), rng.integers(0, 2, m)
    output = knn_shapley(torch.from_numpy(x), y, torch.from_numpy(hard), labels, neighbours=k)
    assert output == pytest.approx(by_subsets(x, y, hard, labels, k), abs=1e-9)


def test_values_add_up_to_the_share_of_right_neighbours() -> None:
    rng = np.random.default_rng(0)
    x, hard = rng.normal(size=(300, 4)), rng.normal(size=(7, 4))
    y, labels = rng.integers(0, 3, 300), rng.integers(0, 3, 7)
    nearest = np.argsort(np.linalg.norm(hard[:, None] - x, axis=2), axis=1)[:, :5]
    output = knn_shapley(torch.from_numpy(x), y, torch.from_numpy(hard), labels)
    assert output.sum() == pytest.approx((y[nearest] == labels[:, None]).mean())


def test_blocks_of_hard_examples_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    x, hard = torch.from_numpy(rng.normal(size=(40, 3))), torch.from_numpy(rng.normal(size=(9, 3)))
    y, labels = rng.integers(0, 2, 40), rng.integers(0, 2, 9)
    whole = knn_shapley(x, y, hard, labels)
    monkeypatch.setattr("mycroft_fl.match.shapley._BLOCK_NUMBERS", 100)
    assert knn_shapley(x, y, hard, labels) == pytest.approx(whole)


def test_what_cannot_be_valued_is_refused_and_nobody_is_worth_nothing() -> None:
    none, one = torch.empty(0, 2), torch.ones(1, 2)
    labels = np.zeros(1, np.int64)
    assert knn_shapley(none, labels[:0], one, labels).tolist() == []
    with pytest.raises(DataError, match="no hard example to be worth anything to"):
        knn_shapley(one, labels, none, labels[:0])
    with pytest.raises(SettingError, match="neighbours is 0; give 1 or more"):
        knn_shapley(one, labels, one, labels, neighbours=0)
