"""The ServerApp of a rehearsal: the trainer runs its task, then writes what a real run would."""

from __future__ import annotations

import functools
import json
import logging
import sys

import torch
from flwr.app import Context

from mycroft_fl.progress_lines import MARK, show_progress
from simulations.rehearsal.rehearsal import Rehearsal
from strategies.deployment.outcome import write_outcome
from strategies.mycroft import MycroftStrategy
from strategies.server_app import TrainerSetup, trainer_app

log = logging.getLogger(__name__)


def rehearsal_of(context: Context) -> Rehearsal:
    """Return the rehearsal of this run, read once in each process, with its threads pinned."""
    rehearsal = _rehearsal(json.dumps(dict(context.run_config), sort_keys=True))
    torch.set_num_threads(rehearsal.config.threads)
    return rehearsal


@functools.lru_cache(maxsize=2)
def _rehearsal(run_config: str) -> Rehearsal:
    return Rehearsal.from_run_config(json.loads(run_config))


def setup_for(context: Context) -> TrainerSetup:
    """Return the trainer's side of this context's rehearsal."""
    show_progress(sys.stdout, mark=MARK)
    rehearsal = rehearsal_of(context)
    log.info("the run's folder is %s", rehearsal.folder.path)
    rehearsal.write_policies()
    return rehearsal.trainer_setup()


def finish(context: Context, strategy: MycroftStrategy) -> None:
    """Write outcome.json and summary.md, as a real run does."""
    rehearsal = rehearsal_of(context)
    write_outcome(
        rehearsal.folder, rehearsal.task_path, rehearsal.task, strategy, rehearsal.names,
        engine="rehearsal",
    )  # fmt: skip


app = trainer_app(setup_for, finish)
