"""A run as it was asked for: a scenario's file and the settings over it, checked before any data are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mycroft_fl.errors import Problems
from mycroft_fl.metrics.names import metric_from_folder
from mycroft_fl.settings.run_config import RunConfig
from mycroft_fl.settings.space_names import from_folder
from simulations.population.scenario_file import Scenario, load_scenario
from simulations.setup.overrides import check_keys, is_override, overridden
from strategies.runs.folder import RunFolder


@dataclass(frozen=True)
class Asked:
    """A scenario with `overrides` laid over it, but not yet its owners' number, and a run's settings."""

    scenario: Scenario
    config: RunConfig
    overrides: Mapping[str, Any]

    @classmethod
    def read(cls, asked_for: str, settings: Mapping[str, Any]) -> Asked:
        """Read a scenario and lay settings over it, without a look at its data.

        Loads neither torch nor Flower. Raises `InputError` with a line for each thing that is wrong.

        Args:
            asked_for: a packaged scenario's name, or a file.
            settings: dotted keys and values, see `Simulation.load`.
        """
        problems = Problems()
        with problems.noted():
            check_keys(settings)
        with problems.noted():
            scenario = load_scenario(asked_for)
        problems.check()
        overrides = {key: value for key, value in settings.items() if is_override(key)}
        run = {key: value for key, value in settings.items() if key not in overrides}
        with problems.noted():
            config = _config(scenario, run)
        with problems.noted():
            scenario = overridden(scenario, overrides)
        problems.check()
        return cls(scenario, config, overrides)


def look_first(
    asked_for: str, settings: Mapping[str, Any], folder: Path, *, force: bool, resume: bool
) -> None:
    """Raise `InputError` for what is wrong with a run's scenario, its settings or its folder.

    Takes a fraction of a second: the data are not read, and nothing is written.
    """
    problems = Problems()
    with problems.noted():
        if resume:
            RunFolder.check_reopens(folder)
        else:
            RunFolder.is_taken(folder, force=force)
    with problems.noted():
        Asked.read(asked_for, settings)
    problems.check()


def _config(scenario: Scenario, run: Mapping[str, Any]) -> RunConfig:
    config = RunConfig.from_settings(scenario.run, run)
    return replace(
        config,
        feature_space=from_folder(config.feature_space, scenario.base),
        proxy=from_folder(config.proxy, scenario.base),
        metric=metric_from_folder(config.metric, scenario.base),
    )
