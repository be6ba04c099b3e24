"""DP-SGD of a last layer: what each record can do to it, and what it does without noise."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from mycroft_fl.privacy.accounting import Filter, SgdRun, sgd_renyi, sgd_run_within
from mycroft_fl.privacy.noise import OS_ENTROPY, simulated
from mycroft_fl.privacy.sgd import HeadRun, Weighted, flat, head_delta

CLASSES, WIDTH = 3, 4
SILENT = 1e-9
"""A noise multiplier of no noise worth the name."""


def head() -> nn.Linear:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Linear(WIDTH, CLASSES)


def records(n: int, seed: int = 0) -> Weighted:
    rng = np.random.default_rng(seed)
    return Weighted(
        torch.from_numpy(rng.normal(size=(n, WIDTH))).float(),
        torch.from_numpy(rng.integers(0, CLASSES, n)),
        torch.from_numpy(rng.uniform(size=n)).float(),
    )


def run(
    multiplier: float = SILENT, q: float = 0.999999, steps: int = 1, rate: float = 0.5
) -> HeadRun:
    return HeadRun(SgdRun(q, multiplier, steps), clip=0.3, rate=rate)


def clipped_sum(at: nn.Linear, batch: Weighted, clip: float) -> np.ndarray:
    """The truth, by autograd: one record after the other."""
    total = np.zeros(CLASSES * (WIDTH + 1))
    for x, y, weight in zip(batch.inputs, batch.labels, batch.weights, strict=True):
        at.zero_grad()
        (weight * nn.functional.cross_entropy(at(x[None]), y[None])).backward()
        assert at.weight.grad is not None
        row = torch.cat([at.weight.grad, at.bias.grad[:, None]], dim=1).double().flatten().numpy()
        total += row * min(1.0, clip / np.linalg.norm(row))
    return total


def test_a_step_goes_against_the_sum_of_clipped_weighted_gradients_and_is_divided_by_no_count() -> (
    None
):
    batch = records(40)
    moved = head_delta(head(), batch, run(), simulated(0))
    np.testing.assert_allclose(moved, -0.5 * clipped_sum(head(), batch, 0.3), rtol=1e-3, atol=1e-5)


def test_steps_follow_one_another_from_where_the_last_one_ended() -> None:
    batch, at, expected = records(20), head(), np.zeros(CLASSES * (WIDTH + 1))
    for _ in range(3):
        step = -0.1 * clipped_sum(at, batch, 0.3)
        expected += step
        both = torch.from_numpy(step.reshape(CLASSES, WIDTH + 1)).float()
        with torch.no_grad():
            at.weight += both[:, :-1]
            at.bias += both[:, -1]
    moved = head_delta(head(), batch, run(steps=3, rate=0.1), simulated(0))
    np.testing.assert_allclose(moved, expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("value", [1e30, math.inf, math.nan])
def test_one_record_of_any_content_moves_a_step_by_no_more_than_rate_times_clip(
    value: float,
) -> None:
    batch = records(10)
    poisoned = Weighted(
        torch.cat([batch.inputs, torch.full((1, WIDTH), value)]),
        torch.cat([batch.labels, torch.tensor([1])]),
        torch.cat([batch.weights, torch.tensor([7.0])]),
    )
    plain, other = (head_delta(head(), each, run(), simulated(0)) for each in (batch, poisoned))
    assert np.isfinite(other).all()
    assert np.linalg.norm(plain - other) <= 0.5 * 0.3 * (1 + 1e-5)


def test_noise_has_the_size_that_the_run_states(tmp_path) -> None:
    told = run(multiplier=2.0, q=0.25, steps=50, rate=0.1)
    nothing = records(0)
    drawn = np.stack([head_delta(head(), nothing, told, simulated(each)) for each in range(40)])
    assert drawn.std() == pytest.approx(told.sigma, rel=0.1)
    assert abs(drawn.mean()) < 4 * told.sigma / math.sqrt(drawn.size)


def test_batches_are_drawn_record_by_record_at_the_rate_and_not_in_fixed_sizes() -> None:
    one = Weighted(torch.ones(1, WIDTH), torch.tensor([0]), torch.ones(1))
    seen = [
        np.linalg.norm(head_delta(head(), one, run(q=0.3), simulated(each))) > 0.1
        for each in range(400)
    ]
    assert np.mean(seen) == pytest.approx(0.3, abs=0.1)


def test_an_owner_without_records_gives_noise_and_no_error() -> None:
    moved = head_delta(head(), records(0), run(multiplier=1.0, steps=3), simulated(0))
    assert np.isfinite(moved).all()
    assert (moved != 0).all()


def test_simulated_noise_can_be_repeated_and_the_operating_systems_cannot() -> None:
    batch, told = records(5), run(multiplier=1.0)
    first, second = (head_delta(head(), batch, told, simulated(1)) for _ in range(2))
    assert np.array_equal(first, second)
    real = [head_delta(head(), batch, told, OS_ENTROPY) for _ in range(2)]
    assert not np.array_equal(*real)


def test_the_head_that_is_given_stays_as_it_was() -> None:
    at = head()
    before = flat(at)
    head_delta(at, records(5), run(multiplier=1.0), simulated(0))
    assert np.array_equal(flat(at), before)
    assert at(torch.ones(1, WIDTH)).grad_fn is not None


@pytest.mark.parametrize("epsilon", [0.3, 1.0, 4.0])
def test_the_least_noise_within_a_budget_is_within_it_and_hardly_more_than_needed(
    epsilon: float,
) -> None:
    budget = Filter.of(epsilon, 1e-5)
    found = sgd_run_within(budget.limit, budget.order, 0.05, 100)
    assert sgd_renyi(found, budget.order) <= budget.limit
    less = SgdRun(0.05, found.noise_multiplier * 0.99, 100)
    assert sgd_renyi(less, budget.order) > budget.limit
