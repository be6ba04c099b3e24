"""One simulated run: a scenario, its settings and its folder; the same in every process."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from clients.client_app import Answering
from clients.policy import Policy
from clients.vault import Vault
from mycroft_fl.config import RunConfig, SettingValue
from mycroft_fl.errors import SettingError
from mycroft_fl.models.networks import build
from mycroft_fl.selection import METHODS, method_named
from mycroft_fl.task import Task
from simulations.attackers import Misbehaving
from simulations.scenario import Scenario, load_scenario
from simulations.world import World
from strategies.run_folder import RunFolder
from strategies.server_app import TrainerSetup
from strategies.trainer import TrainerData

PATIENCE = 5.0
"""Seconds. Flower's engine has all its nodes at once: a plain `flwr run .` has only two."""

OVERRIDES = {"owners": int, "model": str, "dataset": str}


@dataclass(frozen=True)
class Simulation:
    """A scenario as it is to be run.

    `asked_for` is what named it, a name or a path; `given` are the settings laid over it.
    """

    asked_for: str
    given: Mapping[str, Any]
    engine: str
    scenario: Scenario
    config: RunConfig
    folder: RunFolder

    @classmethod
    def load(
        cls, asked_for: str, settings: Mapping[str, Any], folder: Path, *, engine: str = "flower"
    ) -> Simulation:
        """Read a scenario and lay `settings` over it.

        Besides run settings these may be `owners`, `model`, `dataset` and `policy.*`. Raises
        `InputError` for whatever is wrong with either.
        """
        overrides = {k: v for k, v in settings.items() if k in OVERRIDES or k.startswith("policy.")}
        run = {k: v for k, v in settings.items() if k not in overrides}
        scenario = _overridden(load_scenario(asked_for), overrides)
        config = RunConfig.from_settings(scenario.run, run)
        Policy.from_table(scenario.policy)
        return cls(asked_for, settings, engine, scenario, config, RunFolder(folder))

    def as_run_config(self) -> dict[str, SettingValue]:
        """The simulation as Flower's run config, from which `from_run_config` makes it again."""
        return {
            "scenario": self.asked_for,
            "given": json.dumps(dict(self.given)),
            "out": str(self.folder.path),
            "engine": self.engine,
        }

    @classmethod
    def from_run_config(cls, run_config: Mapping[str, Any], default_out: Path) -> Simulation:
        """The simulation that a run config describes; one without `out` goes to `default_out`.

        A plain `flwr run` brings every setting, given or not: those at their default are left to
        the scenario.
        """
        rest = dict(run_config)
        asked_for, given = rest.pop("scenario"), json.loads(rest.pop("given", "{}") or "{}")
        out, engine = rest.pop("out", ""), rest.pop("engine", "flower")
        defaults = RunConfig().settings()
        changed = {k: v for k, v in rest.items() if k not in defaults or v != defaults[k]}
        folder = Path(out) if out else default_out
        return cls.load(asked_for, changed | given, folder, engine=engine)

    def settings(self) -> dict[str, Any]:
        """All that a result must name to be understood: run settings and what scenarios may override."""
        return {
            **self.config.settings(),
            "model": self.scenario.model,
            "dataset": self.scenario.dataset,
            "owners": len(self.scenario.owners),
            **{f"policy.{key}": value for key, value in self.scenario.policy.items()},
        }

    def check(self) -> None:
        """Raise now what would else only come to light once the run has started.

        A scenario that asks for more than there is, an unknown method or model.
        """
        method_named(self.config.method)
        task = self.task
        build(task.model, task.shape, task.num_classes, seed=0)

    @functools.cached_property
    def world(self) -> World:
        """Who holds what."""
        return World(self.scenario, self.config.seed)

    @property
    def task(self) -> Task:
        """What trainer and owners agree on."""
        train = self.world.trainer("train")
        return Task(self.world.classes, train.x.shape[1:], train.x.dtype, self.scenario.model)

    def trainer_setup(self) -> TrainerSetup:
        """The trainer's side. The test examples stay in the world, where no decision can see them."""
        data = TrainerData(
            self.world.trainer("train"), self.world.trainer("validation"), self.scenario.weights
        )
        owners = len(self.scenario.owners)
        return TrainerSetup(self.task, data, self.config, owners, self.folder, patience=PATIENCE)

    def owner_name(self, partition: int) -> str:
        """The name of the owner with this partition-id."""
        return self.scenario.owners[partition].name

    def vault(self, partition: int) -> Answering:
        """The vault of the owner with this partition-id, well-behaved or not."""
        owner = self.scenario.owners[partition]
        policy = Policy.from_table(self.scenario.policy)
        policy = replace(policy, own_methods=policy.own_methods + self._own_methods())
        vault = Vault(
            owner.name,
            self.world.owner(owner.name),
            policy,
            self.folder.owner(owner.name),
            self.config.device,
        )
        if owner.behaviour is None:
            return vault
        return Misbehaving(vault, owner.behaviour, self.config.timeout, self.world.num_classes)

    def _own_methods(self) -> tuple[str, ...]:
        """In a simulation owner and trainer are one person: the owner trusts the run's own method."""
        return () if self.config.method in METHODS else (self.config.method,)


def _overridden(scenario: Scenario, overrides: Mapping[str, Any]) -> Scenario:
    for key, kind in OVERRIDES.items():
        if key in overrides and type(overrides[key]) is not kind:
            raise SettingError(f"{key} is {overrides[key]!r}; give a value of type {kind.__name__}")
    if "owners" in overrides:
        scenario = scenario.with_owners(overrides["owners"])
    policy = {k.removeprefix("policy."): v for k, v in overrides.items() if k.startswith("policy.")}
    return replace(
        scenario,
        model=overrides.get("model", scenario.model),
        dataset=overrides.get("dataset", scenario.dataset),
        policy={**scenario.policy, **policy},
    )
