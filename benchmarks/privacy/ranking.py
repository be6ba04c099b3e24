"""Ranking twelve owners by a noised score, by class too, and by rivals that move fifty records of each."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import ExitStack

import numpy as np
from scipy.stats import kendalltau

from benchmarks.privacy.worlds import (
    NO_NOISE,
    SETTINGS,
    Counts,
    alike,
    noised_policy,
    request_of,
    statistic_of,
    twelve_owners,
    vault_of,
    world_of,
)
from clients.answering.policy import Policy
from mycroft_fl.examples import Examples, hard_classes
from mycroft_fl.privacy.relevance.hard_set_target import Target, relevances
from mycroft_fl.protocol.messages import SCORED_BY, Statistic
from mycroft_fl.seeds import derived_seed
from simulations.population.world import World
from strategies.noised.scores import score_by_class
from strategies.noised.steps import relevance_score
from strategies.training.trainer import Trainer

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
                output = statistic_of(vault, request_of(trainer, "score"))
            scores[name] = relevance_score(output, 0.95).gain
        taus[f"score, epsilon {epsilon:g}"] = tau(scores)
    return taus | rivals(trainer, held, tau)


def by_class(task: str, seed: int) -> dict[str, float]:
    """Kendall's tau-b of scores by the hard set and by class, and of the scores of single classes."""
    owners = twelve_owners(SETTINGS[task])
    world, trainer = world_of(task, owners, seed)
    shares = [failing / (rest + failing) for rest, failing in owners.values()]
    by_hard_set, by_classes = noised_scores(world, trainer, owners, seed)
    labels = {name: world.owner(name).y[world.owner_groups(name) == "failing"] for name in owners}
    hard, taus = hard_classes(trainer.hard_set.sent), {}
    for epsilon in EPSILONS:
        taus[f"score, epsilon {epsilon:g}"] = _tau(
            shares, [relevance_score(each, 0.95).gain for each in by_hard_set[epsilon]]
        )
        output = by_classes[epsilon]
        taus[f"by class, epsilon {epsilon:g}"] = _tau(
            shares, [score_by_class(each, trainer.hard_set, 0.95).gain for each in output]
        )
        sums = np.array([each.relevance() / each.counted().sum() for each in output])
        held = np.array([[(labels[name] == label).sum() for label in hard] for name in owners])
        # The group's own classes: random labels bring a few owners some of every other.
        some = np.flatnonzero((held > 0).mean(axis=0) > 0.5)
        single = [_tau(list(held[:, place]), list(sums[:, place])) for place in some]
        taus[f"single classes, epsilon {epsilon:g}"] = float(np.mean(single))
    return taus


def noised_scores(
    world: World, trainer: Trainer, owners: Counts, seed: int
) -> tuple[dict[float, list[Statistic]], dict[float, list[Statistic]]]:
    """Epsilon -> the answer of each owner, by the hard set and by class; each pays for one answer."""
    by_hard_set: dict[float, list[Statistic]] = {epsilon: [] for epsilon in EPSILONS}
    by_classes: dict[float, list[Statistic]] = {epsilon: [] for epsilon in EPSILONS}
    for name in owners:
        with ExitStack() as folders:
            vaults = [
                vault_of(
                    name, world.owner(name), noised_policy(epsilon, 1), seed,
                    folders.enter_context(tempfile.TemporaryDirectory()), epsilon,
                )
                for epsilon in EPSILONS
                for _ in SCORED_BY
            ]  # fmt: skip
            alike(vaults)
            for place, vault in enumerate(vaults):
                epsilon, by = EPSILONS[place // 2], SCORED_BY[place % 2]
                output = statistic_of(vault, request_of(trainer, "score", score_by=by))
                (by_hard_set if by == "hard-set" else by_classes)[epsilon].append(output)
    return by_hard_set, by_classes


def _tau(one: list[float], other: list[float]) -> float:
    return float(kendalltau(one, other).statistic)


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
