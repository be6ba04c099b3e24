"""`mycroft-fl report`: a run or a study as one page for a person."""

from __future__ import annotations

from pathlib import Path

import click

from mycroft_fl.cli.common import check_folder, say


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="DIR", help="Where to write; else beside it."
)
def report(folder: Path, out: Path | None) -> None:
    """Make one page of the run or study in DIR: report.html, and its plots as SVG and PNG."""
    check_folder(folder)
    from mycroft_fl.report.writing import write_report

    say(f"The report is {write_report(folder, out)}")
