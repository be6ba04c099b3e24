"""The ServerApp of a real run: a task's file, the trainer's keys, owners behind a SuperLink.

Its one setting, `run`, is the path of the run's folder on the machine where it runs, which is the
trainer's. run.json in there says the rest; the bundle that owners get holds nothing but that path.
"""

from __future__ import annotations

import logging
import sys
import time
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any

import torch
from flwr.app import Context
from threadpoolctl import threadpool_limits

from mycroft_fl.errors import EngineFailed, InputError
from mycroft_fl.files import locked
from mycroft_fl.metrics.metric import check_metric_of
from mycroft_fl.progress_lines import MARK, show_progress
from mycroft_fl.settings.run_config import RunConfig
from mycroft_fl.tasks.file import TaskFile, load_task
from strategies.deployment.outcome import write_outcome
from strategies.deployment.trainer_folder import TrainerFolder
from strategies.mycroft import MycroftStrategy
from strategies.rounds.compatibility import check_run
from strategies.rounds.transport import SignedTransport
from strategies.runs.folder import RunFolder
from strategies.server_app import TrainerSetup, trainer_app
from strategies.training.trainer import TrainerData

log = logging.getLogger(__name__)

PLAN, LOCK = "run.json", ".lock"
PATIENCE = 20.0
"""Seconds to wait for one more owner to come after the last: who is off must not hold up the rest."""
LAST_ONE_ENDS_WITHIN = 60.0  # seconds, once its SuperLink has died


@dataclass(frozen=True)
class RunPlan:
    """The plan of a run: `settings` are laid over the task's own; see `TrainerSetup.waits`."""

    task: str
    trainer: str
    settings: dict[str, Any]
    waits: bool = False

    @classmethod
    def read(cls, folder: RunFolder) -> RunPlan:
        """Read the plan in a run's folder. `InputError` where there is none."""
        plan_file = folder.read_json(PLAN)
        if plan_file is None:
            raise InputError(f"{folder.path} is no run of `mycroft-fl trainer run`")
        return cls(**plan_file)

    def write(self, folder: RunFolder) -> None:
        """Write the plan to a run's folder."""
        folder.save_json(PLAN, asdict(self))

    def load(self) -> tuple[TaskFile, RunConfig]:
        """Load the task from its file, and the run's settings. `InputError` on what is wrong."""
        task = load_task(Path(self.task))
        # A method that the file leaves open is chosen for the run's own mode.
        changed = task.config.settings() | {"method": task.method} | self.settings
        config = RunConfig.from_settings(changed)
        check_metric_of(config.metric, task.task.classes)
        check_run(task.task.model, config)
        return task, config


def setup_for(context: Context) -> TrainerSetup:
    """Set up the trainer's side of this context's run."""
    show_progress(sys.stdout, mark=MARK)
    folder = RunFolder(Path(str(context.run_config["run"])))
    _hold(folder.path)
    plan = RunPlan.read(folder)
    trainer = TrainerFolder.load(Path(plan.trainer))
    task, config = plan.load()
    # Sums in another order are other sums: with equal counts a resumed run is the same run.
    torch.set_num_threads(config.threads)
    threadpool_limits(config.threads)
    admitted = trainer.owners()
    transport = SignedTransport(
        trainer.key,
        {name: each.vault for name, each in admitted.items()},
        {name: each.node for name, each in admitted.items()},
        run=folder.path.name,
        within=config.timeout,
    )
    data = TrainerData(task.train, task.validation, task.weights)
    return TrainerSetup(
        task.task, data, config, len(admitted), folder, PATIENCE, transport, plan.waits
    )


def finish(context: Context, strategy: MycroftStrategy) -> None:
    """Write what came of the run."""
    folder = RunFolder(Path(str(context.run_config["run"])))
    plan = RunPlan.read(folder)
    admitted = sorted(TrainerFolder.load(Path(plan.trainer)).owners())
    write_outcome(folder, Path(plan.task), plan.load()[0], strategy, admitted)


@cache
def _hold(folder: Path) -> IO[str]:
    """Be the only process that runs in this folder, to the end of this process."""
    deadline = time.monotonic() + LAST_ONE_ENDS_WITHIN
    while True:
        try:
            return locked(folder / LOCK, wait=False)
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                raise EngineFailed(
                    f"another process is still running {folder}; end it, then resume"
                ) from error
            time.sleep(0.5)


app = trainer_app(setup_for, finish)
