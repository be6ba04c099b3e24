"""A study's folder as files: which there are, what they hold, and how they are read.

    study.json            what was asked: title, seeds, axes in order, parts, versions
    cells.csv             a row a finished cell; cells.json and cells.parquet hold the same
    cells/<digest>/       a finished cell: cell.json says how it ended, result.json is the run's

Neither Flower nor torch is needed to read one.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from mycroft_fl.claims import MOST_JSON, content_of
from mycroft_fl.errors import DataError

SCHEMA = 1
STUDY, CSV, JSON, PARQUET, CELLS = (
    "study.json", "cells.csv", "cells.json", "cells.parquet", "cells",
)  # fmt: skip
DONE, FAILED = "done", "failed"
PART = "part"
MEASURES = (
    "test", "hard", "disclosed", "seconds", "baseline_test", "control_hard", "control_test",
    "own_hard_set_hard", "own_hard_set_test", "free_hard", "free_test", "random_hard",
    "random_test", "useful", "epsilon", "delta", "mu", "epsilon_minus", "tau", "auc", "auc_ceiling",
)  # fmt: skip
"""Numbers of a cell, each of which may be missing."""
COLUMNS = ("seed", "status", "reason", *MEASURES, "digest")
"""The columns that follow part and the grid's keys in cells.csv."""
Row = dict[str, Any]


@dataclass(frozen=True)
class Axis:
    """A key of the grid, with its values in the order in which the study's file names them."""

    key: str
    values: tuple[Any, ...]


@dataclass(frozen=True)
class Part:
    """One grid of a study: how many cells it has, seeds included, and the keys that vary in it."""

    name: str
    title: str
    axes: tuple[Axis, ...]
    cells: int


@dataclass(frozen=True)
class Study:
    """A study as far as it has come.

    `name` is the stem of its file. `axes` are the keys of all parts together. `rows` hold, by
    column, part, a value for each axis, the seed, how the cell ended, and its measures as numbers
    or None where one does not apply. `environments` are those of all commands that worked on it.
    """

    name: str
    title: str
    seeds: tuple[int, ...]
    axes: tuple[Axis, ...]
    parts: tuple[Part, ...]
    environments: tuple[Mapping[str, Any], ...]
    rows: tuple[Row, ...]

    @property
    def cells(self) -> int:
        """How many rows there are once all cells are finished."""
        return sum(part.cells for part in self.parts)

    def axis(self, key: str) -> Axis:
        """Return the axis of that key. Raises `KeyError`."""
        return next(axis for axis in self.axes if axis.key == key)


def is_study(folder: Path) -> bool:
    """Return whether a study lies there."""
    return (folder / STUDY).is_file()


def read_study(folder: Path) -> Study:
    """Return the study in `folder`, with the rows of cells.csv. Raises `DataError`."""
    described = _described(folder / STUDY)
    try:
        axes = _axes(described["axes"])
        parts = tuple(
            Part(each["name"], each["title"], _axes(each["axes"]), int(each["cells"]))
            for each in described["parts"]
        )
        name, title = str(described["name"]), str(described["title"])
        seeds, environments = tuple(described["seeds"]), tuple(map(dict, described["environments"]))
        keys = (axis.key for each in (axes, *(part.axes for part in parts)) for axis in each)
        _check_texts(*keys, *(part.name for part in parts))
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{folder / STUDY} lacks or garbles {error}; run the study again into a new folder"
        ) from error
    return Study(name, title, seeds, axes, parts, environments, _rows(folder / CSV, axes))


def csv_text(rows: Sequence[Mapping[str, Any]], axes: Sequence[Axis]) -> str:
    """Return the rows as cells.csv holds them; what is missing is an empty field."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    head = [PART, *(axis.key for axis in axes), *COLUMNS]
    writer.writerow(head)
    for row in rows:
        writer.writerow([as_field(row.get(column)) for column in head])
    return text.getvalue()


def as_field(value: Any) -> str:
    """Return a value in a field: texts as they are, all else as JSON, what is missing empty."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def _described(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(content_of(path, MOST_JSON))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(
            f"{path} cannot be read: {error}; give the folder of a study, or run it again"
        ) from error
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise DataError(
            f"{path} is not of this version (schema {SCHEMA}); run the study again into a new folder"
        )
    return content


def _check_texts(*names: Any) -> None:
    wrong = [name for name in names if not isinstance(name, str)]
    if wrong:
        raise ValueError(f"a name, which is {str(wrong[0])[:60]}")


def _axes(axes: Sequence[Mapping[str, Any]]) -> tuple[Axis, ...]:
    return tuple(Axis(each["key"], tuple(each["values"])) for each in axes)


def _rows(path: Path, axes: Sequence[Axis]) -> tuple[Row, ...]:
    if not path.is_file():
        return ()
    try:
        with StringIO(content_of(path, MOST_JSON).decode("utf-8"), newline="") as file:
            reader = csv.DictReader(file, strict=True)
            missing = {"status", "seed", *(axis.key for axis in axes)} - set(
                reader.fieldnames or ()
            )
            if missing:
                raise ValueError(f"it has no column {', '.join(sorted(missing))}")
            known = {axis.key: {as_field(value): value for value in axis.values} for axis in axes}
            return tuple(_typed(row, known) for row in reader)
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(
            f"{path} is not a study's table: {error}; the study's own command writes it anew"
        ) from error


def _typed(row: Mapping[str, Any], known: Mapping[str, Mapping[str, Any]]) -> Row:
    """Return a row of text as values: of an axis those that the study names, of a measure a number."""
    typed: Row = {}
    for column, field in row.items():
        if column is None or field is None:
            raise ValueError("a row has more or fewer fields than the head")
        if column in known:
            # A key that this cell's part leaves alone may stand at a value that is on no axis.
            typed[column] = known[column].get(field, field)
        elif column == "seed":
            typed[column] = int(field)
        elif column in MEASURES:
            typed[column] = float(field) if field else None
        else:
            typed[column] = field
    return typed
