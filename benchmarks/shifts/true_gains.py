"""The true gain of each owner: what a model gains that trains on all that this owner holds.

No trainer can know it before it has bought everything. It is what a ranking should come close to.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from benchmarks.acquisition.__main__ import digest
from benchmarks.shifts.runs import Given, store_of
from benchmarks.shifts.worlds import WORLDS
from benchmarks.tables import keep, stored
from mycroft_fl.examples import Examples
from mycroft_fl.models.fitting import AnyModel
from simulations.setup.simulation import Simulation
from strategies.runs.held_out import HeldOut
from strategies.training.trainer import Trainer

REPEATS = 3
Gains = dict[str, float]


def true_gains_of(world: str, given: Given, seeds: Sequence[int], folder: Path) -> dict[int, Gains]:
    """Every owner's true gain on the failures, by seed; what is not kept yet is computed and kept."""
    store = store_of(world, folder).with_suffix(".true.jsonl")
    known, found = stored(store), {}
    for seed in seeds:
        settings = {**WORLDS[world].settings, **dict(given), "seed": seed}
        key = json.dumps([sorted(settings.items()), digest([Path(__file__)])])
        if key not in known:
            known[key] = _gains(world, settings)
            keep(store, key, known[key])
            print(f"{world}, true gains, seed {seed}", flush=True)
        found[seed] = known[key]
    return found


def _gains(world: str, settings: dict) -> Gains:
    """Fine-tune on all that the trainer knows and all that one owner holds, owner by owner."""
    with tempfile.TemporaryDirectory() as folder:
        simulation = Simulation.load(
            WORLDS[world].scenario, settings, Path(folder), engine="in-process"
        )
        torch.set_num_threads(simulation.config.threads)
        setup = simulation.trainer_setup()
        trainer = Trainer(setup.task, setup.data, setup.config)
        people = simulation.world
        test = HeldOut.of(
            people.trainer("test"), trainer.baseline, people.trainer_groups("test"), trainer.metric
        )
        free = _reached(trainer, test, None)
        owners = [owner.name for owner in simulation.scenario.owners]
        return {name: _reached(trainer, test, people.owner(name)) - free for name in owners}


def _reached(trainer: Trainer, test: HeldOut, acquired: Examples | None) -> float:
    """Accuracy on the failures, the mean over fine-tunes with other batches."""
    everything = trainer.everything

    def tuned(repeat: int) -> AnyModel:
        return everything.tuned(everything.proportional(acquired), acquired, repeat)

    return float(np.mean([test.accuracies(tuned(repeat)).hard for repeat in range(REPEATS)]))
