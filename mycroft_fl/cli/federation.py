"""`federation` and `export`: a deployment to try, from a scenario."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import click

from mycroft_fl.cli.common import assigned, existing, from_here, say, say_lines
from mycroft_fl.errors import InputError, RunFailed

ASSIGNMENTS = click.option(
    "--set", "assignments", multiple=True, metavar="KEY=VALUE",
    help="A run setting, or owners, model, dataset, policy.*, as for `simulate`.",
)  # fmt: skip


@click.command("federation")
@click.argument("scenario", default="rotated-digits")
@ASSIGNMENTS
def try_federation(scenario: str, assignments: tuple[str, ...]) -> None:
    """Run SCENARIO over a SuperLink and owners that are real processes here, and compare.

    With TLS, SuperNode authentication, signed requests and sealed answers. The ranking must be the
    same as in one process; it exits with 1 where it is not. Nothing is left running.
    """
    settings = _looked_at(scenario, assignments)
    from mycroft_fl.progress_lines import show_progress
    from simulations.federation.comparison import compare
    from simulations.setup.simulation import Simulation

    show_progress(sys.stderr)
    with tempfile.TemporaryDirectory(prefix="mycroft-") as place:
        folder = Path(place) / "run"
        simulation = Simulation.load(existing(scenario), settings, folder, engine="in-process")
        simulation.check()
        comparison = compare(simulation, lambda line: say(line, err=True))
    say_lines(comparison.summary)
    if not comparison.equal:
        raise RunFailed("the ranking differs from that of the same run in one process")
    say("The ranking equals that of the same run in one process, to the last bit.")


@click.command("export")
@click.argument("scenario")
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@ASSIGNMENTS
def export_scenario(scenario: str, folder: Path, assignments: tuple[str, ...]) -> None:
    """Write SCENARIO to DIR as the files that a real trainer and real owners would bring."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} is there already; give a new or an empty folder")
    settings = _looked_at(scenario, assignments)
    from simulations.setup.export import export
    from simulations.setup.simulation import Simulation

    simulation = Simulation.load(existing(scenario), settings, folder, engine="in-process")
    export(simulation, folder)
    say(f"the trainer's task is {folder / 'trainer' / 'task.toml'}")
    for owner in simulation.scenario.owners:
        say(f"{owner.name} holds {folder / 'owners' / owner.name / 'data.npz'}")


def _looked_at(scenario: str, assignments: tuple[str, ...]) -> dict[str, Any]:
    """Return the settings, once scenario and settings were read: mistakes are told before torch loads."""
    from simulations.setup.asked import Asked

    settings = dict(from_here(*assigned(each)) for each in assignments)
    Asked.read(existing(scenario), settings)
    return settings
