"""`trainer ...`: a trainer sets up its SuperLink, admits owners, and runs tasks over them."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from mycroft_fl.cli.common import assigned, from_here, print_rows, say, say_lines
from mycroft_fl.cli.looks import show_looks
from mycroft_fl.errors import InputError

PATH = click.Path(path_type=Path)
FOLDER = click.argument("folder", type=PATH, metavar="DIR")
SETTINGS = click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    help="A run setting, see `settings`.",
)
WAIT = click.option(
    "--wait", is_flag=True, help="Stop after a round in which owners were silent; resume later."
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")


@click.group()
def trainer() -> None:
    """A trainer's side: keys and certificates, owners to admit, runs over them."""


@trainer.command("init")
@FOLDER
@click.option("--name", help="By which owners know this trainer; DIR's own if left out.")
@click.option("--host", help="By what owners reach the SuperLink; this machine's name if left out.")
@click.option("--port", type=int, default=9092, show_default=True, help="The SuperLink's port.")
@click.option(
    "--listen",
    help="The one address at which the SuperLink listens; 0.0.0.0 is all. That of --host if left out.",
)
def init(folder: Path, name: str | None, host: str | None, port: int, listen: str | None) -> None:
    """Set up DIR: the trainer's key, an authority, the SuperLink's certificate and configuration."""
    from strategies.deployment.trainer_folder import address_of, make_trainer

    host = host or socket.getfqdn()
    made = make_trainer(
        folder, name or folder.absolute().name, host, port=port, listen=listen or address_of(host)
    )
    say(f"{made.path} is set up for a SuperLink at {made.host}:{made.port}, which listens at")
    say(f"{made.listen}{_reach(made.listen)}; then")
    say(f"  describe the task to owners  mycroft-fl trainer describe {folder} TASK.toml")
    say(f"  give owners                  {folder}/trainer.pub, certs/ca.crt and task.json")
    say(f"  open the SuperLink           mycroft-fl trainer link {folder}")


@trainer.command("describe")
@FOLDER
@click.argument("task", type=PATH)
def describe(folder: Path, task: Path) -> None:
    """Write DIR/task.json: all of TASK that owners need to fit their data to it."""
    from mycroft_fl.tasks.description import write_task
    from mycroft_fl.tasks.file import load_task
    from strategies.deployment.trainer_folder import TrainerFolder

    path = TrainerFolder.load(folder).path / "task.json"
    write_task(load_task(task).task, path)
    say(f"give owners {path}")


@trainer.command("certify")
@FOLDER
@click.option("--days", type=click.IntRange(1, 825), default=397, show_default=True)
def certify_again(folder: Path, days: int) -> None:
    """Make the SuperLink a new certificate; owners need do nothing. Restart the SuperLink then."""
    from strategies.deployment.certificates import certify
    from strategies.deployment.trainer_folder import TrainerFolder

    made = TrainerFolder.load(folder)
    until = certify(made.certs, [made.host], days)
    say(f"good until {until:%Y-%m-%d}; restart the SuperLink")


@trainer.command("link")
@FOLDER
def link(folder: Path) -> None:
    """Serve DIR's SuperLink until it is stopped."""
    made = _trainer(folder)
    from strategies.deployment.superlink import serve_superlink

    serve_superlink(made)


@trainer.command("admit")
@FOLDER
@click.argument("name")
@click.option("--supernode", required=True, type=PATH, help="The owner's supernode-key.pub.")
@click.option("--vault", required=True, type=PATH, help="The owner's vault.pub.")
def admit_owner(folder: Path, name: str, supernode: Path, vault: Path) -> None:
    """Let the owner NAME take part, by its two public keys. The SuperLink must be up."""
    made = _trainer(folder)
    from strategies.deployment.superlink import admit

    owner = admit(made, name, supernode, vault)
    say(f"{owner.name} may take part, as node {owner.node}")


