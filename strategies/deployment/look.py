"""A trainer's look at what its owners show of their data, before it asks them for anything."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mycroft_fl.errors import InputError
from mycroft_fl.files import private_folder
from mycroft_fl.tasks.description import read_task
from strategies.deployment.flower_commands import write_app
from strategies.deployment.look_app import PLAN
from strategies.deployment.superlink import failure_of, private_environment, streamed
from strategies.deployment.trainer_folder import TASK, TrainerFolder
from strategies.runs.folder import LOOK, RunFolder

APPS = ("strategies.deployment.look_app", "clients.deployed_app")


def look(trainer: TrainerFolder, *, timeout: float) -> list[dict[str, Any]]:
    """Ask all admitted owners what they show, and return it; `look/described.json` holds it too.

    Args:
        trainer: the folder; its task.json says what owners' data are compared with.
        timeout: seconds that an owner has.
    """
    if not (trainer.path / TASK).is_file():
        raise InputError(
            f"{trainer.path} has no {TASK} to compare owners' data with; write it with `mycroft-fl "
            f"trainer describe {trainer.path} TASK.toml`"
        )
    read_task(trainer.path / TASK)
    if not trainer.owners():
        raise InputError(
            f"no owner was admitted to {trainer.path}; admit one with `mycroft-fl trainer admit`"
        )
    folder = RunFolder(private_folder(trainer.path / "look"))
    (folder.path / LOOK).unlink(missing_ok=True)
    folder.save_json(PLAN, {"trainer": str(trainer.path), "timeout": timeout})
    with TemporaryDirectory(prefix="mycroft-") as place:
        bundle = Path(place) / "bundle"
        write_app(bundle, {"run": str(folder.path)}, APPS)
        run_id, lines = streamed(bundle, private_environment(trainer), folder)
    found: list[dict[str, Any]] | None = folder.read_json(LOOK)
    if found is None:
        raise failure_of(trainer, folder, run_id, lines, "look again")
    return found
