"""One run, on Flower's simulation engine or in this process."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from mycroft_fl import errors
from mycroft_fl.device import gpu_count
from mycroft_fl.errors import EngineFailed, MycroftError
from mycroft_fl.progress_lines import MARK
from simulations.setup.simulation import Simulation

log = logging.getLogger(__name__)


def run(simulation: Simulation) -> dict[str, Any]:
    """Run `simulation` and return its result, which its folder then holds too.

    The folder must be prepared. Raises `RunFailed` or `InputError`, the same in both engines.
    """
    simulation.check()
    {"flower": _on_flower, "in-process": _in_process}[simulation.engine](simulation)
    result: dict[str, Any] | None = simulation.folder.read_json("result.json")
    if result is None:
        raise EngineFailed(f"the run ended without a result; see {simulation.folder.path}")
    return result


def _in_process(simulation: Simulation) -> None:
    from flwr.app import Context, RecordDict

    from simulations import client_app, server_app
    from simulations.engines.in_process import LocalGrid

    run_config = simulation.as_run_config()
    grid = LocalGrid(client_app.app, owners=len(simulation.scenario.owners), run_config=run_config)
    server_app.app(grid, Context(1, 0, {}, RecordDict(), run_config))


def _on_flower(simulation: Simulation) -> None:
    from simulations.engines.flower import run_on_flower

    try:
        run_on_flower(
            simulation.as_run_config(),
            owners=len(simulation.scenario.owners),
            on_line=_passed_on(log.info),
            threads=simulation.config.threads,
            gpus=gpu_count(simulation.config.device),
            log_to=simulation.folder.path,
        )
    except EngineFailed as failure:
        raise _original(simulation, failure) from failure


def _passed_on(show: Callable[[str], None]) -> Callable[[str], None]:
    """Show the project's own lines of Flower's stream; all of it is in the log file."""

    def on_line(line: str) -> None:
        if MARK in line:
            show(line.split(MARK, 1)[1])

    return on_line


def _original(simulation: Simulation, failure: EngineFailed) -> MycroftError:
    """Return the error as the ServerApp raised it, which Flower only shows as text; else the engine's."""
    error = simulation.folder.read_json("error.json")
    kind = getattr(errors, error["kind"], None) if error else None
    return kind(error["message"]) if kind else failure
