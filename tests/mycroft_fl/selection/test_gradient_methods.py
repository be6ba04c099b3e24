"""The methods that match gradients, each against gradients by automatic differentiation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls
from sklearn.metrics.pairwise import cosine_similarity
from torch.nn.functional import cross_entropy

from mycroft_fl.examples import Examples
from mycroft_fl.models.networks import Classifier, build
from mycroft_fl.selection.methods import METHODS, Query

CLASSES, DIMENSIONS = 4, 6
MODEL = build("mlp", (DIMENSIONS,), CLASSES, seed=0)


def drawn(n: int, seed: int, classes: tuple[int, ...] = tuple(range(CLASSES))) -> Examples:
    rng = np.random.default_rng(seed)
    return Examples(rng.normal(size=(n, DIMENSIONS)).astype(np.float32), rng.choice(classes, n))


def query(hard: Examples, **changed) -> Query:
    return Query(hard=hard, model=MODEL, feature_space="pixels", seed=0, **changed)


def autograd(examples: Examples, model: Classifier = MODEL, layers: str = "last") -> np.ndarray:
    """One example's gradient a row, by automatic differentiation."""
    parameters = list((model if layers == "all" else model.head).parameters())
    rows = []
    for x, y in zip(torch.from_numpy(examples.x), torch.from_numpy(examples.y), strict=True):
        loss = cross_entropy(model(x[None]), y[None])
        parts = torch.autograd.grad(loss, parameters)
        rows.append(torch.cat([part.flatten() for part in parts]).double().numpy())
    return np.array(rows)


def in_turn(candidates: np.ndarray, hard: np.ndarray, allowed: np.ndarray) -> list[int]:
    """Candidates at an acute angle, each hard example's nearest first, by definition."""
    pairs = []
    for row, may in zip(cosine_similarity(hard, candidates), allowed, strict=True):
        order = [i for i in np.argsort(-row, kind="stable") if may[i] and row[i] > 0]
        pairs += [(depth, -row[i], int(i)) for depth, i in enumerate(order)]
    return list(dict.fromkeys(i for _, _, i in sorted(pairs)))


def picked(name: str, candidates: Examples, asked: Query, k: int) -> list[int]:
    return METHODS[name].select(candidates, asked, k).indices.tolist()


# gradient-neighbours


@pytest.mark.parametrize("layers", ["last", "all"])
@pytest.mark.parametrize("seed", range(3))
def test_gradient_neighbours_are_the_nearest_by_cosine_whatever_their_class(
    seed: int, layers: str
) -> None:
    candidates, hard = drawn(50, seed), drawn(5, seed + 50)
    everyone = np.ones((5, 50), bool)
    wanted = in_turn(autograd(candidates, layers=layers), autograd(hard, layers=layers), everyone)
    asked = query(hard, gradient_layers=layers)
    assert picked("gradient-neighbours", candidates, asked, 12) == wanted[:12]
    assert set(picked("gradient-neighbours", candidates, asked, 50)) == set(wanted)


# omp


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", ["omp-whole", "funcfeat"])
def test_the_first_pick_is_the_best_by_definition(seed: int, name: str) -> None:
    candidates, hard = drawn(40, seed), drawn(6, seed + 100, classes=(1,))
    g, target = autograd(candidates), autograd(hard).mean(0)
    squared = (g**2).sum(1)
    eligible = np.ones(40, bool) if name == "omp-whole" else candidates.y == 1
    if name == "funcfeat":
        apart = np.linalg.norm(candidates.x[:, None] - hard.x, axis=2).min(1)
        squared = squared + 2.0 * squared[eligible].mean() * (apart / apart[eligible].mean()) ** 2
    score = np.where(eligible, g @ target / np.sqrt(squared), -np.inf)
    assert picked(name, candidates, query(hard, feature_weight=2.0), 1) == [int(np.argmax(score))]


@pytest.mark.parametrize("name", ["omp", "omp-whole", "funcfeat"])
def test_a_match_spends_an_atom_a_hard_example_and_neighbours_fill_the_rest(name: str) -> None:
    candidates, hard = drawn(200, 0), drawn(8, 1, classes=(0, 2))
    many = METHODS[name].select(candidates, query(hard, feature_weight=0.5), 40)
    assert len(many.indices) == 40
    matched = many.indices[many.weights > 0].tolist()
    assert 1 <= len(matched) <= 8
    rest = [i for i in many.indices.tolist() if i not in matched]
    g, g_hard = autograd(candidates), autograd(hard)
    groups = [(np.ones(8, bool), np.ones(200, bool))]
    if name != "omp-whole":
        groups = [(hard.y == label, candidates.y == label) for label in (0, 2)]
    for here, there in groups:
        allowed = np.tile(there, (int(here.sum()), 1))
        order = [i for i in in_turn(g, g_hard[here], allowed) if i not in matched]
        of_group = [i for i in rest if there[i]]
        assert of_group == order[: len(of_group)]


def test_weights_and_what_is_unexplained_are_those_of_non_negative_least_squares() -> None:
    candidates, hard = drawn(60, 3), drawn(5, 4, classes=(1,))
    found = METHODS["omp"].select(candidates, query(hard), 30)
    matched, target = found.indices[found.weights > 0], autograd(hard).mean(0)
    weights, residual = nnls(autograd(candidates[matched]).T, target)
    assert found.weights[found.weights > 0] == pytest.approx(weights, rel=1e-3)
    assert found.unexplained == pytest.approx(residual / np.linalg.norm(target), abs=1e-4)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 20))
