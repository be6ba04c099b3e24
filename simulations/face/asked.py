"""A ranking of owners in this process: checked whole, then run in its folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clients.answering.policy import Policy
from clients.answering.vault import Vault, VaultStorage
from clients.client_app import owner_app
from mycroft_fl.device import torch_device
from mycroft_fl.errors import InputError, SettingError
from mycroft_fl.metrics.metric import check_metric_of
from mycroft_fl.models.networks import is_network
from mycroft_fl.report.run.result import LIBRARY
from mycroft_fl.settings.run_config import RunConfig
from mycroft_fl.tasks.file import TaskFile
from simulations.engines.in_process import LocalGrid
from simulations.face.given_task import GivenTask
from simulations.setup.trusted import policy_for
from strategies.deployment.outcome import write_outcome
from strategies.rounds.compatibility import check_run
from strategies.runs.folder import RunFolder
from strategies.server_app import TrainerSetup, run_trainer
from strategies.training.built import built
from strategies.training.trainer import TrainerData

PATIENCE = 0.0


@dataclass(frozen=True)
class Asked:
    """A ranking as it is to be run."""

    given: GivenTask
    config: RunConfig
    policy: Policy | Mapping[str, Any] | None
    weights: str | Path | None
    stands: bool

    def check(self) -> None:
        """Raise `InputError` for whatever would only come to light once the run has started."""
        task, config = self.given.task, self.config
        torch_device(config.device)
        built(task, seed=0)
        check_metric_of(config.metric, task.classes)
        check_run(task.model, config)
        if self.weights is not None and not Path(self.weights).is_file():
            raise InputError(f"no weights at {self.weights}; name a file")
        if self.stands and config.fine_tune_from == "scratch" and is_network(task.model):
            raise SettingError(
                'fine-tune.from = "scratch" needs a model that can be made anew; give its class or factory'
            )
        for name in self.given.owners:
            self.policy_of(name)

    def run(self, folder: RunFolder) -> Any:
        """Run it in its folder and write what it came to. Returns the final model."""
        import torch

        torch.set_num_threads(self.config.threads)
        given = self.given
        names = list(given.owners)
        vaults = {name: self._vault(name, folder) for name in names}
        app = owner_app(
            lambda context: vaults[names[int(context.node_config["partition-id"])]],
            lambda context: names[int(context.node_config["partition-id"])],
        )
        weights = None if self.weights is None else Path(self.weights)
        data = TrainerData(given.train, given.validation, weights, self.stands)
        setup = TrainerSetup(given.task, data, self.config, len(names), folder, PATIENCE)
        strategy = run_trainer(LocalGrid(app, owners=len(names), run_config={}), setup)
        file = TaskFile(
            given.task, given.train, given.validation, given.test, data.weights, self.config
        )
        write_outcome(folder, Path("ranking"), file, strategy, names, engine=LIBRARY)
        return strategy.final.model

    def policy_of(self, name: str) -> Policy:
        """Return what an owner allows: as given, else what the run asks and no more."""
        if isinstance(self.policy, Policy):
            return self.policy
        records = self.given.owners[name]
        return policy_for(
            self.policy or {}, self.config, self.given.task.model, lambda: len(records.drawable())
        )

    def _vault(self, name: str, folder: RunFolder) -> Vault:
        storage, task = VaultStorage(folder.owner(name)), self.given.task
        records, policy = self.given.owners[name], self.policy_of(name)
        return Vault(name, records, policy, storage, self.config.device, task)
