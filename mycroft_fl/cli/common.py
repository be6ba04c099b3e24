"""Helpers that several commands share: read KEY=VALUE, find files, print rows."""

from __future__ import annotations

import os
import sys
import tomllib
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from mycroft_fl.errors import InputError, SettingError
from mycroft_fl.foreign_text import cleaned, cleaned_lines
from mycroft_fl.metrics.names import metric_from_folder


def assigned(assignment: str) -> tuple[str, Any]:
    """Read KEY=VALUE; VALUE a TOML literal, else a string."""
    key, equals, value = assignment.partition("=")
    if not equals or not key.strip():
        raise SettingError(f"--set {assignment}: give KEY=VALUE, such as --set budget=100")
    try:
        return key.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key.strip(), value


def existing(scenario: str) -> str:
    """Return a file's absolute path, as other processes find it; else the name as it is."""
    path = Path(scenario).expanduser().absolute()
    try:
        return str(path) if path.is_file() else scenario
    except OSError as error:
        raise InputError(f"'{scenario[:40]}...' is no scenario: {error.strerror}") from error


def from_here(key: str, value: Any) -> tuple[str, Any]:
    """Return a file of the folder one is in by its whole path: all else is relative to the scenario."""
    if key == "metric" and isinstance(value, str):
        return key, metric_from_folder(value, Path.cwd())
    path = value.get("path") if isinstance(value, dict) else value
    if key != "dataset" or not isinstance(path, str) or not Path(path).exists():
        return key, value
    whole = str(Path(path).absolute())
    return key, {**value, "path": whole} if isinstance(value, dict) else whole


def fresh_folder(scenario: str) -> Path:
    """Name runs/<time>-<scenario>, or with a number behind where two runs start in one second."""
    stem = f"{datetime.now():%Y%m%d-%H%M%S}-{scenario}"
    number, folder = 1, Path("runs") / stem
    while folder.exists():
        number, folder = number + 1, Path("runs") / f"{stem}-{number + 1}"
    return folder


def check_folder(folder: Path) -> None:
    """Raise `InputError` where there is no such folder, before what draws its report is loaded."""
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}; give the folder of a run or of a study")


def make_importable_from_here() -> None:
    """Let a method of one's own be found in the folder one is in, in the engine's workers too."""
    here = str(Path.cwd())
    sys.path.append(here)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), here]))


def say(line: str, *, err: bool = False) -> None:
    """Print one line, whatever names stand in it."""
    click.echo(cleaned(line), err=err)


def say_lines(text: str, *, err: bool = False) -> None:
    """Print a text that has its own line breaks and foreign names between them."""
    click.echo(cleaned_lines(text), err=err)


def print_rows(head: list[str], rows: list[list[str]]) -> None:
    """Print a table, whatever stands in its head and cells."""
    from mycroft_fl.report.run.terminal import console_for

    table = Table(box=None, pad_edge=False)
    for each in head:  # as text: a name in square brackets would be markup
        table.add_column(Text(cleaned(each)))
    for row in rows:
        table.add_row(*(Text(cleaned(cell)) for cell in row))
    console_for(sys.stdout).print(table)