def test_funcfeat_without_a_weight_is_omp(seed: int, k: int) -> None:
    candidates, asked = drawn(40, seed), query(drawn(5, seed + 1), feature_weight=0.0)
    assert picked("funcfeat", candidates, asked, k) == picked("omp", candidates, asked, k)


def test_the_more_features_weigh_the_nearer_funcfeat_picks() -> None:
    candidates, hard = drawn(80, 5), drawn(4, 6, classes=(3,))

    def away(weight: float) -> float:
        asked = query(hard, feature_weight=weight)
        chosen = candidates.x[picked("funcfeat", candidates, asked, 4)]
        return float(np.linalg.norm(chosen[:, None] - hard.x, axis=2).min(1).mean())

    assert away(1e4) < away(0.0)


def test_omp_each_gives_every_hard_example_its_most_aligned_candidate_first() -> None:
    candidates, hard = drawn(300, 7), drawn(6, 8)
    cosine = cosine_similarity(autograd(hard), autograd(candidates))
    cosine[hard.y[:, None] != candidates.y] = -1
    best = set(cosine.argmax(1).tolist())
    assert len(best) == 6
    assert best == set(picked("omp-each", candidates, query(hard), 6))


# omp-coverage


def test_the_cover_brings_candidates_nearer_in_features_and_the_match_explains_more() -> None:
    candidates, hard = drawn(120, 9), drawn(6, 10, classes=(2,))

    def outcome(weight: float) -> tuple[float, float]:
        found = METHODS["omp-coverage"].select(candidates, query(hard, feature_weight=weight), 6)
        apart = np.linalg.norm(hard.x[:, None] - candidates.x[found.indices], axis=2).min(1)
        return float(apart.mean()), found.unexplained

    near, covered = outcome(1e6)
    far, matched = outcome(1e-6)
    assert near < far
    assert matched < covered


# Going on from what was disclosed


@pytest.mark.parametrize("name", ["omp", "omp-whole", "funcfeat", "omp-coverage"])
def test_a_later_match_goes_on_from_the_earlier_one(name: str) -> None:
    candidates, hard = drawn(200, 11), drawn(24, 12, classes=(0, 1))
    asked = query(hard)
    begun = METHODS[name].select(candidates, asked, 8)
    left = np.setdiff1d(np.arange(200), begun.indices)
    later = replace(asked, disclosed=candidates[begun.indices])
    gone_on = METHODS[name].select(candidates[left], later, 8)
    afresh = METHODS[name].select(candidates[left], asked, 8)
    assert gone_on.unexplained < begun.unexplained
    assert gone_on.unexplained < afresh.unexplained


@pytest.mark.parametrize("name", ["omp", "omp-whole", "funcfeat"])
def test_a_match_that_has_spent_all_it_may_leaves_the_rest_to_neighbours(name: str) -> None:
    candidates, hard = drawn(100, 17), drawn(4, 18, classes=(0,))
    asked = query(hard)
    begun = METHODS[name].select(candidates, asked, 8)
    left = np.setdiff1d(np.arange(100), begun.indices)
    later = replace(asked, disclosed=candidates[begun.indices])
    found = METHODS[name].select(candidates[left], later, 6)
    assert len(found.indices) == 6
    assert found.weights.tolist() == [0.0] * 6
    # What was disclosed beside the match may only help it.
    assert found.unexplained <= begun.unexplained + 1e-9


@pytest.mark.parametrize("name", ["omp", "omp-each", "funcfeat", "omp-coverage"])
def test_a_class_that_had_more_than_its_share_waits_for_the_others(name: str) -> None:
    candidates, hard = drawn(200, 13, classes=(0, 1)), drawn(4, 14)
    hard = Examples(hard.x, np.array([0, 0, 1, 1]))
    sent = candidates[np.flatnonzero(candidates.y == 0)[:6]]
    left = candidates[~np.isin(candidates.ids, sent.ids)]
    found = picked(name, left, query(hard, disclosed=sent), 6)
    assert left.y[found].tolist() == [1] * 6


# What is given


def test_ready_gradients_are_what_a_model_would_have_given() -> None:
    candidates, hard = drawn(60, 15), drawn(6, 16)
    ready = [Examples(autograd(each).astype(np.float32), each.y) for each in (candidates, hard)]
    for name in ("omp", "omp-whole", "omp-each", "gradient-neighbours"):
        output = METHODS[name].select(
            ready[0],
            Query(hard=ready[1], model=None, feature_space="pixels", seed=0, ready=True),
            12,
        )
        assert output.indices.tolist() == picked(name, candidates, query(hard), 12)


@pytest.mark.parametrize(
    "name", ["omp", "omp-each", "funcfeat", "omp-coverage", "gradient-neighbours"]
)
def test_every_example_goes_through_the_model_once(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at: list[int] = []
    whole: Callable = Query.gradients

    def counting(self: Query, examples: Examples):
        looked_at.append(len(examples))
        return whole(self, examples)

    monkeypatch.setattr(Query, "gradients", counting)
    METHODS[name].select(drawn(40, 0), query(drawn(4, 1)), 10)
    assert looked_at == [44]
