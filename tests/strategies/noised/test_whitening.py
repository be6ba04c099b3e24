"""Coordinates in which every direction counts nearly alike."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from strategies.noised import whitening
from strategies.noised.whitening import LENGTH, RIDGE, Whitening, second_moments, with_bias


def inputs(n: int = 400, width: int = 12, seed: int = 0) -> np.ndarray:
    """As after a ReLU: all alike in one direction, and each direction rarer than the one before."""
    rng = np.random.default_rng(seed)
    drawn = np.maximum(rng.normal(0.5, 1, (n, width)) * np.geomspace(4, 0.05, width), 0)
    return drawn.astype(np.float32)


def test_without_a_ridge_every_direction_has_the_same_mean_square(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(whitening, "RIDGE", 1e-12)
    there = with_bias(inputs()) @ Whitening.of([inputs()]).matrix.T.astype(np.float64)
    moments = there.T @ there / len(there)
    assert np.allclose(moments, np.eye(13) * moments[0, 0], atol=1e-3 * moments[0, 0])


def test_with_one_the_rarest_is_stretched_by_no_more_than_the_ridge_allows() -> None:
    lengths = np.linalg.norm(Whitening.of([inputs()]).matrix, axis=1)
    assert lengths.max() / lengths.min() <= ((1 + RIDGE) / RIDGE) ** 0.5 * (1 + 1e-6)
    assert lengths.max() / lengths.min() > 3


def test_the_trainers_own_inputs_have_the_stated_median_length_there() -> None:
    own = inputs()
    there = with_bias(own) @ Whitening.of([own, inputs(9, seed=1) * 50]).matrix.T
    assert np.median(np.linalg.norm(there, axis=1)) == pytest.approx(LENGTH, rel=1e-5)


def test_each_lot_counts_alike_however_many_it_holds() -> None:
    few, many = inputs(10, seed=1), inputs(1000, seed=2)
    a, b = (each.astype(np.float64) for each in map(with_bias, (few, many)))
    expected = np.mean([np.outer(row, row) for row in a], axis=0)
    expected += np.mean([np.outer(row, row) for row in b], axis=0)
    assert np.allclose(second_moments([few, many]), expected)


def test_of_many_directions_the_longest_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whitening, "AT_MOST", 4)
    matrix = Whitening.of([inputs()]).matrix.astype(np.float64)
    assert matrix.shape == (4, 13)
    directions = np.linalg.qr(matrix.T)[0]
    kept = np.linalg.norm(with_bias(inputs()) @ directions) ** 2
    singular = np.linalg.svd(with_bias(inputs()), compute_uv=False)
    assert kept == pytest.approx((singular[:4] ** 2).sum(), rel=1e-6)


def test_a_gradient_there_is_the_gradient_by_the_inputs_there() -> None:
    """By autograd: of logits V S [h; 1], by V."""
    own, found = inputs(30), Whitening.of([inputs()])
    there = torch.from_numpy(with_bias(own) @ found.matrix.T.astype(np.float64))
    plain = torch.from_numpy(with_bias(own))
    labels = torch.arange(30) % 3
    gradients = []
    for x in (there, plain):
        layer = torch.zeros(3, x.shape[1], dtype=torch.float64, requires_grad=True)
        torch.nn.functional.cross_entropy(x @ layer.T, labels).backward()
        assert layer.grad is not None
        gradients.append(layer.grad.numpy().flatten())
    assert np.allclose(found.coordinates(gradients[1]), gradients[0])


def test_a_step_there_lowers_what_it_lowers_there_by_its_own_scale() -> None:
    found = Whitening.of([inputs()])
    step = np.random.default_rng(3).normal(size=3 * len(found.matrix))
    layer = found.step(step).reshape(3, -1)
    logits = with_bias(inputs(20)) @ layer.T
    there = with_bias(inputs(20)) @ found.matrix.T.astype(np.float64)
    scale = (found.matrix.astype(np.float64) ** 2).sum(axis=1).min() * found.largest
    assert np.allclose(logits, there @ step.reshape(3, -1).T / scale)


def test_steps_along_their_own_gradient_come_to_rest_whatever_the_inputs_size() -> None:
    """A step of 2 / largest along softmax regression's gradient, whose curvature is half of that."""
    for size in (1e-2, 1.0, 1e2):
        own, labels = inputs(60) * np.float32(size), torch.arange(60) % 3
        found, x = Whitening.of([own]), torch.from_numpy(with_bias(own))
        layer, losses = np.zeros(3 * x.shape[1]), []
        for _ in range(30):
            at = torch.from_numpy(layer.reshape(3, -1)).requires_grad_()
            loss = torch.nn.functional.cross_entropy(x @ at.T, labels)
            loss.backward()
            assert at.grad is not None
            losses.append(loss.item())
            layer = layer - 2 * found.step(found.coordinates(at.grad.numpy().flatten()))
        assert losses == sorted(losses, reverse=True)
        assert losses[-1] < losses[0]


@given(st.integers(1, 40), st.integers(1, 8), st.integers(0, 10**6))
def test_whatever_the_inputs_are_the_matrix_is_finite_and_made_again_from_itself(
    n: int, width: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    own = (rng.normal(size=(n, width)) * rng.integers(0, 2, width)).astype(np.float32)
    found = Whitening.of([own])
    assert np.isfinite(found.matrix).all()
    again, gradient = Whitening(found.matrix, found.largest), rng.normal(size=2 * (width + 1))
    assert np.array_equal(again.coordinates(gradient), found.coordinates(gradient))
