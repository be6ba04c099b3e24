"""What is left of matching pursuit's gain where fifty examples are drawn (`raw-gumbel`) and not chosen."""

from __future__ import annotations

import tempfile

import numpy as np

from benchmarks.privacy.worlds import request_of, vault_of, world_of
from clients.answering.policy import Policy
from mycroft_fl.examples import Examples
from mycroft_fl.models.fitting import AnyModel, correct
from mycroft_fl.privacy.noise.mechanisms import choice_price
from mycroft_fl.seeds import derived_seed
from strategies.training.trainer import Trainer

HOLDS, USEFUL, PICKS = 8000, 1180, 50
STRENGTHS = (1.0, 2.0, 3.0, 4.0, 5.0)
DRAWS = 3
"""Draws of each kind in one world; their mean counts."""


def drawing(task: str, seed: int) -> dict[str, float]:
    """Accuracy on the test examples that the baseline gets wrong, way by way.

    One owner of 8,000 examples, 15 % of the failing group. Each strength comes with its price,
    epsilon-minus of `PICKS` among `HOLDS`.
    """
    world, trainer = world_of(task, {"big": (HOLDS - USEFUL, USEFUL)}, seed)
    held, test = world.owner("big"), world.trainer("test")
    hard = ~correct(trainer.baseline, test)

    def reached(model: AnyModel) -> float:
        return float(correct(model, test)[hard].mean())

    rng = np.random.default_rng(derived_seed(seed, "random"))
    at_random = [held[rng.choice(HOLDS, PICKS, replace=False)] for _ in range(DRAWS)]
    found = {
        "control": reached(trainer.control),
        "own-hard-set": reached(trainer.own_hard_set),
        "random": float(np.mean([reached(trainer.improved(each)) for each in at_random])),
        "OMP": reached(trainer.improved(handed_over(trainer, held, "raw", Policy(), seed))),
    }
    for strength in STRENGTHS:
        price = choice_price(PICKS, strength, HOLDS)
        policy = Policy(
            modes=("raw-gumbel",), epsilon_minus=price * 1.001, records_at_least=HOLDS,
            strength=strength,
        )  # fmt: skip
        drawn = [
            reached(trainer.improved(handed_over(trainer, held, "raw-gumbel", policy, seed, salt)))
            for salt in range(DRAWS)
        ]
        found[f"raw-gumbel, R {strength:g}, epsilon-minus {price:.3f}"] = float(np.mean(drawn))
    return found


def handed_over(
    trainer: Trainer, held: Examples, mode: str, policy: Policy, seed: int, salt: int = 0
) -> Examples:
    """The fifty examples of one answer."""
    with tempfile.TemporaryDirectory() as folder:
        vault = vault_of("big", held, policy, seed, folder, salt)
        disclosed = vault.answer(request_of(trainer, mode, k=PICKS)).disclosed
    assert disclosed is not None
    return disclosed


def shares_of_gain(found: list[dict[str, float]]) -> dict[str, float]:
    """Each way's mean gain over random as a share of OMP's, a ratio of means over seeds."""
    means = {way: float(np.mean([each[way] for each in found])) for way in found[0]}
    whole = means["OMP"] - means["random"]
    return {way: (mean - means["random"]) / whole for way, mean in means.items()}
