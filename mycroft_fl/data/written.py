"""Examples as they stand in the file that they were read from: the row's number, and its own texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mycroft_fl.data.fitted import fitted, kinds_of, task_labels
from mycroft_fl.data.formats.spec import DatasetSpec
from mycroft_fl.data.sources import load_dataset
from mycroft_fl.data.tables.columns import FURTHEST, Categories, Column, Numbers, unscaled
from mycroft_fl.data.tables.encode import DataTable
from mycroft_fl.data.tables.flaws import read_numbers
from mycroft_fl.data.tables.schema import TableSchema
from mycroft_fl.data.task import Task
from mycroft_fl.examples import Examples

DIGITS = 7.0
"""Decimal digits that a number of 32 bits keeps."""


@dataclass(frozen=True)
class Written:
    """Where examples stand in a file, and what stands there: `cells` by example, under `head`.

    `places` are row numbers from 1, without the header; `head` is empty for examples that are no rows.
    """

    places: tuple[str, ...]
    head: tuple[str, ...] = ()
    cells: tuple[tuple[str, ...], ...] = ()


def as_written(spec: DatasetSpec, base: Path, task: Task, examples: Examples) -> Written | None:
    """Return examples as an owner's file has them; None where it is no table, or lacks one of them now.

    A cell is the file's text. Where something else leaves in its place, as for a missing number, the
    cell says so.

    Args:
        spec: the owner's data set.
        base: the folder from which its path is taken.
        task: for which the examples were read.
        examples: from that data set, in any order.
    """
    dataset = load_dataset(spec, base, kinds_of(task), records=True)
    table = dataset.columns
    if table is None:
        return None
    held = fitted(dataset, spec, task).examples
    rows = np.flatnonzero(task_labels(dataset, spec, task.classes) >= 0)
    place: dict[tuple[int, int], int] = {}
    for row, key in zip(rows, zip(held.ids.tolist(), held.y.tolist(), strict=True), strict=True):
        place.setdefault(key, int(row))
    keys = zip(examples.ids.tolist(), examples.y.tolist(), strict=True)
    found = [place.get(key) for key in keys]
    at = [each for each in found if each is not None]
    if len(at) < len(found):
        return None
    places = tuple(str(table.numbers[row]) for row in at)
    if task.table is None:
        return Written(places)
    cells = _cells(task.table, table[np.array(at)], examples.x)
    return Written(places, tuple(cells), tuple(zip(*cells.values(), strict=True)))


def plainly(column: Numbers, x: np.ndarray) -> list[str]:
    """Write scaled numbers as they stood in a table, without digits that 32 bits do not keep.

    >>> plainly(Numbers("a", 0.0, 54.0, 20.0, log=False), np.float32([-2.7, 0.05]))
    ['0', '55']
    """
    x = x.astype(np.float64)
    values = unscaled(column, x)
    # Of a logarithm the number itself is as large as its derivative.
    largest = np.abs(x) * column.scale + abs(column.mean)
    step = largest * (np.abs(values) + 1 if column.log else 1) * 10.0**-DIGITS * 4
    digits = np.floor(-np.log10(np.maximum(step, 1e-30))).astype(int)
    return [
        f"{round(float(value), int(most)) + 0.0:.7g}"
        for value, most in zip(values, digits, strict=True)
    ]


def _cells(schema: TableSchema, table: DataTable, x: np.ndarray) -> dict[str, list[str]]:
    """Return the texts of a task's columns, by the column of the file, and what leaves in their place."""
    others: dict[str, list[list[str]]] = {}
    start = 0
    for column in schema.columns:
        width = 1 if isinstance(column, Numbers) else len(column.known)
        part = x[:, start : start + width]
        start += width
        # A date comes to several numbers, and each of them leaves.
        so_far = others.setdefault(column.source, [[] for _ in x])
        for said, other in zip(so_far, _otherwise(column, table, part), strict=True):
            said += [] if other is None else [other]
    return {name: _said(list(table.features[name].texts), said) for name, said in others.items()}


def _said(texts: Sequence[str | None], others: list[list[str]]) -> list[str]:
    """Return texts, with what leaves in the place of each where anything does."""
    return [
        f"{text or 'missing'}; {', '.join(other)} leave{'s' * (len(other) == 1)}"
        if other
        else text or ""
        for text, other in zip(texts, others, strict=True)
    ]


def _otherwise(column: Column, table: DataTable, part: np.ndarray) -> list[str | None]:
    """Return what leaves in the place of each text; None where the text itself does."""
    missing = table.features[column.source].missing
    if isinstance(column, Categories):
        return [
            None if row.any() and not gone else (column.known[row.argmax()] if row.any() else "no category")
            for row, gone in zip(part, missing, strict=True)
        ]  # fmt: skip
    changed = ~np.isfinite(read_numbers(column, table)) | (np.abs(part[:, 0]) >= FURTHEST)
    shown = plainly(column, part[:, 0])
    named = f"{column.part} " if column.date else ""
    return [f"{named}{text}" if odd else None for text, odd in zip(shown, changed, strict=True)]
