"""The simulation that a Flower context belongs to, shared by both apps."""

from __future__ import annotations

import functools
import json
import os
from pathlib import Path

import torch
from flwr.app import Context

from simulations.setup.simulation import Simulation


def simulation_of(context: Context) -> Simulation:
    """Return the simulation of this run, read once in each process, with its threads pinned."""
    home = Path(os.environ.get("FLWR_HOME", Path.home() / ".flwr"))
    default_out = home / "mycroft-runs" / str(context.run_id)
    simulation = _simulation(json.dumps(dict(context.run_config), sort_keys=True), default_out)
    # Sums in another order are other sums: equal thread counts give equal results. At every call,
    # since another simulation may have run in this process in between.
    torch.set_num_threads(simulation.config.threads)
    return simulation


@functools.lru_cache(maxsize=4)
def _simulation(run_config: str, default_out: Path) -> Simulation:
    return Simulation.from_run_config(json.loads(run_config), default_out)
