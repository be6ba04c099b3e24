"""The kind of a column, number or category, as a trainer's own rows show it; and what no model should see."""

from __future__ import annotations

import re

import numpy as np

from mycroft_fl.data.tables.cells import TextColumn
from mycroft_fl.data.tables.values import (
    CODE,
    EXACT,
    Spelling,
    looks_like_date,
    number_of,
    numbers_of,
)
from mycroft_fl.settings.toml_table import toml_key

MOSTLY = 0.9
MANY = 30
"""Different names from which on a category may be an identifier."""
POINTED = re.compile(r"[+-]?(?:\d+|\d{1,3}(?:[.'\u2019 \u00a0\u202f]\d{3})+),\d+", re.ASCII)
GROUPED = re.compile(
    r"[+-]?\d{1,3}(?:(?P<mark>[,'\u2019 \u00a0\u202f])\d{3})(?:(?P=mark)\d{3})*(?:\.\d+)?", re.ASCII
)
THOUSANDS = re.compile(r"(?<=\d)[.'\u2019 \u00a0\u202f](?=\d{3})", re.ASCII)


def inspected(column: TextColumn, spelling: Spelling) -> str:
    """Return "number" where nearly all of it are numbers, none with a zero before it; else "category".

    A few words among numbers are mistakes in a column of numbers. 01 is a code, and so are all others
    that stand beside it.
    """
    begun = (text for text in column.names if text.startswith("0"))
    if not column.names or any(CODE.fullmatch(text) for text in begun):
        return "category"
    numbers = ~np.isnan(numbers_of(column.names, spelling))
    return "number" if _most(column, numbers) else "category"


def no_category(column: TextColumn, name: str) -> str | None:
    """Return why a column that nobody declared should not become one-hot, and what to do instead."""
    if hint := written_otherwise(column):
        return f"column '{name}' holds numbers such as '{_example(column)}'; {hint}"
    dates = np.array([looks_like_date(text) for text in column.names], dtype=bool)
    if _most(column, dates):
        return (
            f"column '{name}' holds dates such as '{_example(column)}'; set columns.{toml_key(name)} = "
            f'"date" for day, weekday and hour, or {_or_leave_out(name)}'
        )
    return identifies(column, name)


def identifies(column: TextColumn, name: str) -> str | None:
    """Return what is wrong with a category that says which row it is, not what is in it."""
    counts = column.counts
    distinct, filled = int((counts > 0).sum()), int(counts.sum())
    if distinct <= MANY or distinct <= filled / 2:
        return None
    return (
        f"column '{name}' has {distinct} different texts in {filled} rows, as an identifier has, and owners "
        f"would be told all of them; set {_or_leave_out(name)}"
    )


def no_number(column: TextColumn, name: str) -> str | None:
    """Return why a column of numbers that nobody declared should not be one: identifiers of 17 digits."""
    whole = [text for text in column.names if text.isascii() and text.isdigit()]
    large = [text for text in whole if float(text) >= EXACT]
    counts = column.counts
    if large and len(whole) == len(column.names) and (counts > 0).sum() > counts.sum() / 2:
        return (
            f"column '{name}' holds identifiers such as '{large[0][:40]}', which no number tells apart; set "
            f'columns.{toml_key(name)} = "id" to leave it out, "category" or "number"'
        )
    return None


def counts_rows(column: TextColumn) -> bool:
    """Return whether a column is the rows' own number, from 0 or 1 on, in their order."""
    if len(column) < MANY or len(column.names) != len(column) or column.names[0] not in ("0", "1"):
        return False
    first = int(column.names[0])
    return all(column.text(row) == str(first + row) for row in range(len(column)))


def written_otherwise(column: TextColumn) -> str | None:
    """Return which spelling would make numbers of what nearly all rows hold; None where none would."""
    numbers = ~np.isnan(numbers_of(column.names))
    if numbers.all():
        return None
    pointed = np.array([POINTED.fullmatch(text) is not None for text in column.names], dtype=bool)
    grouped = np.array([GROUPED.fullmatch(text) is not None for text in column.names], dtype=bool)
    if grouped.any() and _most(column, grouped | numbers):
        match = next(filter(None, map(GROUPED.fullmatch, column.names)))
        mark = " " if match["mark"].isspace() else match["mark"]
        hint = f'set thousands = "{mark}"'
        # 41,865 alone may be either.
        return hint + (
            ', or decimal = ","' if mark == "," and _most(column, pointed | numbers) else ""
        )
    if pointed.any() and _most(column, pointed | numbers):
        found = [mark for text in column.names for mark in THOUSANDS.findall(text)]
        marks = {" " if mark.isspace() else mark for mark in found}
        return 'set decimal = ","' + (f' and thousands = "{min(marks)}"' if marks else "")
    return None


def _most(column: TextColumn, those: np.ndarray) -> bool:
    counts = column.counts
    return bool(counts.sum()) and bool(counts[those].sum() >= MOSTLY * counts.sum())


def _example(column: TextColumn) -> str:
    texts = [text for text in column.names if np.isnan(number_of(text))]
    return next(iter(texts), "")[:40]


def _or_leave_out(name: str) -> str:
    return f'columns.{toml_key(name)} = "id" to leave it out, or "category" if it is one'
