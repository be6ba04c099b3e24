"""One rehearsal, on Flower's simulation engine or in this process."""

from __future__ import annotations

import logging
from typing import Any

from mycroft_fl import errors
from mycroft_fl.errors import EngineFailed, MycroftError
from mycroft_fl.progress_lines import MARK
from mycroft_fl.report.run.files import OUTCOME
from simulations.rehearsal.rehearsal import Rehearsal

log = logging.getLogger(__name__)
APPS = ("simulations.rehearsal.server_app", "simulations.rehearsal.client_app")


def rehearse(rehearsal: Rehearsal) -> dict[str, Any]:
    """Run a rehearsal and return its outcome, which its folder then holds too. Raises `RunFailed`.

    Args:
        rehearsal: that is to run; it was checked, and its folder is prepared.
    """
    {"flower": _on_flower, "in-process": _in_process}[rehearsal.engine](rehearsal)
    outcome: dict[str, Any] | None = rehearsal.folder.read_json(OUTCOME)
    if outcome is None:
        raise EngineFailed(f"the run ended without an outcome; see {rehearsal.folder.path}")
    return outcome


def _in_process(rehearsal: Rehearsal) -> None:
    from flwr.app import Context, RecordDict

    from simulations.engines.in_process import LocalGrid
    from simulations.rehearsal import client_app, server_app

    run_config = rehearsal.as_run_config()
    grid = LocalGrid(client_app.app, owners=len(rehearsal.owners), run_config=run_config)
    server_app.app(grid, Context(1, 0, {}, RecordDict(), run_config))


def _on_flower(rehearsal: Rehearsal) -> None:
    from simulations.engines.flower import run_on_flower

    try:
        run_on_flower(
            rehearsal.as_run_config(), owners=len(rehearsal.owners), on_line=_on_line,
            threads=rehearsal.config.threads, log_to=rehearsal.folder.path, apps=APPS,
        )  # fmt: skip
    except EngineFailed as failure:
        found = rehearsal.folder.read_json("error.json")
        kind = getattr(errors, found["kind"], None) if found else None
        original: MycroftError = kind(found["message"]) if kind else failure
        raise original from failure


def _on_line(line: str) -> None:
    if MARK in line:
        log.info("%s", line.split(MARK, 1)[1])
