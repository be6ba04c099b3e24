"""A scenario written out as files: what a real trainer and real owners would bring.

trainer/task.toml, train.npz, validation.npz, test.npz
owners/NAME/data.npz, policy.toml
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tomli_w

from mycroft_fl.errors import ScenarioError
from mycroft_fl.examples import Examples
from mycroft_fl.settings.run_config import AUTO
from mycroft_fl.texts import as_texts, is_text
from simulations.population.scenario_file import PARTS
from simulations.setup.simulation import Simulation

TASK = "task.toml"


def export(simulation: Simulation, folder: Path) -> None:
    """Write a scenario's trainer and owners below `folder`. `ScenarioError` where it cannot be.

    Tables are written as the vectors they come to; what only a simulation knows (groups, owners
    that cheat, marks of columns) stays behind.
    """
    scenario, world = simulation.scenario, simulation.world
    cheats = [owner.name for owner in scenario.owners if owner.behaviour is not None]
    if cheats:
        raise ScenarioError(f"{scenario.name}: owner '{cheats[0]}' only pretends; leave it out")
    trainer = folder / "trainer"
    trainer.mkdir(parents=True)
    for part in PARTS:
        _save(trainer / f"{part}.npz", world.trainer(part), world.classes)
    task: dict[str, Any] = {part: f"{part}.npz" for part in PARTS}
    task |= {"model": scenario.model, "labels": list(world.classes)}
    if scenario.weights is not None:
        task["weights"] = str(scenario.weights)
    # A method that nobody chose stays open, for whatever mode the task is run in.
    chosen = {"method": AUTO} | {**scenario.run, **simulation.given}
    task_file = {**task, "run": simulation.config.settings() | {"method": chosen["method"]}}
    (trainer / TASK).write_text(tomli_w.dumps(task_file), encoding="utf-8")
    for owner in scenario.owners:
        place = folder / "owners" / owner.name
        place.mkdir(parents=True)
        _save(place / "data.npz", world.owner(owner.name), world.classes)
        policy = tomli_w.dumps(simulation.policy(owner).as_table())
        (place / "policy.toml").write_text(policy, encoding="utf-8")


def _save(path: Path, examples: Examples, classes: tuple[str, ...]) -> None:
    # Labels by name: a file that lacks a class would else give the others new numbers.
    # Texts as they are read back: as text.
    x = np.array(as_texts(examples.x)) if is_text(examples.x) else examples.x
    np.savez(path, x=x, y=np.array(classes)[examples.y])
