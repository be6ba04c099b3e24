"""A noised target: what it is without noise, what bounds a hard example, what it says of relevance."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from mycroft_fl.errors import BadMessage
from mycroft_fl.examples import Examples
from mycroft_fl.models.networks import Classifier, build
from mycroft_fl.privacy.noise.samplers import OS_ENTROPY, simulated
from mycroft_fl.privacy.relevance.hard_set_target import Target, relevances
from mycroft_fl.privacy.relevance.noised_target import noised_gradient_sum, target_of_sum
from mycroft_fl.protocol.messages import NoisedTarget

MODEL = build("mlp", (5,), 3, seed=0)
SIZE = 3 * 257
HARDLY = 1e-6
"""A noise multiplier that leaves as good as nothing of the noise."""


def drawn(n: int, seed: int = 0) -> Examples:
    rng = np.random.default_rng(seed)
    return Examples(rng.normal(size=(n, 5)).astype(np.float32), rng.integers(0, 3, n))


def by_autograd(model: Classifier, examples: Examples) -> np.ndarray:
    """Each example's gradient of the loss by the last layer, bias last in each row, flat."""
    rows = []
    for x, y in zip(examples.x, examples.y, strict=True):
        model.zero_grad()
        functional.cross_entropy(model(torch.from_numpy(x)[None]), torch.tensor([y])).backward()
        weight, bias = model.head.weight.grad, model.head.bias.grad
        rows.append(torch.cat([weight, bias[:, None]], dim=1).flatten().double().numpy())
    return np.array(rows)


@pytest.mark.parametrize("clip", [0.5, 100.0])
def test_without_noise_it_is_the_sum_of_clipped_gradients_as_autograd_has_them(clip: float) -> None:
    hard = drawn(12)
    output = noised_gradient_sum(MODEL, hard, clip, HARDLY, OS_ENTROPY)
    rows = by_autograd(MODEL, hard)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    exact = (rows * np.minimum(1, clip / lengths)).sum(axis=0)
    # Each of 12 rows loses up to 1/65536 by truncation; the noise is of that size too.
    assert np.abs(output.values - exact).max() < 12 / 65536 + 8 * max(clip * HARDLY, 1 / 65536)
    assert (lengths > 0.5).all()


def test_the_noise_is_of_the_size_paid_for_and_each_target_has_its_own() -> None:
    hard = drawn(4)
    exact = noised_gradient_sum(MODEL, hard, 1.0, HARDLY, OS_ENTROPY).values
    output = [noised_gradient_sum(MODEL, hard, 1.0, 3.0, OS_ENTROPY) for _ in range(2)]
    noises = [each.values - exact for each in output]
    assert all(np.std(each) == pytest.approx(3.0, rel=0.15) for each in noises)
    assert abs(np.corrcoef(*noises)[0, 1]) < 0.2
    assert output[0].rho == pytest.approx(1 / 18)


def test_one_hard_example_moves_the_sum_by_no_more_than_the_clip() -> None:
    hard, far = drawn(6), Examples(np.full((1, 5), 1e20, np.float32), np.array([0]))
    with_it = Examples.concatenate([hard, far])
    one, other = (
        noised_gradient_sum(MODEL, each, 0.25, HARDLY, simulated(3)).values
        for each in (hard, with_it)
    )
    assert np.linalg.norm(one - other) <= 0.25 + 1e-9


def test_the_mean_is_over_a_public_number_and_hard_examples_align_with_it_by_1_on_average() -> None:
    hard = drawn(16, seed=3)
    output = noised_gradient_sum(MODEL, hard, 1.0, HARDLY, OS_ENTROPY)
    target = target_of_sum(output.values, output.sigma, clip=1.0, stands_for=16)
    assert np.allclose(target.direction * 16, output.values, atol=1e-6)
    values = relevances(MODEL, hard, Target.of_noised(MODEL, target))
    assert values.mean() == pytest.approx(1, abs=1e-3)


def test_of_a_target_that_is_noise_alone_the_scale_is_what_noise_does_to_a_gradient() -> None:
    rng = np.random.default_rng(0)
    target = target_of_sum(rng.normal(0, 8, SIZE) * 0.9, 8.0, clip=2.0, stands_for=4)
    assert target.scale == 8 / 4 * 2


def test_a_record_with_a_long_gradient_counts_as_one_of_the_clips_length() -> None:
    target = NoisedTarget(np.ones(SIZE, np.float32), 1.0, 0.01, 1)
    records = drawn(8)
    rows = by_autograd(MODEL, records)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    assert np.allclose(
        relevances(MODEL, records, Target.of_noised(MODEL, target)),
        0.01 * unit.sum(axis=1),
        atol=1e-6,
    )


def test_a_target_of_another_size_than_the_last_layer_is_a_bad_message() -> None:
    with pytest.raises(BadMessage, match="a target of 7 numbers; the last layer has 771"):
        Target.of_noised(MODEL, NoisedTarget(np.ones(7, np.float32), 1.0, 1.0, 1))
