"""One simulated run: a scenario, its settings and its folder; the same in every process."""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from clients.answering.log import owner_log
from clients.answering.policy import Policy
from clients.answering.private_records import PrivateRecords
from clients.answering.vault import Vault, VaultStorage
from clients.client_app import Answering
from clients.owner.file import load_owner_file, owner_file_text
from mycroft_fl.data.formats.spec import DatasetSpec
from mycroft_fl.data.task import Task
from mycroft_fl.errors import DataError, ScenarioError
from mycroft_fl.files import private_folder, write_whole
from mycroft_fl.privacy.noise.samplers import Noise, simulated
from mycroft_fl.seeds import derived_seed
from mycroft_fl.settings.declared import SettingValue
from mycroft_fl.settings.run_config import RunConfig
from simulations.population.scenario_file import Owner, Scenario
from simulations.population.world import World
from simulations.population.world_cache import world_of
from simulations.setup.asked import Asked
from simulations.setup.attackers import Misbehaving, StaysOut
from simulations.setup.checks import check_simulation
from simulations.setup.overrides import OF_OWNERS, with_owners
from simulations.setup.trusted import policy_for
from strategies.runs.folder import RunFolder
from strategies.server_app import TrainerSetup
from strategies.training.trainer import TrainerData

log = logging.getLogger(__name__)

NAMED = ("label-noise", "corruption.", "trainer.", OF_OWNERS)
"""Beginnings of overrides that a result names as they were given."""
PATIENCE = 5.0
"""Seconds. Flower's engine has all its nodes at once: a plain `flwr run .` has only two."""


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

        Besides run settings these may be `owners`, `model`, `dataset`, `attack`, `policy.*`,
        `trainer.PART.GROUP`, and, of all owners, `label-noise` and `corruption.*`. Raises `InputError`
        for whatever is wrong.

        Args:
            asked_for: a packaged scenario's name, or a file.
            settings: dotted keys and values.
            folder: where the run writes.
            engine: "flower" or "in-process".
        """
        asked = Asked.read(asked_for, settings)
        scenario = with_owners(asked.scenario, asked.overrides, asked.config.seed)
        simulation = cls(asked_for, settings, engine, scenario, asked.config, RunFolder(folder))
        for owner in scenario.owners:
            simulation.policy(owner)
        return simulation

    def as_run_config(self) -> dict[str, SettingValue]:
        """Return the simulation as Flower's run config, from which `from_run_config` makes it again."""
        return {
            "scenario": self.asked_for,
            "given": json.dumps(dict(self.given)),
            "out": str(self.folder.path),
            "engine": self.engine,
        }

    @classmethod
    def from_run_config(cls, run_config: Mapping[str, Any], default_out: Path) -> Simulation:
        """Return the simulation that a run config describes; one without `out` goes to `default_out`.

        A plain `flwr run` brings every setting, given or not: those at their default are left to
        the scenario.
        """
        rest = dict(run_config)
        asked_for, given = rest.pop("scenario"), json.loads(rest.pop("given", "{}") or "{}")
        out, engine = rest.pop("out", ""), rest.pop("engine", "flower")
        defaults = {key: default for key, default, _ in RunConfig.rows()}
        changed = {k: v for k, v in rest.items() if k not in defaults or v != defaults[k]}
        folder = Path(out) if out else default_out
        return cls.load(asked_for, changed | given, folder, engine=engine)

    def settings(self) -> dict[str, Any]:
        """Return all that a result must name: run settings and what scenarios may override."""
        return {
            **self.config.settings(),
            "model": self.scenario.model,
            "dataset": DatasetSpec.of(self.scenario.dataset).as_shown(),
            "owners": len(self.scenario.owners),
            **{f"policy.{key}": value for key, value in self.scenario.policy.items()},
            **{key: value for key, value in self.given.items() if key.startswith(NAMED)},
            **({"attack": self.attack} if "attack" in self.given else {}),
        }

    @property
    def attack(self) -> str:
        """The attack on the model that the run ends with, once it has ended."""
        return str(self.given.get("attack", "none"))

    def check(self) -> None:
        """Raise now what would else only come to light once the run has started.

        A scenario that asks for more than there is, an unknown method or model, no such device.
        """
        check_simulation(self.scenario, self.config, self.attack, lambda: self.world)

    @functools.cached_property
    def world(self) -> World:
        """Who holds what."""
        return world_of(self.scenario, self.config.seed)

    @property
    def task(self) -> Task:
        """The task that trainer and owners agree on."""
        return self.world.task

    def trainer_setup(self) -> TrainerSetup:
        """Return the trainer's side. The test examples stay in the world, where no decision can see them."""
        data = TrainerData(
            self.world.trainer("train"), self.world.trainer("validation"), self.scenario.weights
        )
        owners, task = len(self.scenario.owners), self.task
        config = replace(
            self.config,
            feature_space=task.named(self.config.feature_space),
            proxy=task.named(self.config.proxy),
        )
        return TrainerSetup(
            task, data, config, owners, self.folder, patience=PATIENCE,
            noise_for=self._noise_of("the trainer"),
        )  # fmt: skip

    def owner_name(self, partition: int) -> str:
        """Return the name of the owner with this partition-id."""
        return self.scenario.owners[partition].name

    def vault(self, partition: int) -> Answering:
        """Open the vault of the owner with this partition-id, well-behaved or not."""
        owner = self.scenario.owners[partition]
        folder = self.folder.owner(owner.name)
        file = folder / "owner.toml"
        # In a plain `flwr run` an owner may be asked in a process that did not write the files.
        policy = load_owner_file(file).policy if file.is_file() else self.policy(owner)
        try:
            records = PrivateRecords.of(self.world.records(owner.name))
        except DataError as error:
            # In a simulation both sides are one person, who may see what an owner alone would.
            log.warning("owner %s stays out: %s", owner.name, error)
            return StaysOut(owner_log(owner.name, folder / "owner.log"), str(error))
        storage = VaultStorage(folder, noise_for=self._noise_of(owner.name))
        device, task = self.config.device, self.task
        vault = Vault(owner.name, records, policy, storage, device, task)
        if owner.behaviour is None:
            return vault
        return Misbehaving(vault, owner.behaviour, self.config.timeout, self.world.num_classes)

    def policy(self, owner: Owner) -> Policy:
        """Return what a simulated owner allows: the scenario's policy, with what the run needs filled in."""
        scenario = self.scenario
        policy = policy_for(
            scenario.policy, self.config, scenario.model, lambda: self._records_of(owner)
        )
        if policy.approval:
            raise ScenarioError(
                "policy.approval asks for a person's consent, and a simulation has nobody to ask; "
                "leave it out"
            )
        return policy

    def write_policies(self) -> None:
        """Write each simulated owner's file, before anybody is asked."""
        for owner in self.scenario.owners:
            folder = private_folder(self.folder.owner(owner.name))
            write_whole(folder / "owner.toml", owner_file_text(owner.name, self.policy(owner)))

    def _records_of(self, owner: Owner) -> int:
        """Count the records that a draw from this owner may take."""
        if owner.is_counted:
            return sum(owner.holds.values())
        try:
            return len(PrivateRecords.of(self.world.records(owner.name)).drawable())
        except DataError:
            return 0

    def _noise_of(self, owner: str) -> Callable[[str], Noise]:
        """Return noise that can be repeated: the same seed gives the same result, and hides nothing."""
        return lambda digest: simulated(
            derived_seed(self.config.seed, "owner-noise", owner, digest)
        )
