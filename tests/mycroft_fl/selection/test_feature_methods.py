"""The methods that compare features, and the anchors from data valuation, by their definitions."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors

from mycroft_fl.examples import Examples
from mycroft_fl.match.shapley import knn_shapley
from mycroft_fl.models.networks import build
from mycroft_fl.represent.binning import binned_distances
from mycroft_fl.selection.methods import METHODS, Query

CLASSES, DIMENSIONS = 3, 5
MODEL = build("mlp", (DIMENSIONS,), CLASSES, seed=0)


def drawn(n: int, seed: int, classes: tuple[int, ...] = tuple(range(CLASSES))) -> Examples:
    rng = np.random.default_rng(seed)
    return Examples(rng.normal(size=(n, DIMENSIONS)).astype(np.float32), rng.choice(classes, n))


def picked(name: str, candidates: Examples, hard: Examples, k: int, space: str = "pixels") -> list:
    asked = Query(hard=hard, model=MODEL, feature_space=space, seed=0)
    return METHODS[name].select(candidates, asked, k).indices.tolist()


def test_features_to_set_are_the_nearest_to_any_hard_example_of_their_class() -> None:
    candidates, hard = drawn(80, 0), drawn(6, 1)
    distance = np.full(80, np.inf)
    for label in range(CLASSES):
        there, here = candidates.y == label, hard.y == label
        finder = NearestNeighbors(n_neighbors=1).fit(hard.x[here])
        distance[there] = finder.kneighbors(candidates.x[there])[0][:, 0]
    assert picked("features-to-set", candidates, hard, 15) == np.argsort(distance)[:15].tolist()


def test_diverse_features_are_half_nearest_and_half_of_the_five_most_populous_bins_beyond() -> None:
    rng = np.random.default_rng(0)
    candidates = Examples(
        rng.integers(0, 40, (300, 2)).astype(np.float32), rng.choice(CLASSES, 300)
    )
    hard = Examples(np.array([[20.0, 20.0], [22.0, 21.0]], np.float32), np.array([0, 0]))
    asked = Query(hard=hard, model=None, feature_space="binning", seed=3)
    chosen = METHODS["features-diverse"].select(candidates, asked, 20).indices
    nearest = METHODS["features"].select(candidates, asked, 10).indices
    assert chosen[:10].tolist() == nearest.tolist()
    assert len(set(chosen.tolist())) == 20
    distance = query_distances(candidates, asked)
    beyond = [
        int(distance[i])
        for i in np.flatnonzero(candidates.y == 0)
        if i not in nearest and distance[i] > distance[nearest].max()
    ]
    populous = [value for value, _ in Counter(sorted(beyond)).most_common(5)]
    assert set(distance[chosen[10:]].astype(int)) <= set(populous)
    assert (candidates.y[chosen] == 0).all()
    other = METHODS["features-diverse"].select(candidates, replace(asked, seed=4), 20).indices
    assert other[:10].tolist() == nearest.tolist()
    assert set(other[10:].tolist()) != set(chosen[10:].tolist())


def query_distances(candidates: Examples, asked: Query) -> np.ndarray:
    """The paper's distance to the hard set, by `binned_distances` alone."""
    of_class = candidates.y == asked.hard.y[0]
    distance = np.zeros(len(candidates))
    distance[of_class] = binned_distances(candidates.x[of_class], asked.hard.x)
    return distance


# coverage


def cover_value(candidates: Examples, hard: Examples, chosen: list[int]) -> float:
    """Class by class, the harmonic sum of the closeness of those chosen to each hard example."""
    total = 0.0
    for x, y in zip(hard.x.astype(np.float64), hard.y, strict=True):
        of_class = np.flatnonzero(candidates.y == y)
        apart = np.linalg.norm(candidates.x[of_class] - x, axis=1)
        near = dict(zip(of_class, np.exp(-((apart / np.median(apart)) ** 2)), strict=True))
        held = sorted((near[i] for i in chosen if i in near), reverse=True)
        total += sum(value / place for place, value in enumerate(held, start=1))
    return total


@pytest.mark.parametrize("seed", range(4))
def test_coverage_is_the_greedy_cover_over_all_classes_together(seed: int) -> None:
    candidates, hard = drawn(25, seed), drawn(4, seed + 10)
    chosen: list[int] = []
    for _ in range(8):
        free = [i for i in range(25) if i not in chosen and candidates.y[i] in hard.y]
        chosen.append(max(free, key=lambda i: cover_value(candidates, hard, [*chosen, i])))
    assert picked("coverage", candidates, hard, 8) == chosen


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 20))
def test_coverage_covers_no_worse_than_the_nearest_neighbours(seed: int, k: int) -> None:
    candidates, hard = drawn(60, seed), drawn(4, seed + 1)
    ours, nearest = (picked(name, candidates, hard, k) for name in ("coverage", "features"))
    # Greedy promises 1 - 1/e of the best set, and so of this one.
    promised = (1 - 1 / np.e) * cover_value(candidates, hard, nearest)
    assert cover_value(candidates, hard, ours) >= promised - 1e-9


def test_coverage_in_the_models_space_is_another_cover() -> None:
    candidates, hard = drawn(60, 3), drawn(5, 4)
    with torch.no_grad():
        inner = [
            Examples(MODEL.features(torch.from_numpy(each.x)).numpy(), each.y)
            for each in (candidates, hard)
        ]
    output = picked("coverage", candidates, hard, 9, space="model")
    asked = Query(hard=inner[1], model=None, feature_space="pixels", seed=0)
    assert output == METHODS["coverage"].select(inner[0], asked, 9).indices.tolist()
    assert output != picked("coverage", candidates, hard, 9)


# knn-shapley, transport


def test_knn_shapley_takes_the_greatest_values_and_none_that_does_harm() -> None:
    candidates, hard = drawn(50, 5), drawn(4, 6, classes=(0, 1))
    value = knn_shapley(
        torch.from_numpy(candidates.x), candidates.y, torch.from_numpy(hard.x), hard.y
    )
    order = [i for i in np.argsort(-value, kind="stable") if value[i] > 0]
    assert picked("knn-shapley", candidates, hard, 50) == order
    assert picked("knn-shapley", candidates, hard, 7) == order[:7]
    assert 2 not in candidates.y[order]


def test_a_candidate_that_no_neighbourhood_can_use_is_never_picked_by_knn_shapley() -> None:
    candidates, hard = drawn(20, 7, classes=(0,)), drawn(3, 8, classes=(1, 2))
    assert picked("knn-shapley", candidates, hard, 5) == []


def test_transport_prefers_the_hard_sets_own_neighbourhood_and_class() -> None:
    rng = np.random.default_rng(0)
    near, far = rng.normal(0, 0.1, (10, DIMENSIONS)), rng.normal(5, 0.1, (10, DIMENSIONS))
    x = np.concatenate([near, far, near + 0.01, far + 0.01]).astype(np.float32)
    candidates = Examples(x, np.repeat([0, 1], 20))
    hard = Examples(rng.normal(0, 0.1, (4, DIMENSIONS)).astype(np.float32), np.zeros(4, int))
    # Both classes have their mean half-way; an equal label costs nothing all the same.
    assert set(picked("transport", candidates, hard, 10)) == set(range(10))
