"""The checks of a simulation before it runs: whatever would else come to light only later."""

from __future__ import annotations

from typing import Protocol

from mycroft_fl.data.task import Task
from mycroft_fl.device import torch_device
from mycroft_fl.encoders.embeddings import embeddings_of
from mycroft_fl.errors import Problems
from mycroft_fl.inspection.told import all_told
from mycroft_fl.metrics.metric import check_metric_of
from mycroft_fl.models.catalogue import build_model
from mycroft_fl.represent.spaces import check_input
from mycroft_fl.selection.methods import method_named
from mycroft_fl.settings.run_config import RunConfig
from mycroft_fl.settings.space_names import is_encoder
from simulations.population.scenario_file import PARTS, Scenario
from simulations.population.world import World
from simulations.setup.overrides import check_attack
from strategies.rounds.compatibility import check_run


class Checked(Protocol):
    """What the checks must know of a simulation."""

    @property
    def config(self) -> RunConfig:
        """The run's settings."""
        ...

    @property
    def scenario(self) -> Scenario:
        """Who is to hold what."""
        ...

    @property
    def world(self) -> World:
        """Who holds what."""
        ...

    @property
    def task(self) -> Task:
        """What trainer and owners agree on."""
        ...

    @property
    def attack(self) -> str:
        """The attack that the run ends with."""
        ...


def check_simulation(simulation: Checked) -> None:
    """Raise `InputError` for what is wrong with settings, method, data or model, a line for each problem.

    Args:
        simulation: that is to run.
    """
    problems = Problems()
    with problems.noted():
        torch_device(simulation.config.device)
    with problems.noted():
        method_named(simulation.config.method)
    with problems.noted():
        _check_data(simulation)
    problems.check()
    _check_model(simulation)


def _check_data(simulation: Checked) -> None:
    """Raise all that is amiss with the tables of the groups, where the trainer's rows cannot be used."""
    scenario = simulation.scenario
    specs = [scenario.dataset, *(each.dataset for each in scenario.groups if each.dataset)]
    with all_told(specs, scenario.base):
        # Rows that an owner draws may not fit the task: then it stays out, and the run goes on.
        for part in PARTS if simulation.task.table is not None else ():
            simulation.world.trainer(part)


def _check_model(simulation: Checked) -> None:
    task, config, problems = simulation.task, simulation.config, Problems()
    build_model(task.model, task.shape, task.num_classes, seed=0)
    with problems.noted():
        check_metric_of(config.metric, task.classes)
    with problems.noted():
        check_run(task.model, config)
    with problems.noted():
        check_attack(simulation.attack, config.mode, task.model)
    problems.check()
    if is_encoder(config.feature_space):
        embeddings_of(config.feature_space).of(simulation.world.trainer("train").x[:1])
    else:
        check_input(config.feature_space, task.shape)
