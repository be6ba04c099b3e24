"""The trainer's side of a deployment: its SuperLink, its owners, its runs."""

from __future__ import annotations

import datetime
import logging
import os
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mycroft_fl import errors
from mycroft_fl.errors import EngineFailed, InputError, MycroftError
from mycroft_fl.files import socket_path
from mycroft_fl.foreign_text import SAFE_NAME, cleaned
from mycroft_fl.progress_lines import MARK
from mycroft_fl.protocol.keys import PublicKey
from mycroft_fl.report.run.files import OUTCOME
from strategies.deployment.app import RunPlan
from strategies.deployment.certificates import (
    CA_CERTIFICATE,
    SERVER_CERTIFICATE,
    SERVER_KEY,
    good_until,
)
from strategies.deployment.flower_commands import (
    flower_answer,
    flower_environment,
    flower_lines,
    last_error,
    write_app,
)
from strategies.deployment.trainer_folder import CONNECTION, AdmittedOwner, TrainerFolder
from strategies.link.private import by_socket
from strategies.runs.folder import RunFolder

log = logging.getLogger(__name__)

APPS = ("strategies.deployment.app", "clients.deployed_app")
STARTED = re.compile(r"[Ss]uccessfully started run (\d+)")
ENDED_WELL = "finished:completed"
SOON = datetime.timedelta(days=30)


@dataclass(frozen=True)
class Presence:
    """Whether an owner's SuperNode is there: online, offline or registered, and since when."""

    owner: str
    status: str
    since: str


def superlink_command(trainer: TrainerFolder) -> list[str]:
    """Build the command that serves the SuperLink. `InputError` where its certificate has run out."""
    until = good_until(trainer.certs)
    left = until - datetime.datetime.now(datetime.UTC)
    if left < datetime.timedelta():
        raise InputError(
            f"the SuperLink's certificate ran out on {until:%Y-%m-%d}; make another with "
            f"`mycroft-fl trainer certify {trainer.path}`, owners need do nothing"
        )
    if left < SOON:
        log.warning("the SuperLink's certificate runs out on %s", f"{until:%Y-%m-%d}")
    return [
        sys.executable, "-P", "-m", "strategies.link.serve", str(socket_path(trainer.door)),
        "--host", trainer.listen, "--port", str(trainer.port),
        "--ssl-ca-certfile", str(trainer.certs / CA_CERTIFICATE),
        "--ssl-certfile", str(trainer.certs / SERVER_CERTIFICATE),
        "--ssl-keyfile", str(trainer.certs / SERVER_KEY),
        "--enable-supernode-auth", "--disable-runtime-dependency-installation",
        "--database", str(trainer.superlink / "state.db"),
        "--log-file", str(trainer.superlink / "superlink.log"),
    ]  # fmt: skip


def serve_superlink(trainer: TrainerFolder) -> None:
    """Become the SuperLink: its process takes the place of this one."""
    command = superlink_command(trainer)
    # Flower's processes import from where they are started before anything else.
    os.chdir(trainer.superlink)
    os.execvpe(command[0], command, private_environment(trainer))


def private_environment(trainer: TrainerFolder) -> dict[str, str]:
    """Build the environment in which Flower's commands reach this trainer's SuperLink."""
    environment = flower_environment(trainer.flower_home)
    return by_socket(environment, trainer.door, trainer.flower_home / "bin")


def admit(trainer: TrainerFolder, name: str, supernode: Path, vault: Path) -> AdmittedOwner:
    """Let an owner take part: its SuperNode may connect, its vault's answers are believed.

    An owner that is there already gets new keys. `InputError` on what is no key.
    """
    if not SAFE_NAME.fullmatch(name):
        raise InputError(f"an owner's name is '{name}'; use letters, digits, '-', '_' and '.'")
    key = PublicKey.load(vault)
    if not supernode.is_file():
        raise InputError(
            f"no file {supernode}; the owner's `owner init` made it: supernode-key.pub"
        )
    before = trainer.owners().get(name)
    known = trainer.path / "owners" / name / "supernode.pub"
    if before is not None and known.read_bytes().split()[:2] == supernode.read_bytes().split()[:2]:
        owner = AdmittedOwner(name, key, before.node)
    else:
        if before is not None:
            dismiss(trainer, name)
        command = ["flwr", "supernode", "register", str(supernode.absolute()), CONNECTION]
        answer = flower_answer([*command, "--name", name], private_environment(trainer))
        owner = AdmittedOwner(name, key, int(answer["node-id"]))
    trainer.add_owner(owner, supernode)
    return owner


def dismiss(trainer: TrainerFolder, name: str) -> None:
    """Let an owner take part no more. `InputError` where there is no such owner."""
    owner = trainer.owners().get(name)
    if owner is None:
        raise InputError(f"no owner '{name}' was admitted; there are {sorted(trainer.owners())}")
    command = ["flwr", "supernode", "unregister", str(owner.node), CONNECTION]
    flower_answer(command, private_environment(trainer))
    trainer.remove_owner(name)


