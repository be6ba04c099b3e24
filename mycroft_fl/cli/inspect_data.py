"""`inspect`: a look at data before a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mycroft_fl.cli.common import print_rows, say, say_lines
from mycroft_fl.errors import DataError, InputError

if TYPE_CHECKING:
    from mycroft_fl.inspection.look import Looks
    from mycroft_fl.inspection.table import Look

PATH = click.Path(path_type=Path)
MOST_CLASSES, MOST_COLUMNS = 12, 200


@click.command("inspect")
@click.argument("path", type=PATH, metavar="FILE|FOLDER")
@click.option("--label", default="", metavar="COLUMN", help="A table's column with the class.")
@click.option(
    "--scenario", type=PATH, metavar="OUT", help="Write a first scenario, a TOML file that runs."
)
@click.option(
    "--task", type=PATH, metavar="OUT",
    help="Write a first task, of a folder with train and validation tables.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Replace OUT where it is there.")
def inspect_data(
    path: Path, label: str, scenario: Path | None, task: Path | None, force: bool
) -> None:
    """Look at data before a run: rows, classes, columns, all that is amiss, and what to set for it.

    Exits with 2 where the file itself must be mended before a run can take it.
    """
    from mycroft_fl.inspection.look import look_at

    for out in filter(None, (scenario, task)):
        if out.exists() and not force:
            raise InputError(f"{out} is there already; give another file, or --force to replace it")
    looks = look_at(path.expanduser(), label)
    for look in looks.all:
        _show(look, label)
    _write(looks, scenario, task)
    stopping = [each for look in looks.all for each in look.findings if each.needs_a_mended_file]
    if stopping:
        raise DataError(
            f"{len(stopping)} of these only a person can mend, in the file or by a choice: no run would "
            f"take it as it is\n{stopping[0].text}"
        )


def _show(look: Look, label: str) -> None:
    from mycroft_fl.inspection.power import power_lines

    say(f"{look.path.name}: {look.form}")
    shown = list(look.classes.items())[:MOST_CLASSES]
    more = f" and {len(look.classes) - len(shown)} more" if len(look.classes) > len(shown) else ""
    if shown:
        where = f" in column {look.spec.label}" if look.spec.label else ""
        say(f"{len(look.classes)} classes{where}: {', '.join(f'{n} {c}' for n, c in shown)}{more}")
    if look.columns:
        _show_columns(look)
    _show_findings(look, label)
    for line in power_lines(look.rows):
        say(line)


def _show_columns(look: Look) -> None:
    print_rows(
        ["column", "kind", "missing", "different", "holds"],
        [
            [each.name, each.kind, str(each.missing or ""), str(each.distinct), each.holds]
            for each in look.columns[:MOST_COLUMNS]
        ],
    )
    if len(look.columns) > MOST_COLUMNS:
        say(f"and {len(look.columns) - MOST_COLUMNS} more columns")


def _show_findings(look: Look, label: str) -> None:
    from mycroft_fl.data.formats.spec import DatasetSpec
    from mycroft_fl.inspection.skeleton import settings_lines

    doubts = [each for each in look.findings if not each.stops]
    if look.stops:
        say("A run would refuse this:")
        for each in look.stops:
            say(f"  {each.text}")
    if doubts:
        say("Look at this:")
        for each in doubts:
            say(f"  {each.text}")
    if not look.findings:
        say("Nothing is amiss.")
    lines = list(settings_lines(look.spec, DatasetSpec(look.spec.path, label=label)))
    if lines:
        say("All of it as settings of the data set:")
        say_lines("\n".join(f"  {line}" for text in lines for line in text.splitlines()))


def _write(looks: Looks, scenario: Path | None, task: Path | None) -> None:
    from mycroft_fl.files import write_whole
    from mycroft_fl.inspection.skeleton import scenario_text, task_text

    if any(look.needs_a_mended_file for look in looks.all):
        return
    if scenario is not None:
        if len(looks.all) > 1 and not looks.parts:
            raise InputError(
                f"{len(looks.all)} tables lie there; name the one that the scenario is to be of"
            )
        write_whole(scenario, scenario_text(looks.all[0], scenario))
        say(f"wrote {scenario}; try it: mycroft-fl simulate {scenario} --engine in-process")
    if task is not None:
        write_whole(task, task_text(looks, task))
        say(f"wrote {task}; try it: mycroft-fl simulate {task} --owner a=FILE --owner b=FILE")
