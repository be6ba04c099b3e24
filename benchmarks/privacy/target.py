"""What owners choose by a noised target, beside what they choose by the hard set itself."""

from __future__ import annotations

import copy
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.privacy.gumbel import DRAWS, HOLDS, PICKS, USEFUL
from benchmarks.privacy.worlds import DELTA, request_of, vault_of, world_of
from clients.answering.policy import Policy
from mycroft_fl.examples import Examples
from mycroft_fl.models.fitting import AnyModel, correct
from mycroft_fl.privacy.noise.samplers import simulated
from mycroft_fl.protocol.messages import NoisedTarget
from mycroft_fl.seeds import derived_seed
from strategies.runs.publisher import Publisher
from strategies.training.trainer import Trainer

EPSILONS = (1.0, 4.0, 16.0, 64.0)
METHODS = ("omp-whole", "gradient-neighbours")
SENT = 64
"""Hard examples that are sent, or that a target stands for: the noise is divided by it."""


def target(task: str, seed: int) -> dict[str, float]:
    """Accuracy on the test examples that the baseline gets wrong, way by way.

    One owner of 8,000 examples, 15 % of the failing group, hands over fifty. Epsilons are per hard
    example at delta 1e-5, for the whole run.
    """
    counts = {"big": (HOLDS - USEFUL, USEFUL)}
    world, trainer = world_of(task, counts, seed, hard_set_sent=SENT)
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
    }
    for method in METHODS:
        found[f"{method}, hard set"] = reached(
            trainer.improved(chosen(trainer, held, method, None))
        )
        for epsilon in EPSILONS:
            picked = chosen(trainer, held, method, noised(trainer, epsilon))
            found[f"{method}, target, epsilon {epsilon:g}"] = reached(trainer.improved(picked))
    return found


def noised(trainer: Trainer, epsilon: float) -> NoisedTarget:
    """The target as the trainer's publisher draws it."""
    changed = copy.copy(trainer)
    changed.config = replace(
        trainer.config, request="target", target_epsilon=epsilon, target_delta=DELTA,
        method="omp-whole",
    )  # fmt: skip
    seed = derived_seed(trainer.config.seed, "target", str(epsilon))
    with tempfile.TemporaryDirectory() as folder:
        publisher = Publisher(changed, Path(folder), lambda purpose: simulated(seed))
        output = publisher.publish_target()
    assert output is not None
    return output


def chosen(trainer: Trainer, held: Examples, method: str, output: NoisedTarget | None) -> Examples:
    """The owner's fifty picks, by the hard set or by a target in its place."""
    asked = request_of(trainer, "raw", k=PICKS, method=method)
    if output is not None:
        asked = replace(asked, target=output, hard=asked.hard[:0])
    with tempfile.TemporaryDirectory() as folder:
        vault = vault_of("big", held, Policy(), trainer.config.seed, folder)
        disclosed = vault.answer(asked).disclosed
    assert disclosed is not None
    return disclosed
