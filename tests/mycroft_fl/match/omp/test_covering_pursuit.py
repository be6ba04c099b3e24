"""Gradient matching with a cover beside it: each term alone, and both together."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls

from mycroft_fl.match.coverage import Cover, lazy_greedy
from mycroft_fl.match.omp.covering_pursuit import covering_pursuit
from mycroft_fl.match.omp.pursuit import orthogonal_matching_pursuit
from mycroft_fl.represent.gradients.per_example import DenseAtoms

NOBODY = np.empty(0, np.int64)


def problem(seed: int, n: int = 25, d: int = 8, m: int = 3):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)), np.abs(rng.normal(size=d)), rng.random((n, m))


def run(rows, target, similarity, k, weight, start=NOBODY, spend=10**6):
    atoms = DenseAtoms(torch.from_numpy(rows))
    cover = Cover(similarity, k + len(start))
    return covering_pursuit(
        atoms, torch.from_numpy(target), cover, k, weight=weight, spend=spend, start=start
    )


@pytest.mark.parametrize("seed", range(6))
def test_without_a_weight_on_the_cover_it_is_matching_pursuit(seed: int) -> None:
    rows, target, similarity = problem(seed)
    matched = orthogonal_matching_pursuit(
        DenseAtoms(torch.from_numpy(rows)), torch.from_numpy(target), 4
    )
    if (matched.weights <= 0).any() or len(matched.indices) < 4:
        pytest.skip("an atom was dropped on the way: the pursuit took another path")
    found = run(rows, target, similarity, 4, 0.0)
    assert found.indices.tolist() == matched.indices.tolist()
    assert found.weights == pytest.approx(matched.weights.numpy())
    assert found.unexplained == pytest.approx(matched.unexplained)


@pytest.mark.parametrize("seed", range(4))
def test_with_all_weight_on_the_cover_it_is_the_greedy_cover(seed: int) -> None:
    rows, target, similarity = problem(seed)
    found = run(rows, target, similarity, 6, 1e9)
    assert found.indices.tolist() == lazy_greedy(Cover(similarity, 6), 6, NOBODY).indices.tolist()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 30), st.sampled_from([0.0, 0.3, 1.0, 5.0]))
def test_weights_are_those_of_non_negative_least_squares(seed: int, k: int, weight: float) -> None:
    rows, target, similarity = problem(seed)
    found = run(rows, target, similarity, k, weight)
    assert len(set(found.indices.tolist())) == len(found.indices) <= min(k, 25)
    assert (found.weights >= 0).all()
    best, residual = nnls(rows[found.indices].T, target)
    assert found.unexplained == pytest.approx(residual / np.linalg.norm(target), abs=1e-4)
    if len(found.indices) <= 8:
        assert found.weights == pytest.approx(best, abs=1e-3)


def test_earlier_picks_count_and_are_not_picked_again() -> None:
    rows, target, similarity = problem(0)
    whole = run(rows, target, similarity, 8, 1.0)
    begun = run(rows, target, similarity, 3, 1.0)
    rest = run(rows, target, similarity, 5, 1.0, start=begun.indices)
    assert not set(begun.indices.tolist()) & set(rest.indices.tolist())
    assert [*begun.indices, *rest.indices] == whole.indices.tolist()


def test_what_the_match_may_not_spend_goes_to_the_cover() -> None:
    rows, target, similarity = problem(2)
    together = run(rows, target, similarity, 3, 1.0)
    found = run(rows, target, similarity, 9, 1.0, spend=3)
    assert found.indices[:3].tolist() == together.indices.tolist()
    assert found.weights.tolist() == pytest.approx([*together.weights, *[0.0] * 6])
    assert found.unexplained == pytest.approx(together.unexplained)
    rest = lazy_greedy(Cover(similarity, 9), 6, together.indices)
    assert found.indices[3:].tolist() == rest.indices.tolist()
    alone = run(rows, target, similarity, 5, 1.0, spend=0)
    assert alone.indices.tolist() == lazy_greedy(Cover(similarity, 5), 5, NOBODY).indices.tolist()


def test_without_a_weight_on_the_cover_it_has_no_rest_either() -> None:
    rows, target, similarity = problem(2)
    assert len(run(rows, target, similarity, 9, 0.0, spend=3).indices) == 3


def test_a_target_of_zero_and_atoms_of_zero_leave_the_cover_alone() -> None:
    rows, target, similarity = problem(1)
    cover_alone = lazy_greedy(Cover(similarity, 4), 4, NOBODY).indices.tolist()
    still = run(rows, np.zeros_like(target), similarity, 4, 1.0)
    assert still.indices.tolist() == cover_alone
    assert still.unexplained == 0.0
    empty = run(np.zeros_like(rows), target, similarity, 4, 1.0)
    assert empty.indices.tolist() == cover_alone
    assert empty.unexplained == 1.0
    assert empty.weights.tolist() == [0.0] * 4
