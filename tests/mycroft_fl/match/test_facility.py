"""Facility location by its definition: greedy by brute force, labels apart, weights obeyed."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mycroft_fl.errors import DataError, SettingError
from mycroft_fl.match import facility
from mycroft_fl.match.facility import facility_location


def value(z: np.ndarray, y: np.ndarray, w: np.ndarray, chosen: tuple[int, ...]) -> float:
    """F(S) term by term."""
    total = 0.0
    for label in np.unique(y):
        of = np.flatnonzero(y == label)
        squared = {(i, j): float(((z[i] - z[j]) ** 2).sum()) for i in of for j in of}
        typical = float(np.median(list(squared.values()))) or 1.0
        near = [j for j in chosen if y[j] == label]
        total += sum(
            w[i] * max((math.exp(-squared[i, j] / typical) for j in near), default=0.0) for i in of
        )
    return total


def drawn(seed: int, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 2)), rng.integers(0, 3, n), rng.random(n)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 9), st.integers(1, 5))
def test_gains_are_what_each_pick_adds_and_greedy_reaches_its_share(seed, n, k) -> None:
    z, y, w = drawn(seed, n)
    found = facility_location(z, y, w, k)
    assert len(set(found.indices.tolist())) == len(found.indices) <= k
    so_far = 0.0
    for place, gain in enumerate(found.gains, start=1):
        now = value(z, y, w, tuple(found.indices[:place]))
        assert gain == pytest.approx(now - so_far, abs=1e-5)
        so_far = now
    best = max(value(z, y, w, each) for each in combinations(range(n), min(k, n)))
    assert so_far >= (1 - 1 / math.e) * best - 1e-5


def test_it_goes_on_from_what_is_picked_already() -> None:
    z, y, w = drawn(0, 40)
    whole = facility_location(z, y, w, 12)
    rest = facility_location(z, y, w, 6, start=whole.indices[:6])
    assert rest.indices.tolist() == whole.indices[6:].tolist()


def test_of_copies_one_is_enough_and_what_weighs_nothing_is_not_served() -> None:
    z = np.array([[0.0], [0.0], [0.0], [5.0], [9.0]])
    found = facility_location(z, np.zeros(5, np.int64), np.array([1.0, 1, 1, 1, 0]), 5)
    assert set(found.indices[:2].tolist()) == {0, 3}
    assert len(found.indices) < 4


def test_beyond_what_is_judged_by_the_weightiest_stand_for_all(monkeypatch) -> None:
    monkeypatch.setattr(facility, "MOST_SERVED", 10)
    z, _, w = drawn(3, 60)
    found = facility_location(z, np.zeros(60, np.int64), w, 1)
    served = np.argsort(-w)[:10]
    squared = ((z[:, None] - z[None, served]) ** 2).sum(axis=2)
    worth = np.exp(-squared / np.median(squared)) @ w[served]
    assert found.indices.tolist() == [int(worth.argmax())]
    assert found.gains[0] == pytest.approx(worth.max(), rel=1e-5)


def test_of_too_many_records_of_a_label_the_weightiest_and_the_picked_may_be_picked(
    monkeypatch,
) -> None:
    monkeypatch.setattr(facility, "MOST_CANDIDATES", 10)
    z, _, w = drawn(4, 60)
    y, start = np.zeros(60, np.int64), np.argsort(w)[:2]
    found = facility_location(z, y, w, 8, start=start)
    weightiest = np.argsort(-w)[:10]
    assert set(found.indices.tolist()) <= set(weightiest.tolist())
    kept = np.union1d(weightiest, start)
    same = facility_location(z[kept], y[kept], w[kept], 8, start=np.searchsorted(kept, start))
    assert found.indices.tolist() == kept[same.indices].tolist()


def test_similarities_by_blocks_of_rows_are_those_of_the_definition(monkeypatch) -> None:
    monkeypatch.setattr(facility, "BLOCK", 7)
    z, y, w = drawn(5, 50)
    found, so_far = facility_location(z, y, w, 9), 0.0
    for place, gain in enumerate(found.gains, start=1):
        now = value(z, y, w, tuple(found.indices[:place]))
        assert gain == pytest.approx(now - so_far, abs=1e-5)
        so_far = now


def test_bad_input_is_said() -> None:
    z, y, w = drawn(0, 5)
    with pytest.raises(DataError, match="finite"):
        facility_location(z * np.inf, y, w, 2)
    with pytest.raises(DataError, match="not below zero"):
        facility_location(z, y, w - 5, 2)
    with pytest.raises(SettingError):
        facility_location(z, y, w, 0)
