"""The ServerApp of a simulation: the trainer runs, then the simulator evaluates what it saved."""

from __future__ import annotations

import logging
import sys

from flwr.app import Context

from mycroft_fl.progress_lines import MARK, show_progress
from simulations.evaluation.result import evaluate
from simulations.setup.apps import simulation_of
from strategies.mycroft import MycroftStrategy
from strategies.runs.folder import RunFolder
from strategies.server_app import TrainerSetup, trainer_app

log = logging.getLogger(__name__)


def setup_for(context: Context) -> TrainerSetup:
    """Return the trainer's side of this context's simulation."""
    show_progress(sys.stdout, mark=MARK)
    simulation = simulation_of(context)
    if not simulation.folder.is_fresh():
        RunFolder.prepared(simulation.folder.path, force=False)
    log.info("the run's folder is %s", simulation.folder.path)
    simulation.write_policies()
    return simulation.trainer_setup()


def finish(context: Context, strategy: MycroftStrategy) -> None:
    """Evaluate the saved models on the test examples and write the result."""
    evaluate(simulation_of(context), strategy)


app = trainer_app(setup_for, finish)
