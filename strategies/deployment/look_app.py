"""The ServerApp of a look: it asks the owners of a trainer's folder what they show, and writes it down."""

from __future__ import annotations

import sys
from pathlib import Path

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from mycroft_fl.errors import InputError
from mycroft_fl.progress_lines import MARK, show_progress
from mycroft_fl.tasks.description import read_task
from mycroft_fl.tasks.mock import described
from strategies.deployment.app import PATIENCE
from strategies.deployment.trainer_folder import TASK, TrainerFolder
from strategies.rounds.discovery import discover_owners
from strategies.rounds.looking import look_at_owners, looks_as_json
from strategies.rounds.transport import Route, SignedTransport
from strategies.runs.folder import LOOK, RunFolder

PLAN = "look.json"

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Ask once, and write what came to the folder that the run config names."""
    show_progress(sys.stdout, mark=MARK)
    folder = RunFolder(Path(str(context.run_config["run"])))
    plan = folder.read_json(PLAN)
    if plan is None:
        raise InputError(f"{folder.path} is no look of `mycroft-fl trainer look`")
    trainer, timeout = TrainerFolder.load(Path(plan["trainer"])), float(plan["timeout"])
    own, admitted = described(read_task(trainer.path / TASK)), trainer.owners()
    transport = SignedTransport(
        trainer.key,
        {name: each.vault for name, each in admitted.items()},
        {name: each.node for name, each in admitted.items()},
        run="look",
        within=timeout,
    )
    nodes = discover_owners(
        grid, len(admitted), timeout=timeout, patience=PATIENCE, knows=transport.knows
    )
    found = look_at_owners(grid, Route(transport, nodes), own, timeout=timeout)
    for name in admitted:
        found.setdefault(name, "timeout")
    folder.save_json(LOOK, looks_as_json(dict(sorted(found.items())), own))
