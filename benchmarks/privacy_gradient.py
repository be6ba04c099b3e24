"""What noised gradients and DP-SGD at an owner bring, beside raw picks of the same owner."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from privacy_drawing import HOLDS, USEFUL
from privacy_worlds import DELTA, NO_NOISE, alike, request_of, statistic_of, vault_of, world_of

from clients.policy import Policy
from clients.vault import Vault
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
Model = torch.nn.Module
Reached = dict[str, float]


def gradient(task: str, seed: int) -> Reached:
    """Accuracy on the failures, on the whole test and on its failing group, way by way.

    One owner of 8,000 examples, 15 % of the group. Epsilons are per record, add/remove, at delta
    1e-5, of the score and all that follows it.
    """
    trainer, held, test = _world(task, seed)
    reached = _raw_ways(trainer, held, test, seed)
    for epsilon in (*EPSILONS, NO_NOISE):
        way = f"without a target, epsilon {epsilon:g}"
        reached |= _reached(way, blind(trainer, held, epsilon, seed), trainer, test)
    told = by_noised_answers(trainer, held, ("score", "gradient"), seed, _stepped)
    for epsilon, model in told.items():
        reached |= _reached(f"gradient, epsilon {epsilon:g}", model, trainer, test)
    return reached


def dp_sgd(task: str, seed: int) -> Reached:
    """The same by one run of DP-SGD at the owner, in the same worlds."""
    trainer, held, test = _world(task, seed)
    reached = _by_itself(trainer, test)
    told = by_noised_answers(trainer, held, ("score", "dp-sgd"), seed, _trained)
    for epsilon, model in told.items():
        reached |= _reached(f"dp-sgd, epsilon {epsilon:g}", model, trainer, test)
    return reached


def _world(task: str, seed: int) -> tuple[Trainer, Examples, Examples]:
    world, trainer = world_of(task, {"big": (HOLDS - USEFUL, USEFUL)}, seed)
    return trainer, world.owner("big"), world.trainer("test")


def _reached(way: str, model: Model | None, trainer: Trainer, test: Examples) -> Reached:
    hard = ~correct(trainer.baseline, test)
    # Where no score earns a step, there is what the trainer has by itself.
    right = correct(trainer.own_hard_set if model is None else model, test)
    return {
        f"{way}: failures": float(right[hard].mean()),
        f"{way}: whole test": float(right.mean()),
    }


def _by_itself(trainer: Trainer, test: Examples) -> Reached:
    reached = _reached("control", trainer.control, trainer, test)
    return reached | _reached("own hard set", trainer.own_hard_set, trainer, test)


def _raw_ways(trainer: Trainer, held: Examples, test: Examples, seed: int) -> Reached:
    reached = _by_itself(trainer, test)
    for k in PICKS:
        with tempfile.TemporaryDirectory() as folder:
            vault = vault_of("big", held, Policy(), seed, folder)
            picked = vault.answer(request_of(trainer, "raw", k=k)).disclosed
        reached |= _reached(f"raw, {k} OMP picks", trainer.improved(picked), trainer, test)
        drawn = np.random.default_rng(derived_seed(seed, k)).choice(len(held), k, replace=False)
        at_random = trainer.improved(held[drawn])
        reached |= _reached(f"raw, {k} at random", at_random, trainer, test)
    return reached


Answered = Callable[[Trainer, NoisedSteps, Vault], Model]


def by_noised_answers(
    trainer: Trainer, held: Examples, modes: tuple[str, ...], seed: int, answered: Answered
) -> dict[float, Model | None]:
    """The model after a score and what follows it, epsilon by epsilon."""
    with tempfile.TemporaryDirectory() as folder:
        vaults = {}
        for epsilon in EPSILONS:
            policy = Policy(
                modes=modes, epsilon=epsilon, delta=DELTA, clip=CLIP,
                answers=STEPS + 1 if "gradient" in modes else 1,
            )  # fmt: skip
            vaults[epsilon] = vault_of("big", held, policy, seed, f"{folder}/{epsilon}", epsilon)
        alike(list(vaults.values()))
        told = {e: statistic_of(vault, request_of(trainer, "score")) for e, vault in vaults.items()}
        models: dict[float, Model | None] = {}
        for epsilon, vault in vaults.items():
            score = relevance_score(told[epsilon], 0.95)
            steps = NoisedSteps.begun(trainer, {"big": told[epsilon]}, {"big": score})
            models[epsilon] = answered(trainer, steps, vault) if steps else None
    return models


def _stepped(trainer: Trainer, steps: NoisedSteps, vault: Vault) -> Model:
    """`STEPS` noised steps, as mode = gradient goes."""
    for step in range(STEPS):
        asked = request_of(
            trainer, "gradient", server_round=step + 2, head=steps.head, weights=steps.weights,
            whitening=steps.whitening.matrix,
        )  # fmt: skip
        steps.step({"big": statistic_of(vault, asked)})
    return steps.best()


def _trained(trainer: Trainer, steps: NoisedSteps, vault: Vault) -> Model:
    """One run of DP-SGD at the owner, as mode = dp-sgd goes."""
    asked = request_of(
        trainer, "dp-sgd", server_round=2, rate=steps.rate, head=steps.head, weights=steps.weights
    )
    return steps.moved({"big": statistic_of(vault, asked)})


def blind(trainer: Trainer, held: Examples, epsilon: float, seed: int) -> Classifier:
    """The same steps with every record counting alike, at the share that tuning likes best.

    The rival that no target helps; its noise is a float's, of the size that integers would have.
    """
    multiplier = multiplier_for(Filter.of(min(epsilon, 1e5), DELTA).rho / STEPS)
    tried = []
    y = torch.from_numpy(held.y)
    for share in BLIND_SHARES:
        rng = np.random.default_rng(derived_seed(seed, "blind", str(epsilon)))
        changed = copy.copy(trainer)
        changed.config = replace(trainer.config, gradient_share=share)
        steps = NoisedSteps(changed, {"big": float(len(held))})
        inputs = last_layer_gradients(steps.best(), as_input(held.x), y).inputs
        for _ in range(STEPS):
            total = clipped_sum(steps.head, inputs, y)
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