@trainer.command("dismiss")
@FOLDER
@click.argument("name")
def dismiss_owner(folder: Path, name: str) -> None:
    """Let the owner NAME take part no more."""
    made = _trainer(folder)
    from strategies.deployment.superlink import dismiss

    dismiss(made, name)
    say(f"{name} may take part no more")


@trainer.command("owners")
@FOLDER
def owners(folder: Path) -> None:
    """Show who may take part, and whose SuperNode the SuperLink hears."""
    made = _trainer(folder)
    from strategies.deployment.superlink import presence

    found = presence(made)
    print_rows(["owner", "status", "since"], [[e.owner, e.status, e.since] for e in found])
    for each in found:
        if each.status == "offline":
            say(f"{each.owner} is offline, even if its SuperNode's process is alive: restart that")


@trainer.command("look")
@FOLDER
@click.option(
    "--timeout",
    type=click.FloatRange(1, 86400),
    default=120.0,
    show_default=True,
    help="Seconds that an owner has.",
)
@JSON
def look_at(folder: Path, timeout: float, as_json: bool) -> None:
    """Show what the admitted owners let a trainer see before it asks them for anything."""
    made = _trainer(folder)
    from strategies.deployment.look import look

    found = look(made, timeout=timeout)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    show_looks(found)


@trainer.command("run")
@FOLDER
@click.argument("task", type=PATH)
@SETTINGS
@click.option(
    "--out", type=PATH, help="The run's folder, new or empty; one in DIR/runs if left out."
)
@WAIT
@JSON
def run(
    folder: Path,
    task: Path,
    assignments: tuple[str, ...],
    out: Path | None,
    wait: bool,
    as_json: bool,
) -> None:
    """Run TASK, a task's TOML file, over the owners that DIR has admitted."""
    from strategies.runs.folder import RunFolder

    made, settings = _trainer(folder), dict(from_here(*assigned(each)) for each in assignments)
    place = (out or _fresh(made.runs, task.stem)).absolute()
    RunFolder.is_taken(place, force=False)
    if not task.is_file():
        raise InputError(
            f"there is no task's file {task}; give a TOML file with train and validation"
        )
    from strategies.deployment.superlink import start_run

    with RunFolder.replacing(place, force=False):
        _show(lambda: start_run(made, task, place, settings, waits=wait), place, as_json)


@trainer.command("resume")
@click.argument("run", type=PATH)
@SETTINGS
@WAIT
@JSON
def resume(run: Path, assignments: tuple[str, ...], wait: bool, as_json: bool) -> None:
    """Go on with RUN, the folder of a run that stopped; owners that were silent are asked again."""
    from mycroft_fl.progress_lines import show_progress
    from strategies.runs.folder import RunFolder

    RunFolder.check_reopens(run)
    from strategies.deployment.superlink import resume_run

    show_progress(sys.stderr)
    settings = dict(from_here(*assigned(each)) for each in assignments)
    _show(lambda: resume_run(run, settings, waits=wait), run.absolute(), as_json)


def _reach(listen: str) -> str:
    """Say whom an address reaches, where that may not be what was meant."""
    if listen == "::1" or listen.startswith("127."):
        return ", for this machine alone"
    return ", all of this machine's networks" if listen in ("0.0.0.0", "::") else ""


def _trainer(folder: Path) -> Any:
    from mycroft_fl.progress_lines import show_progress
    from strategies.deployment.trainer_folder import TrainerFolder

    show_progress(sys.stderr)
    return TrainerFolder.load(folder)


def _fresh(runs: Path, task: str) -> Path:
    from datetime import datetime

    stem = f"{datetime.now():%Y%m%d-%H%M%S}-{task}"
    names = (stem if number == 1 else f"{stem}-{number}" for number in range(1, 1000))
    return next(runs / name for name in names if not (runs / name).exists())


def _show(result_of: Callable[[], dict[str, Any]], folder: Path, as_json: bool) -> None:
    outcome = result_of()
    if as_json:
        click.echo(json.dumps(outcome, indent=2))
        return
    say_lines((folder / "summary.md").read_text(encoding="utf-8"))
    say(f"All of it is in {folder}")
