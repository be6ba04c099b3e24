"""A trainer's task over owners' files on one machine: the vaults and policies of a real run, no network."""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from clients.answering.policy import Policy
from clients.answering.private_records import PrivateRecords
from clients.answering.vault import Vault, VaultStorage
from clients.client_app import Answering
from clients.owner.file import OwnerFile, load_owner_file, owner_file_text
from mycroft_fl.data.fitted import task_records
from mycroft_fl.data.formats.spec import DatasetSpec, read_spec
from mycroft_fl.data.tables.files import is_table, read_raw
from mycroft_fl.errors import DataError, InputError, Problems
from mycroft_fl.files import private_folder, write_whole
from mycroft_fl.inspection.misfits import all_misfits_told
from mycroft_fl.inspection.told import all_told
from mycroft_fl.metrics.metric import check_metric_of
from mycroft_fl.privacy.noise.samplers import Noise, simulated
from mycroft_fl.seeds import derived_seed
from mycroft_fl.settings.run_config import RunConfig
from mycroft_fl.settings.toml_table import TomlTable
from mycroft_fl.tasks.file import TaskFile, load_task
from simulations.rehearsal.asked import OWNER_FILE, POLICY, config_of
from simulations.rehearsal.overlaps import (
    say_shared,
    say_trainers,
    trainers_ids,
    without_trainers,
)
from simulations.rehearsal.peers import AskedBy
from simulations.setup.trusted import policy_for
from strategies.rounds.compatibility import check_run
from strategies.runs.folder import RunFolder
from strategies.server_app import TrainerSetup
from strategies.training.trainer import TrainerData

log = logging.getLogger(__name__)
PATIENCE = 5.0  # seconds; all owners are there from the start


