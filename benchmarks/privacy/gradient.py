"""What noised gradients and DP-SGD at an owner bring, beside raw picks of the same owner."""

from __future__ import annotations

import tempfile
from collections.abc import Callable

import numpy as np
import torch

from benchmarks.privacy.gumbel import HOLDS, USEFUL
from benchmarks.privacy.rivals import CLIP, STEPS, blind, perfect, uninformed
from benchmarks.privacy.worlds import (
    DELTA,
    NO_NOISE,
    alike,
    request_of,
    statistic_of,
    vault_of,
    world_of,
)
from clients.answering.policy import Policy
from clients.answering.vault import Vault
from mycroft_fl.examples import Examples
from mycroft_fl.models.fitting import correct
from mycroft_fl.seeds import derived_seed
from strategies.noised.steps import NoisedSteps, relevance_score
from strategies.training.trainer import Trainer

EPSILONS = (0.5, 1.0, 2.0, 4.0, 8.0)
PICKS = (25, 50, 100)
Model = torch.nn.Module
Reached = dict[str, float]


def gradient(task: str, seed: int) -> Reached:
    """Accuracy on the failures, on the whole test and on its failing group, way by way.

    One owner of 8,000 examples, 15 % of the group. Epsilons are per record, add/remove, at delta
    1e-5, of the score and all that follows it.
    """
    trainer, held, test, failing = _world(task, seed)
    reached = _raw_ways(trainer, held, test, seed)
    for epsilon in (*EPSILONS, NO_NOISE):
        way = f"without a target, epsilon {epsilon:g}"
        reached |= _reached(way, blind(trainer, held, epsilon, seed), trainer, test)
    for epsilon in (1.0, NO_NOISE):
        for way, model in (
            ("knowing of no failure", uninformed(trainer, held, epsilon, seed)),
            ("with a perfect target", perfect(trainer, held, failing, epsilon, seed)),
        ):
            reached |= _reached(f"{way}, epsilon {epsilon:g}", model, trainer, test)
    output = by_noised_answers(trainer, held, ("score", "gradient"), seed, _stepped)
    for epsilon, model in output.items():
        reached |= _reached(f"gradient, epsilon {epsilon:g}", model, trainer, test)
    return reached


def dp_sgd(task: str, seed: int) -> Reached:
    """The same by one run of DP-SGD at the owner, in the same worlds."""
    trainer, held, test, _ = _world(task, seed)
    reached = _by_itself(trainer, test)
    output = by_noised_answers(trainer, held, ("score", "dp-sgd"), seed, _trained)
    for epsilon, model in output.items():
        reached |= _reached(f"dp-sgd, epsilon {epsilon:g}", model, trainer, test)
    return reached


def _world(task: str, seed: int) -> tuple[Trainer, Examples, Examples, np.ndarray]:
    """The trainer, what the owner holds, the test examples, which held examples are of the group."""
    world, trainer = world_of(task, {"big": (HOLDS - USEFUL, USEFUL)}, seed)
    failing = world.owner_groups("big") == "failing"
    return trainer, world.owner("big"), world.trainer("test"), failing


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
        output = {
            e: statistic_of(vault, request_of(trainer, "score")) for e, vault in vaults.items()
        }
        models: dict[float, Model | None] = {}
        for epsilon, vault in vaults.items():
            score = relevance_score(output[epsilon], 0.95)
            steps = NoisedSteps.begun(trainer, {"big": output[epsilon]}, {"big": score})
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
