"""Noised steps of the last layer: where they begin, how they go, what noise leaves of them."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mycroft_fl.data.sources import load_dataset
from mycroft_fl.data.task import Task
from mycroft_fl.examples import Examples
from mycroft_fl.models.fitting import accuracy, as_input, correct
from mycroft_fl.models.networks import Classifier
from mycroft_fl.models.weights import flat_head, flat_weights, load_flat_weights, load_head
from mycroft_fl.privacy.relevance.hard_set_target import Target
from mycroft_fl.protocol.messages import Statistic
from mycroft_fl.settings.run_config import RunConfig
from strategies.noised.shrinkage import Shrinkage
from strategies.noised.steps import NoisedSteps, relevance_score
from strategies.training.trainer import Trainer, TrainerData

EVERY = np.ones(4, bool)
TASK = Task(tuple("0123456789"), (1, 8, 8), np.dtype(np.uint8), "mlp")
QUICK = RunConfig(fit_epochs=6, fine_tune_steps=20, scoring_repeats=1)


def trainer(config: RunConfig = QUICK) -> Trainer:
    """A trainer that knows digits upright only, and learns of turned ones."""
    digits = load_dataset("digits", Path()).examples
    upright = digits[np.random.default_rng(0).permutation(len(digits))]
    turned = upright[np.isin(upright.y, [2, 3, 4, 5, 7])]
    turned = Examples(np.ascontiguousarray(turned.x[..., ::-1, ::-1]), turned.y)
    validation = Examples.concatenate([upright[300:420], turned[400:520]])
    return Trainer(TASK, TrainerData(upright[:300], validation), config)


@pytest.fixture(scope="module")
def usual() -> Trainer:
    torch.set_num_threads(1)
    return trainer()


def output(steps: NoisedSteps, seed: int, sigma: float = 0.1) -> dict[str, Statistic]:
    values = np.random.default_rng(seed).normal(size=steps.values)
    return {"a": Statistic(values, sigma)}


def test_steps_begin_at_the_fine_tune_with_the_own_hard_set(usual: Trainer) -> None:
    steps = NoisedSteps(usual, {"a": 10.0})
    assert np.array_equal(flat_weights(steps.best()), flat_weights(usual.own_hard_set))


def test_owners_look_through_its_body_with_the_last_layer_that_fails(usual: Trainer) -> None:
    steps = NoisedSteps(usual, {"a": 10.0})
    looked: Classifier = copy.deepcopy(usual.gradient_model)
    load_flat_weights(looked, steps.weights)
    assert np.array_equal(flat_head(looked), flat_head(usual.gradient_model))
    assert not np.array_equal(steps.weights, flat_weights(usual.gradient_model))
    assert Target.of(looked, usual.hard_set.sent).scale > 0
    load_head(looked, steps.head)
    assert np.array_equal(flat_weights(looked), flat_weights(usual.own_hard_set))


def test_nothing_that_is_sent_knows_the_hard_set_where_a_target_stands_for_it() -> None:
    told_less = trainer(replace(QUICK, request="target", target_epsilon=1.0))
    other = trainer(replace(QUICK, request="target", target_epsilon=1.0, hard_set_sent=3))
    heads = []
    for each in (told_less, other):
        steps = NoisedSteps(each, {"a": 10.0})
        assert np.array_equal(steps.weights, flat_weights(each.gradient_model))
        for seed in range(3):
            steps.step(output(steps, seed))
        heads.append(np.concatenate([steps.head, steps.whitening.matrix.flatten()]))
    assert len(told_less.hard_set.sent) != len(other.hard_set.sent)
    assert np.array_equal(*heads)


def test_resumed_steps_go_on_to_the_last_bit(usual: Trainer) -> None:
    steps = NoisedSteps(usual, {"a": 10.0})
    for seed in range(4):
        steps.step(output(steps, seed))
    again = NoisedSteps.resumed(usual, steps.taken)
    for each in (steps, again):
        each.step(output(each, 9))
        each.step({})
        each.step(output(each, 10))
    assert np.array_equal(steps.head, again.head)
    assert len(steps.taken.tried) == len(again.taken.tried) == 8


def test_without_noise_a_step_is_gradient_descent_with_momentum(usual: Trainer) -> None:
    steps, config = NoisedSteps(usual, {"a": 2.0, "b": 3.0}), usual.config
    model: Classifier = copy.deepcopy(usual.own_hard_set)  # type: ignore[assignment]
    S = steps.whitening.matrix.astype(np.float64)  # noqa: N806 - as in Whitening
    velocity, labels = np.zeros((10, S.shape[1])), usual.train.y
    own = [(usual.train, 1 - config.hard_set_weight), (usual.hard_set.sent, config.hard_set_weight)]
    known = np.isin(np.arange(10), labels)[:, None]
    for seed in range(3):
        answers = {**output(steps, seed, 0.0), "b": output(steps, seed + 50, 0.0)["a"]}
        gradient = np.zeros(steps.head.size)
        for examples, weight in own:
            model.zero_grad()
            logits = model(as_input(examples.x))
            torch.nn.functional.cross_entropy(logits, torch.from_numpy(examples.y)).backward()
            both = [model.head.weight.grad, model.head.bias.grad[:, None]]  # type: ignore[index]
            gradient += weight * torch.cat(both, 1).flatten().double().numpy()  # type: ignore[arg-type]
        told_there = (answers["a"].values + answers["b"].values) / 5
        # A gradient by S [h; 1] is one by [h; 1] times S^T: what owners said, as if said without S.
        noised = np.linalg.lstsq(S, (told_there.reshape(10, -1) * known).T, rcond=None)[0].T
        mixed = gradient.reshape(10, -1) + config.gradient_weight * noised
        velocity = config.gradient_momentum * velocity + mixed
        newton = S.T @ S / (S**2).sum(axis=1).min() / steps.whitening.largest
        stepped = flat_head(model) - config.gradient_learning_rate * (velocity @ newton).flatten()
        load_head(model, stepped.astype(np.float32))
        steps.step(answers)
        assert np.allclose(steps.head, flat_head(model), rtol=1e-3, atol=1e-3)


def test_the_best_step_is_the_last_of_those_that_serve_the_tuning_split_best(
    usual: Trainer,
) -> None:
    steps = NoisedSteps(usual, {"a": 1.0})
    for seed in range(6):
        steps.step(output(steps, seed))
    tuning, reached, model = usual.splits.tuning, [], copy.deepcopy(steps.best())
    for head in steps.taken.tried:
        load_head(model, head)
        reached.append(accuracy(model, tuning))
    best = steps.best()
    assert accuracy(best, tuning) == max(reached)
    last = max(place for place, each in enumerate(reached) if each == max(reached))
    assert np.array_equal(flat_head(best), steps.taken.tried[last])


def test_a_model_that_is_published_starts_where_it_is_told_to(usual: Trainer) -> None:
    steps = NoisedSteps(usual, {"a": 1.0}, start=usual.gradient_model)
    assert np.array_equal(flat_weights(steps.best()), flat_weights(usual.gradient_model))
    assert correct(steps.best(), usual.splits.tuning).sum() > 0


def shrinkage(classes: np.ndarray = EVERY) -> Shrinkage:
    rng = np.random.default_rng(3)
    return Shrinkage([rng.normal(size=(500, 20)) * np.geomspace(5, 0.01, 20)], classes)


def test_without_noise_nothing_is_shrunk() -> None:
    values = np.random.default_rng(0).normal(size=84)
    assert np.allclose(shrinkage()(values, 0.0), values)


def test_a_class_that_there_are_no_examples_of_gets_nothing() -> None:
    values = np.random.default_rng(0).normal(size=84)
    rows = shrinkage(np.array([True, False, True, True]))(values, 0.0).reshape(4, 21)
    assert not rows[1].any()
    assert np.allclose(rows[[0, 2, 3]], values.reshape(4, 21)[[0, 2, 3]])


def test_noise_alone_is_mostly_taken_away_and_never_made_longer() -> None:
    shrunk, rng = shrinkage(), np.random.default_rng(5)
    noise = [rng.normal(scale=2.0, size=84) for _ in range(200)]
    left = [np.linalg.norm(shrunk(each, 4.0)) / np.linalg.norm(each) for each in noise]
    assert np.mean(left) < 0.5
    assert max(left) <= 1


def test_a_mean_in_few_directions_is_nearer_after_shrinking_than_before() -> None:
    rng = np.random.default_rng(6)
    inputs = rng.normal(size=(500, 20)) * np.geomspace(5, 0.01, 20)
    shrunk = Shrinkage([inputs], EVERY)
    with_bias = np.column_stack([inputs, np.ones(500)])
    true = (rng.normal(size=(4, 500)) @ with_bias / 100).flatten()
    noised = [true + rng.normal(scale=0.3, size=84) for _ in range(100)]
    before = np.mean([((each - true) ** 2).sum() for each in noised])
    after = np.mean([((shrunk(each, 0.09) - true) ** 2).sum() for each in noised])
    assert after < 0.6 * before


@pytest.mark.parametrize("sums", [1e29, -1e29])
def test_a_score_of_an_owner_that_lies_stays_in_its_range(sums: float) -> None:
    output = relevance_score(Statistic(np.array([sums, 0.0, 0.0, 0.0]), 1.0), 0.95)
    assert (output.gain, output.low, output.high) == (np.copysign(1e6, sums),) * 3
    noisy = relevance_score(Statistic(np.zeros(4), 1e29), 0.95)
    assert -1e6 <= noisy.low <= noisy.gain <= noisy.high <= 1e6
