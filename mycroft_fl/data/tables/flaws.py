"""The flaws of a table as a task sees them: values that are missing, no number, or no known category."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64, Shaped

from mycroft_fl.data.formats.said import say
from mycroft_fl.data.tables.cells import TextColumn
from mycroft_fl.data.tables.columns import Categories, Column, Numbers
from mycroft_fl.data.tables.encode import DataTable
from mycroft_fl.data.tables.kinds import written_otherwise
from mycroft_fl.data.tables.values import INFINITE, known_as
from mycroft_fl.settings.toml_table import toml_key

Flaw = tuple[np.ndarray, str]
Unknown = tuple[str, int, str]
"""A column, in how many rows its category is unknown, and one such."""
MOST_SAID = 3  # columns of one kind, in one line
WANTED = "as the task wants it"
FILL, IGNORE = 'set missing = "fill"', 'set unseen = "ignore"'
WRITTEN = "say how it is written, such as columns."
ASKS = {
    each: f"ask the trainer for a task with {each.removeprefix('set ')}" for each in (FILL, IGNORE)
} | {WRITTEN: "mend it, or say how dates are written, such as dataset.columns."}


def first_flaw(
    columns: Sequence[Column], table: DataTable, *, fills: bool, ignores: bool
) -> str | None:
    """Return what is wrong with the first row that does not fit; say what is filled or ignored."""
    return next(iter(all_flaws(columns, table, fills=fills, ignores=ignores)), None)


def all_flaws(
    columns: Sequence[Column],
    table: DataTable,
    *,
    fills: bool,
    ignores: bool,
    trainers: bool = False,
) -> list[str]:
    """Return a line for each column and kind of flaw, at its first row; those of the first rows first.

    Args:
        columns: of the task.
        table: that is to fit it.
        fills: whether missing values are filled.
        ignores: whether unknown categories count as none.
        trainers: whether the settings that mend a flaw are somebody else's: an owner can only ask.
    """
    unknown: list[Unknown] = []
    asks = ASKS if trainers else {}
    found = {
        (int(bad[0]), column.source, problem): len(bad)
        for column in columns
        for bad, problem in _flaws(column, table, fills, unknown if ignores else None)
        if len(bad)
    }
    _say_unknown(unknown, table)
    lines = []
    for (row, name, problem), count in sorted(found.items(), key=lambda each: each[0][0]):
        shown = table.features[name].text(row)
        for own, others in asks.items():
            problem = problem.replace(own, others)
        if trainers and problem.endswith(WANTED):
            problem += f"; mend it, or take the row out{_counts_as_missing(name, shown, fills)}"
        said = "" if shown is None else f" '{shown}'"
        rows = f" ({count} rows)" if count > 1 else ""
        lines.append(f"{table.place(row)}, column '{name}'{said} {problem}{rows}")
    return lines


def _counts_as_missing(name: str, shown: str | None, fills: bool) -> str:
    """Return the key by which a text stands for a missing value, where such are filled."""
    if not fills or shown is None:
        return ""
    listed = json.dumps([shown], ensure_ascii=False)
    return (
        f", or set dataset.missing-values = {{ {toml_key(name)} = {listed} }} if it stands for none"
    )


def read_numbers(column: Numbers, table: DataTable) -> Float64[np.ndarray, " n"]:
    """Return a column's numbers, or those of a date's part; NaN or infinite where there are none."""
    return table.date(column.date, column.part) if column.date else table.number(column.name)


def as_names(column: Categories, values: TextColumn) -> Shaped[np.ndarray, " n"]:
    """Return values as the column's names, each by itself; None for what is missing."""
    known = frozenset(column.known)
    return values.each(lambda text: known_as(text, known), object, None)


def _say_unknown(unknown: list[Unknown], table: DataTable) -> None:
    """Say in one line what counts as none: of fifty columns of categories most lack some."""
    if not unknown:
        return
    most = sorted(unknown, key=lambda each: -each[1])[:MOST_SAID]
    said = "; ".join(
        f"in column '{name}' {count} of {len(table)} rows have a category that the task does not know, "
        f"such as '{example}'"
        if place == 0
        else f"in '{name}' {count}, such as '{example}'"
        for place, (name, count, example) in enumerate(most)
    )
    more = (
        f"; and so in further columns: {len(unknown) - len(most)}" if unknown[len(most) :] else ""
    )
    say(f"{table.source}: {said}{more}; they count as none")


def _flaws(
    column: Column, table: DataTable, fills: bool, unknown: list[Unknown] | None
) -> list[Flaw]:
    values = table.features[column.source]
    flaws: list[Flaw] = []
    if not fills:
        problem = f"is missing; fill it in, or {FILL}"
        flaws.append((np.flatnonzero(values.missing), problem))
    if isinstance(column, Categories):
        return flaws + _of_names(column, values, unknown)
    return flaws + _of_numbers(column, values, table, fills)


def _of_names(column: Categories, values: TextColumn, unknown: list[Unknown] | None) -> list[Flaw]:
    known = frozenset(column.known)
    unseen = values.each(lambda text: known_as(text, known) not in known, bool, False)
    if unknown is not None:
        if unseen.any():
            example = values.text(int(np.flatnonzero(unseen)[0])) or ""
            unknown.append((column.name, int(unseen.sum()), example))
        return []
    problem = f"is a category that the trainer's rows do not have; take such rows out, or {IGNORE}"
    return [(np.flatnonzero(unseen), problem)]


def _of_numbers(column: Numbers, values: TextColumn, table: DataTable, fills: bool) -> list[Flaw]:
    numbers = read_numbers(column, table)
    infinite = np.isinf(numbers)
    key = toml_key(column.source)
    if column.date:
        wrong = "is no date such as 2021-03-31 or 2021-03-31 14:05, as the task wants it; "
        wrong += f'{WRITTEN}{key} = "date:%d/%m/%Y"'
    else:
        hint = written_otherwise(values)
        wrong = f"is not a finite number, {WANTED}" + (f"; {hint}" if hint else "")
    flaws = [(np.flatnonzero(np.isnan(numbers) & ~values.missing), wrong)]
    if fills and infinite.any():
        say(
            f"{table.source}: in column '{column.name}' {int(infinite.sum())} of {len(values)} rows hold an "
            "infinite number; they count as missing"
        )
    elif infinite.any():
        text = values.text(int(np.flatnonzero(infinite)[0]))
        listed = text if text is not None and INFINITE.fullmatch(text) else "inf"
        flaws.append((
            np.flatnonzero(infinite),
            f"is not a finite number, as the task wants it; take the row out, or {FILL}, by "
            f'which it counts as missing, as with missing-values = {{ {key} = ["{listed}"] }}',
        ))  # fmt: skip
    return flaws
