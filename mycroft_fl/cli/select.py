"""`select`: picks from arrays in a file, without owners and without Flower."""

from __future__ import annotations

from pathlib import Path

import click

from mycroft_fl.cli.common import assigned, make_importable_from_here, print_rows, say
from mycroft_fl.errors import DataError, SettingError

SHOWN = 20


@click.command()
@click.option(
    "--hard-set", required=True, type=click.Path(path_type=Path), metavar="FILE",
    help="npz with what the model gets wrong: x and y, or ready gradients g.",
)  # fmt: skip
@click.option(
    "--data", required=True, type=click.Path(path_type=Path), metavar="FILE",
    help="npz with the candidates, in the same form.",
)  # fmt: skip
@click.option("--method", required=True, help="A method's name, or package.module:function.")
@click.option("--k", required=True, type=int, help="How many to pick, at most.")
@click.option("--model", metavar="NAME", help="The architecture to look through.")
@click.option(
    "--weights", type=click.Path(path_type=Path), metavar="FILE", help="Its weights, safetensors."
)
@click.option("--seed", type=int, default=0, help="Draws everything that is random.")
@click.option(
    "--set", "assignments", multiple=True, metavar="KEY=VALUE",
    help="feature-space, gradient-layers, feature-weight or device, see `settings`.",
)  # fmt: skip
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FILE",
    help="npz for indices, weights and unexplained; without it, a table.",
)  # fmt: skip
def select(
    hard_set: Path,
    data: Path,
    method: str,
    k: int,
    model: str | None,
    weights: Path | None,
    seed: int,
    assignments: tuple[str, ...],
    out: Path | None,
) -> None:
    """Pick, from arrays in a file, the few examples that help with a hard set."""
    make_importable_from_here()
    for file in (hard_set, data):
        if not file.is_file():
            raise DataError(
                f"no file {file}; give an npz file, saved with numpy.savez(path, x=..., y=...)"
            )
    from mycroft_fl.selection.arrays import Ask, answered, checked_settings, write

    config = checked_settings(dict(assigned(each) for each in assignments), seed)
    if out is not None and out.absolute() in (hard_set.absolute(), data.absolute()):
        raise SettingError(f"--out {out} is one of the files that are read; give another")
    answer = answered(Ask(hard_set, data, method, k, model, weights, config))
    for note in answer.notes:
        say(f"mycroft-fl: note: {note}", err=True)
    picked = answer.selection
    summary = f"{len(picked.indices)} of {answer.candidates} candidates"
    if out is not None:
        write(picked, out)
        say(f"{summary}, in {out}")
        return
    rows = [
        [str(index), label, f"{weight:.4g}"]
        for index, label, weight in zip(picked.indices, answer.labels, picked.weights, strict=True)
    ]
    print_rows(["index", "class", "weight"], rows[:SHOWN])
    more = f"; --out FILE keeps all, {SHOWN} are shown" if len(rows) > SHOWN else ""
    say(f"{summary}; {100 * picked.unexplained:.1f} % of the target unexplained{more}")
