"""The mock of an owner's table: what a task alone says of it, with rows that nobody holds."""

from __future__ import annotations

import hashlib
import math

import numpy as np

from mycroft_fl.data.tables.columns import Column, Numbers, unscaled
from mycroft_fl.data.tables.schema import TableSchema
from mycroft_fl.data.task import Task
from mycroft_fl.foreign_text import cleaned
from mycroft_fl.protocol.description import LONGEST_CELL, MOST_NAMES, Description
from mycroft_fl.tasks.description import task_digest

ROWS = 3
REACH = 1.5
"""Standard deviations, by the task's scaling, that a made-up number lies from the mean at most."""


def described(task: Task) -> Description:
    """Describe a task: form, names and made-up rows. A function of the task, never of any data.

    Args:
        task: that an owner serves, or that a trainer has.

    Example:
        >>> import numpy as np
        >>> found = described(Task(("cat", "dog"), (3, 32, 32), np.dtype(np.uint8), "mlp"))
        >>> found.form, found.shape, found.rows
        ('images', (3, 32, 32), ())
    """
    columns = () if task.table is None else tuple(_sources(task.table).items())
    digest = task_digest(task)
    return Description(
        form=_form(task),
        shape=task.shape,
        label="" if task.table is None else task.table.label,
        classes=task.classes[:MOST_NAMES],
        num_classes=task.num_classes,
        columns=tuple((name, _kind(of)) for name, of in columns[:MOST_NAMES]),
        num_columns=len(columns),
        rows=tuple(
            _row(task, [of for _, of in columns[:MOST_NAMES]], digest, row)
            for row in range(ROWS if columns else 0)
        ),
        task=digest,
    )


def _form(task: Task) -> str:
    if task.table is not None:
        return "table"
    if task.holds_texts:
        return "texts"
    return "images" if len(task.shape) == 3 else "vectors"


def _sources(table: TableSchema) -> dict[str, Column]:
    """Give each column of a file with what the task makes of it: a date's parts are one column."""
    found: dict[str, Column] = {}
    for column in table.columns:
        found.setdefault(column.source, column)
    return found


def _kind(column: Column) -> str:
    if isinstance(column, Numbers):
        return "date" if column.date else "number"
    return "category"


def _row(task: Task, columns: list[Column], digest: str, row: int) -> tuple[str, ...]:
    cells = [_cell(column, f"{digest} {place} {row}") for place, column in enumerate(columns)]
    return (*cells, cleaned(task.classes[row % task.num_classes], LONGEST_CELL))


def _cell(column: Column, seed: str) -> str:
    """Make a cell up, from the task's own scaling and categories."""
    # Not numpy's generator: another version of it would make other rows of the same task.
    drawn = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:6], "big")
    if not isinstance(column, Numbers):
        return cleaned(column.known[drawn % len(column.known)], LONGEST_CELL)
    if column.date:
        return f"2000-{1 + drawn % 12:02d}-{1 + drawn // 12 % 28:02d}"
    away = REACH * (2 * drawn / 2**48 - 1)
    with np.errstate(over="ignore", invalid="ignore"):
        number = float(unscaled(column, np.array([away]))[0])
    return f"{number if math.isfinite(number) else column.fill:.3g}"
