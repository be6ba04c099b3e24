"""Gradient neighbours: by cosine, each hard example in turn, from products alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics.pairwise import cosine_similarity

from mycroft_fl.errors import SettingError
from mycroft_fl.match.alignment import most_aligned
from mycroft_fl.represent.gradients.per_example import DenseAtoms, GradientFactors


def picked(candidates: np.ndarray, hard: np.ndarray, k: int) -> list[int]:
    atoms = DenseAtoms(torch.from_numpy(np.concatenate([candidates, hard])))
    n = len(candidates)
    return most_aligned(atoms, torch.arange(n), torch.arange(n, n + len(hard)), k).tolist()


def by_definition(candidates: np.ndarray, hard: np.ndarray, k: int) -> list[int]:
    cosine = cosine_similarity(hard, candidates).astype(np.float32)
    pairs = []
    for row in cosine:
        order = [i for i in np.argsort(-row, kind="stable") if row[i] > 0]
        pairs += [(depth, -row[i], int(i)) for depth, i in enumerate(order)]
    return list(dict.fromkeys(i for _, _, i in sorted(pairs)))[:k]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("k", [1, 3, 9, 40, 100])
def test_agrees_with_scikit_learns_cosines_hard_example_by_hard_example(seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    candidates, hard = rng.normal(size=(60, 8)), rng.normal(size=(4, 8))
    assert picked(candidates, hard, k) == by_definition(candidates, hard, k)


def test_factors_give_the_picks_of_the_gradients_they_stand_for() -> None:
    rng = torch.Generator().manual_seed(0)
    delta = torch.randn(50, 3, generator=rng, dtype=torch.float64)
    inputs = torch.randn(50, 5, generator=rng, dtype=torch.float64)
    whole = torch.einsum("nc,np->ncp", delta, torch.cat([inputs, torch.ones(50, 1)], 1))
    candidates, hard = torch.arange(45), torch.arange(45, 50)
    found = [
        most_aligned(atoms, candidates, hard, 12).tolist()
        for atoms in (GradientFactors(delta, inputs), DenseAtoms(whole.flatten(1)))
    ]
    assert found[0] == found[1]


def test_what_points_away_or_nowhere_is_never_picked() -> None:
    hard = np.array([[1.0, 0.0]])
    candidates = np.array([[-1.0, 0.1], [0.0, 0.0], [0.0, 1.0], [0.1, 5.0]])
    assert picked(candidates, hard, 4) == [3]
    assert picked(candidates, np.zeros((1, 2)), 4) == []


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 12), st.floats(1e-6, 1e6))
def test_neither_order_nor_length_of_candidates_decides(seed: int, k: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    candidates, hard = rng.normal(size=(20, 5)), rng.normal(size=(3, 5))
    order = rng.permutation(20)
    there = picked(candidates, hard, k)
    assert [int(order[i]) for i in picked(candidates[order] * scale, hard, k)] == there


def test_nothing_to_choose_from_is_an_empty_answer_and_k_must_be_positive() -> None:
    assert picked(np.empty((0, 3)), np.ones((2, 3)), 5) == []
    with pytest.raises(SettingError, match="k is 0; ask for 1 candidate or more"):
        picked(np.ones((2, 3)), np.ones((2, 3)), 0)
