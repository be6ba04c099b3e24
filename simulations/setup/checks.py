"""The checks of a simulation before it runs: whatever would else come to light only later."""

from __future__ import annotations

from collections.abc import Callable

from mycroft_fl.device import torch_device
from mycroft_fl.encoders.embeddings import embeddings_of
from mycroft_fl.errors import Problems
from mycroft_fl.inspection.told import all_told
from mycroft_fl.metrics.metric import check_metric_of
from mycroft_fl.represent.spaces import check_input
from mycroft_fl.selection.methods import method_named
from mycroft_fl.settings.run_config import RunConfig
from mycroft_fl.settings.space_names import is_encoder
from simulations.population.scenario_file import PARTS, Scenario
from simulations.population.world import World
from simulations.setup.overrides import check_attack
from strategies.rounds.compatibility import check_run
from strategies.training.built import built


def check_simulation(
    scenario: Scenario, config: RunConfig, attack: str, world: Callable[[], World]
) -> None:
    """Raise `InputError` for what is wrong with settings, method, data or model, a line for each problem.

    Args:
        scenario: that is to run.
        config: its settings.
        attack: with which it ends.
        world: draws who holds what, once.
    """
    problems = Problems()
    with problems.noted():
        torch_device(config.device)
    with problems.noted():
        method_named(config.method)
    with problems.noted():
        _check_data(scenario, world)
    problems.check()
    _check_model(config, attack, world())


def _check_data(scenario: Scenario, world: Callable[[], World]) -> None:
    """Raise all that is amiss with the tables of the groups, where the trainer's rows cannot be used."""
    specs = [scenario.dataset, *(each.dataset for each in scenario.groups if each.dataset)]
    with all_told(specs, scenario.base):
        drawn = world()
        # Rows that an owner draws may not fit the task: then it stays out, and the run goes on.
        for part in PARTS if drawn.task.table is not None else ():
            drawn.trainer(part)


def _check_model(config: RunConfig, attack: str, world: World) -> None:
    task, problems = world.task, Problems()
    built(task, seed=0)
    with problems.noted():
        check_metric_of(config.metric, task.classes)
    with problems.noted():
        check_run(task.model, config)
    with problems.noted():
        check_attack(attack, config.mode, task.model)
    problems.check()
    space = task.named(config.feature_space)
    if is_encoder(space):
        embeddings_of(space).of(world.trainer("train").x[:1])
    else:
        check_input(space, task.shape)