@dataclass(frozen=True)
class Rehearsal:
    """A task to be rehearsed.

    An owner is a data file, read as the task reads its own, or a folder with an owner.toml, of which
    data and policy are the owner's own. Ledgers lie in the run's folder: a rehearsal spends nothing.
    """

    task_path: Path
    owners: Mapping[str, Path]
    given: Mapping[str, Any]
    engine: str
    folder: RunFolder

    @functools.cached_property
    def task(self) -> TaskFile:
        """The task, read from its file with its data."""
        return load_task(self.task_path)

    @functools.cached_property
    def config(self) -> RunConfig:
        """The task's settings, with those that were set laid over."""
        told = config_of(self.task_path, self.given)
        return replace(
            told,
            metric=self._as_task("metric"),
            feature_space=self.task.task.named(self._as_task("feature-space")),
            proxy=self.task.task.named(self._as_task("proxy")),
        )

    @property
    def names(self) -> list[str]:
        """The owners' names, in the order of their partitions."""
        return list(self.owners)

    def check(self) -> None:
        """Raise `InputError` for whatever a real run would refuse: of the task, or of any owner's data."""
        task, problems = self.task.task, Problems()
        with problems.noted():
            check_metric_of(self.config.metric, task.classes)
        with problems.noted():
            check_run(task.model, self.config)
        heard = dict[str, np.ndarray]()
        for name in self.owners:
            with problems.noted():
                self._vault_parts(name, heard)
        problems.check()
        say_shared(heard)

    def as_run_config(self) -> dict[str, bool | int | float | str]:
        """Return the rehearsal as Flower's run config, from which `from_run_config` makes it again."""
        return {
            "task": str(self.task_path),
            "owners": json.dumps({name: str(path) for name, path in self.owners.items()}),
            "given": json.dumps(dict(self.given)),
            "engine": self.engine,
            "out": str(self.folder.path),
        }

    @classmethod
    def from_run_config(cls, run_config: Mapping[str, Any]) -> Rehearsal:
        """Return the rehearsal that a run config describes."""
        owners = {name: Path(path) for name, path in json.loads(run_config["owners"]).items()}
        return cls(
            Path(run_config["task"]), owners, json.loads(run_config["given"]), run_config["engine"],
            RunFolder(Path(run_config["out"])),
        )  # fmt: skip

    def trainer_setup(self) -> TrainerSetup:
        """Return the trainer's side; the test examples are no part of it."""
        task = self.task
        data = TrainerData(task.train, task.validation, task.weights)
        return TrainerSetup(
            task.task, data, self.config, len(self.owners), self.folder, PATIENCE,
            noise_for=self._noise_of("the trainer"),
        )  # fmt: skip

    def vault(self, partition: int) -> Answering:
        """Open an owner's vault, with a ledger of the rehearsal's own."""
        name = self.names[partition]
        records, policy = self._vault_parts(name)
        storage = VaultStorage(self.folder.owner(name), noise_for=self._noise_of(name))
        vault = Vault(name, records, policy, storage, "cpu", self.task.task)
        return AskedBy(vault, policy.trainers[0].peer) if policy.trainers else vault

    def write_policies(self) -> None:
        """Write what each owner allows, before anybody is asked; an owner's own file stays where it is."""
        for name in self.owners:
            folder, own = private_folder(self.folder.owner(name)), self._own_file(name)
            policy = self._vault_parts(name)[1] if own is None else replace(own.policy, trainers=())
            write_whole(folder / OWNER_FILE, owner_file_text(name, policy))

    def _as_task(self, key: str) -> str:
        """Return a setting that may name a file: as it was set, else as the task's own folder has it."""
        return str(self.given.get(key, getattr(self.task.config, key.replace("-", "_"))))

    @functools.cached_property
    def _trainers(self) -> dict[str, np.ndarray]:
        return trainers_ids(self.task)

    def _vault_parts(
        self, name: str, heard: dict[str, np.ndarray] | None = None
    ) -> tuple[PrivateRecords, Policy]:
        """Return an owner's records, without the trainer's, and policy. `InputError` names the owner.

        What the trainer holds is said, and the ids of all rows are kept, in `heard`.
        """
        own, task = self._own_file(name), self.task.task
        if own is not None and own.data is None:
            raise InputError(f"owner {name}: {self.owners[name]} names no data; add dataset = ...")
        try:
            spec, base = (own.data, own.folder) if own and own.data else self._like_the_task(name)
            # An owner's file has keys that mend what does not fit; a plain file is read by the task's.
            kinds = task.table.kinds if task.table else None
            told = (
                all_told([spec], base, kinds) if own is None else all_misfits_told(spec, base, task)
            )
            with told:
                held = task_records(spec, base, task)
        except DataError as error:
            lines = (f"owner {name}: {line}" for line in str(error).split("\n"))
            raise DataError("\n".join(lines)) from error
        if heard is not None:
            say_trainers(name, held, self._trainers)
            heard[name] = held.examples.ids
        records = PrivateRecords.of(without_trainers(name, held, self._trainers))
        policy = self._policy(records) if own is None else own.policy
        records.check(policy)
        return records, policy

    def _own_file(self, name: str) -> OwnerFile | None:
        path = self.owners[name]
        file = path / OWNER_FILE if path.is_dir() else path
        if file.name != OWNER_FILE or not file.is_file():
            return None
        found = load_owner_file(file)
        if found.policy.approval:
            log.warning("owner %s: a person would be asked; here that is taken as given", name)
        return found

    def _like_the_task(self, name: str) -> tuple[DatasetSpec, Path]:
        """Return how an owner's data file is read: as the trainer's, without columns that it lacks."""
        path = self.owners[name]
        spec = read_spec(TomlTable.read(self.task_path, DataError), "train")
        spec = replace(spec, path=str(path), test_path="")
        if not is_table(path):
            return spec, path.parent
        there = {column.strip() for column, _ in read_raw(path, spec)}
        return replace(
            spec,
            drop=tuple(each for each in spec.drop if each in there),
            columns=tuple(each for each in spec.columns if each[0] in there),
            missing_values=tuple(each for each in spec.missing_values if each[0] in there),
            log=tuple(each for each in spec.log if each in there),
            unit_id=spec.unit_id if spec.unit_id in there else "",
            shareable=spec.shareable if spec.shareable in there else "",
        ), path.parent  # fmt: skip

    def _policy(self, records: PrivateRecords) -> Policy:
        """Return what an owner without a file of its own allows: what the run needs, and `policy.*`."""
        given = {k.removeprefix(POLICY): v for k, v in self.given.items() if k.startswith(POLICY)}
        model = self.task.task.model
        policy = policy_for(given, self.config, model, lambda: len(records.drawable()))
        return replace(policy, approval=False)

    def _noise_of(self, owner: str) -> Callable[[str], Noise]:
        """Return noise that can be repeated: the same seed gives the same result, and hides nothing."""
        seed = self.config.seed
        return lambda digest: simulated(derived_seed(seed, "owner-noise", owner, digest))
