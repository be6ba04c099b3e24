"""Ranking twelve owners by a noised score, and by rivals that move fifty records of each."""

from __future__ import annotations

import tempfile
from collections.abc import Callable

import numpy as np
from privacy_worlds import (
    NO_NOISE,
    SETTINGS,
    noised_policy,
    request_of,
    statistic_of,
    twelve_owners,
    vault_of,
    world_of,
)
from scipy.stats import kendalltau

from clients.policy import Policy
from mycroft_fl.examples import Examples
from mycroft_fl.privacy.relevance import Target, relevances
from mycroft_fl.seeds import derived_seed
from strategies.noised import relevance_score
from strategies.trainer import Trainer

EPSILONS = (0.25, 0.5, 1.0, NO_NOISE)
MOVED = 50


def ranking(task: str, seed: int) -> dict[str, float]:
    """Kendall's tau-b of every way to rank against the true shares of the failing group."""
    owners = twelve_owners(SETTINGS[task])
    shares = [failing / (rest + failing) for rest, failing in owners.values()]
    world, trainer = world_of(task, owners, seed)
    held = {name: world.owner(name) for name in owners}

    def tau(scores: dict[str, float]) -> float:
        return float(kendalltau(shares, [scores[name] for name in owners]).statistic)

    taus = {}
    for epsilon in EPSILONS:
        scores = {}
        for name, examples in held.items():
            with tempfile.TemporaryDirectory() as folder:
                policy = noised_policy(epsilon, 1)
                vault = vault_of(name, examples, policy, seed, folder, epsilon)
                told = statistic_of(vault, request_of(trainer, "score"))
            scores[name] = relevance_score(told, 0.95).gain
        taus[f"score, epsilon {epsilon:g}"] = tau(scores)
    return taus | rivals(trainer, held, tau)


def rivals(
    trainer: Trainer, held: dict[str, Examples], tau: Callable[[dict[str, float]], float]
) -> dict[str, float]:
    """The ways that move `MOVED` records of every owner."""
    rng = np.random.default_rng(derived_seed(trainer.config.seed, "rivals"))
    hard = trainer.hard_set.sent
    target = Target.of(trainer.baseline, hard).for_ranking(trainer.baseline, hard)
    random, picked = {}, {}
    for name, examples in held.items():
        some = examples[rng.choice(len(examples), MOVED, replace=False)]
        values = np.clip(relevances(trainer.baseline, some, target), -1, 1)
        random[name] = float(values.mean())
        with tempfile.TemporaryDirectory() as folder:
            vault = vault_of(name, examples, Policy(), trainer.config.seed, folder)
            disclosed = vault.answer(request_of(trainer, "raw", k=MOVED)).disclosed
        assert disclosed is not None
        picked[name] = disclosed
    fine_tuned = {name: score.gain for name, score in trainer.valuation.scores(picked).items()}
    return {
        "50 random records, mean relevance": tau(random),
        "50 raw OMP picks, fine-tuned": tau(fine_tuned),
    }
