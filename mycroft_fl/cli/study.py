"""`study`: a grid of runs over settings, scenarios and seeds."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from mycroft_fl.cli.common import make_importable_from_here, print_rows, say
from mycroft_fl.errors import RunFailed, SettingError


@click.command()
@click.argument("study", required=False)
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="DIR",
    help="The study's folder, new or one to go on in.  [default: studies/NAME]",
)  # fmt: skip
@click.option("--jobs", type=int, help="Cells at a time.  [default: one a CPU]")
@click.option(
    "--ray", metavar="ADDRESS", help="A Ray cluster's address, or auto; else this machine."
)
@click.option("--retry", is_flag=True, help="Compute cells again that failed before.")
@click.option("--dry-run", is_flag=True, help="Check everything, say how many cells, run nothing.")
@click.option(
    "--list", "listing", is_flag=True, help="List the studies that come with the package."
)
def study(
    study: str | None,
    out: Path | None,
    jobs: int | None,
    ray: str | None,
    retry: bool,
    dry_run: bool,
    listing: bool,
) -> None:
    """Run STUDY, a packaged one's name or a TOML file; the same command goes on where it stopped."""
    make_importable_from_here()
    if listing:
        from simulations.study.file import packaged_studies

        print_rows(["study", "title"], [list(row) for row in packaged_studies()])
        return
    if study is None:
        raise SettingError("name a study: a TOML file, or one of those that --list shows")
    if dry_run:
        _check(study)
        return
    from simulations.study.file import load_study

    load_study(study)  # a mistake in the file is told before torch and Flower load
    from simulations.study.run import run_study
    from simulations.study.tables import summary_rows
    from simulations.study.workers import WorkerSettings

    folder = (out or Path("studies") / Path(study).stem).absolute()
    force = WorkerSettings(_jobs(jobs, ray), ray=ray)
    store = run_study(study, folder, force, retry=retry, stream=sys.stderr)
    print_rows(*summary_rows(store.rows(), store.axes))
    say(f"All of it is in {folder}")
    if store.failed() == store.finished():
        raise RunFailed(f"every cell failed; {folder / 'cells.csv'} has the reasons")


def _check(name: str) -> None:
    from simulations.study.cells import once, planned
    from simulations.study.file import load_study

    study_file = load_study(name)
    cells = planned(study_file)
    runs = len(once(cells))
    twice = f" ({len(cells)} rows, since parts share some)" if runs < len(cells) else ""
    say(f"{study_file.title}: {runs} cells{twice}, {len(study_file.seeds)} seeds")


def _jobs(given: int | None, ray: str | None) -> int:
    if given is not None and given < 1:
        raise SettingError(f"--jobs is {given}; give a whole number of at least 1")
    if given is None and ray is not None:
        raise SettingError("--ray needs --jobs: how many cells the cluster is to run at a time")
    return given or len(os.sched_getaffinity(0))