def presence(trainer: TrainerFolder) -> list[Presence]:
    """List whether each admitted owner's SuperNode is there, as the SuperLink sees it."""
    command = ["flwr", "supernode", "list", CONNECTION]
    nodes = flower_answer(command, private_environment(trainer))["nodes"]
    by_id = {int(each["node-id"]): each for each in nodes}
    found = []
    for name, owner in trainer.owners().items():
        node = by_id.get(owner.node, {})
        status = str(node.get("status", "unknown"))
        since = {"online": "online-at", "offline": "offline-at"}.get(status, "created-at")
        found.append(Presence(name, status, str(node.get(since, "-"))))
    return found


def start_run(
    trainer: TrainerFolder, task: Path, folder: Path, settings: Mapping[str, Any], *, waits: bool
) -> dict[str, Any]:
    """Run a task over the trainer's federation and return its outcome. The folder must be prepared."""
    plan = RunPlan(str(task.absolute()), str(trainer.path), dict(settings), waits)
    plan.load()  # bad input is said here, and not by a process elsewhere
    plan.write(RunFolder(folder))
    return _run(trainer, RunFolder(folder))


def resume_run(folder: Path, settings: Mapping[str, Any], *, waits: bool) -> dict[str, Any]:
    """Go on with a run that stopped, whatever stopped it, and return its outcome."""
    run = RunFolder.reopened(folder.absolute())
    before = RunPlan.read(run)
    plan = RunPlan(before.task, before.trainer, before.settings | dict(settings), waits)
    plan.load()
    plan.write(run)
    return _run(TrainerFolder.load(Path(plan.trainer)), run)


def _run(trainer: TrainerFolder, folder: RunFolder) -> dict[str, Any]:
    """Carry out one run of Flower's, from its start to its outcome."""
    for each in presence(trainer):
        if each.status != "online":
            log.warning(
                "owner %s is %s since %s; a SuperNode may look alive and be cut off: restart it",
                each.owner, each.status, each.since,
            )  # fmt: skip
    (folder.path / OUTCOME).unlink(missing_ok=True)
    with TemporaryDirectory(prefix="mycroft-") as place:
        bundle = Path(place) / "bundle"
        write_app(bundle, {"run": str(folder.path)}, APPS)
        run_id, lines = streamed(bundle, private_environment(trainer), folder)
    outcome: dict[str, Any] | None = folder.read_json(OUTCOME)
    if outcome is None:
        raise failure_of(trainer, folder, run_id, lines, _again(folder))
    return outcome


def streamed(
    bundle: Path, environment: Mapping[str, str], folder: RunFolder
) -> tuple[str, list[str]]:
    """Run the bundle to its end; return Flower's id of the run, and all that Flower printed."""
    run_id = ""
    with (folder.path / "flower.log").open("a", encoding="utf-8") as kept:

        def on_line(line: str) -> None:
            nonlocal run_id
            print(cleaned(line), file=kept, flush=True)
            if started := STARTED.search(line):
                run_id = started[1]
            if MARK in line:
                log.info("%s", line.split(MARK, 1)[1])

        command = ["flwr", "run", str(bundle), CONNECTION, "--stream"]
        try:
            lines = flower_lines(command, environment, on_line)
            return run_id, lines
        except KeyboardInterrupt:
            if run_id:
                with suppress(MycroftError):
                    flower_answer(["flwr", "stop", run_id, CONNECTION], environment)
            raise


def failure_of(
    trainer: TrainerFolder, folder: RunFolder, run_id: str, lines: list[str], advice: str
) -> MycroftError:
    """Say why a run has no outcome: in the ServerApp's own words, or Flower's, with what to do.

    Args:
        trainer: whose SuperLink ran it.
        folder: of the run.
        run_id: Flower's; "" where it never started.
        lines: all that Flower printed.
        advice: how to go on.
    """
    failure = folder.read_json("error.json")
    kind = getattr(errors, failure["kind"], None) if failure else None
    if failure and kind:
        error: MycroftError = kind(f"{failure['message']}\n{advice}")
        return error
    try:
        command = ["flwr", "list", CONNECTION, *(["--run-id", run_id] if run_id else [])]
        runs = flower_answer(command, private_environment(trainer))["runs"]
        status = str(runs[0]["status"]) if run_id and runs else "not started"
    except EngineFailed:
        return EngineFailed(
            f"the SuperLink of {trainer.path} is gone; start it again with `mycroft-fl "
            f"trainer link {trainer.path}`\n{advice}"
        )
    return EngineFailed(f"Flower ended the run as '{status}': {last_error(lines)}\n{advice}")


def _again(folder: RunFolder) -> str:
    return f"go on with `mycroft-fl trainer resume {folder.path}`"
