"""`simulate`: one run of a scenario."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from mycroft_fl.cli.common import (
    assigned,
    existing,
    fresh_folder,
    from_here,
    make_importable_from_here,
    say,
)

Result = dict[str, Any]


@click.command()
@click.argument("scenario")
@click.option(
    "--owner", "owners", multiple=True, metavar="NAME=FILE",
    help="Of a task: an owner's data file, or its folder with owner.toml; repeatable.",
)  # fmt: skip
@click.option("--method", help="How owners choose: a name, or package.module:function.")
@click.option("--seed", type=int, help="Draws everything that is random.")
@click.option(
    "--engine",
    type=click.Choice(["flower", "in-process"]),
    default="flower",
    show_default=True,
    help="Flower's simulation engine, or all in this process.",
)
@click.option(
    "--set", "assignments", multiple=True, metavar="KEY=VALUE",
    help="A run setting, or owners, model, dataset, attack, policy.*; VALUE is TOML, else a string.",
)  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), help="The run's folder, new or empty.")
@click.option("--force", is_flag=True, help="Replace an earlier run in the folder.")
@click.option("--resume", is_flag=True, help="Go on with the run in --out that was interrupted.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON and nothing else.")
def simulate(
    scenario: str,
    owners: tuple[str, ...],
    method: str | None,
    seed: int | None,
    engine: str,
    assignments: tuple[str, ...],
    out: Path | None,
    force: bool,
    resume: bool,
    as_json: bool,
) -> None:
    """Run SCENARIO: a packaged one's name (see `scenarios`) or a TOML file.

    A trainer's task is rehearsed over the files of its owners: --owner a=a.csv --owner b=b.csv.
    """
    settings = dict(from_here(*assigned(each)) for each in assignments)
    settings |= {k: v for k, v in (("method", method), ("seed", seed)) if v is not None}
    make_importable_from_here()
    folder = (out or fresh_folder(Path(scenario).stem)).absolute()
    from simulations.rehearsal.asked import is_task

    if owners or is_task(existing(scenario)):
        _rehearse(Path(scenario), owners, settings, folder, engine, force, resume, as_json)
        return
    from simulations.setup.asked import look_first

    look_first(existing(scenario), settings, folder, force=force, resume=resume)
    from simulations.engines.run import run
    from simulations.setup.simulation import Simulation

    def loaded() -> tuple[Callable[[], None], Callable[[], Result]]:
        simulation = Simulation.load(existing(scenario), settings, folder, engine=engine)
        return simulation.check, lambda: run(simulation)

    _run_and_show(loaded, folder, force=force, resume=resume, as_json=as_json)


def _rehearse(
    task: Path,
    owners: tuple[str, ...],
    settings: dict[str, Any],
    folder: Path,
    engine: str,
    force: bool,
    resume: bool,
    as_json: bool,
) -> None:
    """Run a trainer's task over owners' files."""
    from simulations.rehearsal.asked import look_first

    task = task.expanduser().absolute()
    found = look_first(task, owners, settings, folder, force=force, resume=resume)
    from simulations.rehearsal.rehearsal import Rehearsal
    from simulations.rehearsal.run import rehearse
    from strategies.runs.folder import RunFolder

    def loaded() -> tuple[Callable[[], None], Callable[[], Result]]:
        rehearsal = Rehearsal(task, found, settings, engine, RunFolder(folder))
        return rehearsal.check, lambda: rehearse(rehearsal)

    _run_and_show(loaded, folder, force=force, resume=resume, as_json=as_json)


def _run_and_show(
    loaded: Callable[[], tuple[Callable[[], None], Callable[[], Result]]],
    folder: Path,
    *,
    force: bool,
    resume: bool,
    as_json: bool,
) -> None:
    """Check what was asked for, run it in its folder, and show what it came to.

    `loaded` gives what checks it, and what runs it. Nothing is written before it is checked.
    """
    from mycroft_fl.progress_lines import show_progress
    from mycroft_fl.report.run.terminal import console_for, show
    from strategies.runs.folder import RunFolder

    show_progress(sys.stderr)
    # A method of one's own may print; that is no part of the result.
    with contextlib.redirect_stdout(sys.stderr):
        check, run = loaded()
        check()
        with (
            contextlib.nullcontext(RunFolder.reopened(folder))
            if resume
            else RunFolder.replacing(folder, force=force)
        ):
            result = run()
    if as_json:
        click.echo(json.dumps(result, indent=2))
        return
    show(result, console_for(sys.stdout))
    say(f"All of it is in {folder}")
