"""What noised gradients and DP-SGD at an owner bring, beside raw picks of the same owner."""

from __future__ import annotations

import copy
import tempfile
from dataclasses import replace

import numpy as np
import torch
from privacy_drawing import HOLDS, USEFUL
from privacy_worlds import DELTA, NO_NOISE, request_of, statistic_of, vault_of, world_of

from clients.policy import Policy
from mycroft_fl.examples import Examples
from mycroft_fl.exchange import Statistic
from mycroft_fl.models.fitting import accuracy, as_input, correct
from mycroft_fl.models.networks import Classifier
from mycroft_fl.privacy.accounting import Filter, multiplier_for
from mycroft_fl.represent.gradients import last_layer_gradients
from mycroft_fl.seeds import derived_seed
from strategies.noised import NoisedSteps, relevance_score
from strategies.trainer import Trainer

EPSILONS = (0.5, 1.0, 2.0, 4.0, 8.0)
STEPS, CLIP = 40, 5.0
PICKS = (25, 50, 100)
BLIND_SHARES = (0.1, 0.25, 0.5)
"""Shares of a step for gradients without a target: the best on the tuning split counts."""


def gradient(task: str, seed: int) -> dict[str, float]:
    """Accuracy on the failures and on the whole test, way by way.

    One owner of 8,000 examples, 15 % of the group. Epsilons are per record, add/remove, at delta
    1e-5, of the score and all that follows it.
    """
    world, trainer = world_of(task, {"big": (HOLDS - USEFUL, USEFUL)}, seed)
    test, held = world.trainer("test"), world.owner("big")
    hard = ~correct(trainer.baseline, test)
    reached: dict[str, tuple[float, float]] = {}

    def note(way: str, model: torch.nn.Module | None) -> None:
        right = correct(trainer.control if model is None else model, test)
        reached[way] = (float(right[hard].mean()), float(right.mean()))

    note("control", trainer.control)
    note("own-hard-set", trainer.own_hard_set)
    for k in PICKS:
        with tempfile.TemporaryDirectory() as folder:
            vault = vault_of("big", held, Policy(), seed, folder)
            picked = vault.answer(request_of(trainer, "raw", k=k)).disclosed
        note(f"raw, {k} OMP picks", trainer.improved(picked))
        drawn = np.random.default_rng(derived_seed(seed, k)).choice(len(held), k, replace=False)
        note(f"raw, {k} at random", trainer.improved(held[drawn]))
    for epsilon in (*EPSILONS, NO_NOISE):
        note(f"without a target, epsilon {epsilon:g}", blind(trainer, held, epsilon, seed))
    for epsilon in EPSILONS:
        note(f"gradient, epsilon {epsilon:g}", by_gradients(trainer, held, epsilon, seed))
    return by_part(reached)


def dp_sgd(task: str, seed: int) -> dict[str, float]:
    """The same by one run of DP-SGD at the owner: same worlds, same baselines."""
    world, trainer = world_of(task, {"big": (HOLDS - USEFUL, USEFUL)}, seed)
    test, held = world.trainer("test"), world.owner("big")
    hard = ~correct(trainer.baseline, test)
    reached: dict[str, tuple[float, float]] = {}

    def note(way: str, model: torch.nn.Module | None) -> None:
        right = correct(trainer.control if model is None else model, test)
        reached[way] = (float(right[hard].mean()), float(right.mean()))

    note("control", trainer.control)
    for epsilon in EPSILONS:
        note(f"dp-sgd, epsilon {epsilon:g}", by_dp_sgd(trainer, held, epsilon, seed))
    return by_part(reached)


def by_part(reached: dict[str, tuple[float, float]]) -> dict[str, float]:
    """Each way's accuracy on the failures, then on the whole test."""
    return {f"{way}: failures": hard for way, (hard, _) in reached.items()} | {
        f"{way}: whole test": whole for way, (_, whole) in reached.items()
    }


def by_gradients(
    trainer: Trainer, held: Examples, epsilon: float, seed: int
) -> torch.nn.Module | None:
    """The model after a score and `STEPS` noised steps, as mode = gradient goes."""
    policy = Policy(
        modes=("score", "gradient"), epsilon=epsilon, delta=DELTA, answers=STEPS + 1, clip=CLIP
    )
    with tempfile.TemporaryDirectory() as folder:
        vault = vault_of("big", held, policy, seed, folder, epsilon)
        told = {"big": statistic_of(vault, request_of(trainer, "score"))}
        steps = NoisedSteps.begun(trainer, told, {"big": relevance_score(told["big"], 0.95)})
        for step in range(STEPS if steps else 0):
            assert steps is not None
            asked = request_of(trainer, "gradient", server_round=step + 2, head=steps.head)
            steps.step({"big": statistic_of(vault, asked)})
    return steps.best() if steps else None


def by_dp_sgd(
    trainer: Trainer, held: Examples, epsilon: float, seed: int
) -> torch.nn.Module | None:
    """The model after a score and one run of DP-SGD at the owner, as mode = dp-sgd goes."""
    policy = Policy(modes=("score", "dp-sgd"), epsilon=epsilon, delta=DELTA, clip=CLIP)
    with tempfile.TemporaryDirectory() as folder:
        vault = vault_of("big", held, policy, seed, folder, epsilon)
        told = {"big": statistic_of(vault, request_of(trainer, "score"))}
        steps = NoisedSteps.begun(trainer, told, {"big": relevance_score(told["big"], 0.95)})
        if steps is None:
            return None
        asked = request_of(trainer, "dp-sgd", server_round=2, rate=steps.rate)
        return steps.moved({"big": statistic_of(vault, asked)})


def blind(trainer: Trainer, held: Examples, epsilon: float, seed: int) -> Classifier:
    """The same steps with every record counting alike, at the share that tuning likes best.

    The rival that no target helps; its noise is a float's, of the size that integers would have.
    """
    multiplier = multiplier_for(Filter.of(min(epsilon, 1e5), DELTA).rho / STEPS)
    tried = []
    for share in BLIND_SHARES:
        rng = np.random.default_rng(derived_seed(seed, "blind", str(epsilon)))
        changed = copy.copy(trainer)
        changed.config = replace(trainer.config, gradient_share=share)
        steps = NoisedSteps(changed, {"big": float(len(held))})
        model = copy.deepcopy(trainer.eyes)
        inputs = last_layer_gradients(model, as_input(held.x), torch.from_numpy(held.y)).inputs
        for _ in range(STEPS):
            total = clipped_sum(steps.head, inputs, torch.from_numpy(held.y))
            total += rng.normal(scale=multiplier * CLIP, size=total.shape)
            steps.step({"big": Statistic(total, multiplier * CLIP)})
        tried.append(steps.best())
    return max(tried, key=lambda model: accuracy(model, trainer.splits.tuning))


def clipped_sum(head: np.ndarray, inputs: torch.Tensor, y: torch.Tensor) -> np.ndarray:
    """The sum of all records' last-layer gradients, each clipped to `CLIP`."""
    layer = torch.from_numpy(head).reshape(-1, inputs.shape[1] + 1)
    delta = (inputs @ layer[:, :-1].T + layer[:, -1]).softmax(1)
    delta[torch.arange(len(y)), y] -= 1
    lengths = delta.norm(dim=1) * (inputs.square().sum(1) + 1).sqrt()
    delta *= (CLIP / lengths.clamp(min=1e-12)).clamp(max=1)[:, None]
    total: np.ndarray = (
        torch.cat([delta.T @ inputs, delta.sum(0)[:, None]], 1).flatten().double().numpy()
    )
    return total
