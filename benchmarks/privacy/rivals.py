"""What the noised steps of `privacy_gradient` are held against: the same steps, told less or told all.

Their noise is a float's, of the size that integers would have, and each counts at the weight that
serves the tuning split best.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import torch

from benchmarks.privacy.worlds import DELTA
from mycroft_fl.examples import Examples
from mycroft_fl.models.fitting import accuracy, as_input
from mycroft_fl.models.networks import Classifier
from mycroft_fl.privacy.noise.accounting import Filter, multiplier_for
from mycroft_fl.privacy.relevance.gradient_rows import FLOOR
from mycroft_fl.protocol.messages import Statistic
from mycroft_fl.represent.gradients.per_example import last_layer_gradients
from mycroft_fl.seeds import derived_seed
from strategies.noised.steps import NoisedSteps
from strategies.training.trainer import Trainer

WEIGHTS = (0.3, 1.0, 2.0, 4.0, 8.0)
"""How far a step goes along the owner's mean gradient, over what it goes as set: the best counts."""
STEPS, CLIP = 40, 5.0


def blind(trainer: Trainer, held: Examples, epsilon: float, seed: int) -> Classifier:
    """Every record counts alike. The steps begin as others do, at the own hard set's fine-tune."""
    return _best(trainer, held, np.ones(len(held)), epsilon, seed)


def uninformed(trainer: Trainer, held: Examples, epsilon: float, seed: int) -> Classifier:
    """Every record counts alike, and no step knows of any failure: they begin at the baseline."""
    knowing_less = copy.copy(trainer)
    knowing_less.config = replace(trainer.config, train_on_hard_set=False)
    return _best(knowing_less, held, np.ones(len(held)), epsilon, seed)


def perfect(
    trainer: Trainer, held: Examples, failing: np.ndarray, epsilon: float, seed: int
) -> Classifier:
    """Records of the failing group count fully, which no owner could know, others as the least do."""
    return _best(trainer, held, np.where(failing, 1.0, FLOOR), epsilon, seed)


def _best(
    trainer: Trainer, held: Examples, weights: np.ndarray, epsilon: float, seed: int
) -> Classifier:
    reached = (_stepped(trainer, held, weights, times, epsilon, seed) for times in WEIGHTS)
    return _serving_best(reached, trainer.splits.tuning)


def _serving_best(models: Iterable[Classifier], tuning: Examples) -> Classifier:
    return max(models, key=lambda model: accuracy(model, tuning))


def _stepped(
    trainer: Trainer,
    held: Examples,
    weights: np.ndarray,
    times: float,
    epsilon: float,
    seed: int,
) -> Classifier:
    multiplier = multiplier_for(Filter.of(min(epsilon, 1e5), DELTA).rho / STEPS)
    rng = np.random.default_rng(derived_seed(seed, "blind", str(epsilon)))
    steps = NoisedSteps(trainer, {"big": float(weights.sum()) / times})
    y = torch.from_numpy(held.y)
    inputs = last_layer_gradients(steps.best(), as_input(held.x), y).inputs
    with_bias = torch.cat([inputs, torch.ones(len(inputs), 1)], 1)
    there = with_bias @ torch.from_numpy(steps.whitening.matrix).T
    counting = torch.from_numpy(weights).float()
    for _ in range(STEPS):
        total = _clipped_sum(steps.head, with_bias, there, y, counting)
        total += rng.normal(scale=multiplier * CLIP, size=total.shape)
        steps.step({"big": Statistic(total, multiplier * CLIP)})
    return steps.best()


def _clipped_sum(
    head: np.ndarray, with_bias: torch.Tensor, there: torch.Tensor, y: torch.Tensor,
    weights: torch.Tensor,
) -> np.ndarray:  # fmt: skip
    """The sum of all records' last-layer gradients by the inputs `there`, each clipped and weighted."""
    layer = torch.from_numpy(head).reshape(-1, with_bias.shape[1])
    delta = (with_bias @ layer.T).softmax(1)
    delta[torch.arange(len(y)), y] -= 1
    lengths = delta.norm(dim=1) * there.norm(dim=1)
    delta *= ((CLIP / lengths.clamp(min=1e-12)).clamp(max=1) * weights)[:, None]
    total: np.ndarray = (delta.T @ there).flatten().double().numpy()
    return total
