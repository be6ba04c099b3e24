"""Scores that the trainer publishes with noise: how much of its own ranking is left."""

from __future__ import annotations

import copy
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.stats import kendalltau

from benchmarks.privacy.worlds import DELTA, SETTINGS, request_of, twelve_owners, vault_of, world_of
from clients.answering.policy import Policy
from mycroft_fl.examples import Examples
from mycroft_fl.privacy.noise.samplers import simulated
from mycroft_fl.seeds import derived_seed
from strategies.runs.publisher import UNITS_OF_SCORES, Publisher
from strategies.training.trainer import Trainer

EPSILONS = (1.0, 4.0, 16.0, 64.0)
DRAWS = 20
"""Publications of one round's scores, each with noise of its own; their mean counts."""
PICKS = 50


def published(task: str, seed: int) -> dict[str, float]:
    """Kendall's tau-b of published scores against the trainer's own, unit by unit.

    Twelve owners of distinct shares of the failing group hand over fifty examples each. Epsilons are
    at delta 1e-5, for one round, per record of the scoring split or per record of an owner's subset.
    """
    owners = twelve_owners(SETTINGS[task])
    world, trainer = world_of(task, owners, seed)
    picked = {name: handed_over(trainer, world.owner(name), name) for name in owners}
    own = {name: score.gain for name, score in trainer.valuation.scores(picked).items()}
    taus = {}
    for unit in UNITS_OF_SCORES:
        for epsilon in EPSILONS:
            output = [as_published(trainer, unit, epsilon, draw) for draw in range(DRAWS)]
            taus[f"per {unit}, epsilon {epsilon:g}"] = float(
                np.mean([tau(own, each) for each in output])
            )
    spread = float(np.ptp(list(own.values())))
    return taus | {"best score less the worst": spread}


def as_published(trainer: Trainer, unit: str, epsilon: float, draw: int) -> dict[str, float]:
    """The first round's scores as `publish-epsilon` lets them out."""
    changed = copy.copy(trainer)
    changed.config = replace(
        trainer.config, publish_epsilon=epsilon, publish_delta=DELTA, publish_unit=unit,
        num_rounds=1,
    )  # fmt: skip
    seed = derived_seed(trainer.config.seed, unit, str(epsilon), str(draw))
    with tempfile.TemporaryDirectory() as folder:
        publisher = Publisher(changed, Path(folder), lambda purpose: simulated(seed))
        publisher.publish_scores(1, sorted(trainer.valuation.gains))
    scores: dict[str, float] = publisher.releases[0]["scores"]
    return scores


def handed_over(trainer: Trainer, held: Examples, name: str) -> Examples:
    """An owner's fifty picks, by matching pursuit."""
    with tempfile.TemporaryDirectory() as folder:
        vault = vault_of(name, held, Policy(), trainer.config.seed, folder)
        disclosed = vault.answer(request_of(trainer, "raw", k=PICKS)).disclosed
    assert disclosed is not None
    return disclosed


def tau(one: dict[str, float], other: dict[str, float]) -> float:
    """Kendall's tau-b of two rankings of the same owners."""
    return float(kendalltau(list(one.values()), [other[name] for name in one]).statistic)
