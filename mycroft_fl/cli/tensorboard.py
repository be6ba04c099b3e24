"""`tensorboard`: a run's or a study's results as TensorBoard reads them."""

from __future__ import annotations

from pathlib import Path

import click

from mycroft_fl.cli.common import say


@click.command()
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="LOGDIR",
    help="Where to write; several runs may share it.  [default: DIR/tensorboard]",
)  # fmt: skip
def tensorboard(directory: Path, out: Path | None) -> None:
    """Write the run or study in DIR for TensorBoard: rounds, settings, figures and metadata."""
    from mycroft_fl.report.board import boards, check_board, write_board

    check_board()
    place = out or directory / "tensorboard"
    names = []
    for name, result in boards(directory):
        write_board(result, place, name)
        names.append(name)
    say(f"{len(names)} runs; see them with: tensorboard --logdir {place}")
