"""A task's columns: numbers that are scaled, names that become one-hot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mycroft_fl.data.tables.values import PARTS

MOST_CATEGORIES = 100_000
FURTHEST = 100.0
"""Standard deviations. A number further out says no more, and could ruin a model by itself."""


@dataclass(frozen=True)
class Numbers:
    """A column of numbers: (v - mean) / scale, after a logarithm where `log`.

    Where `part` is set, the number is that part of a date in the column `date`.
    """

    name: str
    fill: float
    mean: float
    scale: float
    log: bool
    date: str = ""
    part: str = ""

    @property
    def source(self) -> str:
        """The column of the file that it is read from."""
        return self.date or self.name


@dataclass(frozen=True)
class Categories:
    """A column of names, one-hot over `known`."""

    name: str
    fill: str
    known: tuple[str, ...]

    @property
    def source(self) -> str:
        """The column of the file that it is read from."""
        return self.name


Column = Numbers | Categories


def column_from(content: dict[str, Any]) -> Column:
    """Return a column from plain values that came from anywhere. `KeyError`, `TypeError`, `ValueError`."""
    kind = content.pop("kind")
    if not isinstance(content["name"], str):
        raise ValueError(f"a column is called {content['name']!r}")
    if kind == "numbers":
        numbers = Numbers(**content)
        values = np.array([numbers.fill, numbers.mean, numbers.scale], dtype=np.float64)
        if not np.isfinite(values).all() or numbers.scale <= 0:
            raise ValueError(f"column {numbers.name} is not scaled by finite numbers")
        if bool(numbers.date) != (numbers.part in PARTS) or not isinstance(numbers.date, str):
            raise ValueError(f"column {numbers.name} is part of no date")
        return numbers
    if kind == "categories":
        names = Categories(**{**content, "known": tuple(map(str, content["known"]))})
        if not 0 < len(set(names.known)) == len(names.known) <= MOST_CATEGORIES:
            raise ValueError(f"column {names.name} has no categories, too many, or one twice")
        return names
    raise ValueError(f"a column of kind {kind}")


def scaled(column: Numbers, numbers: np.ndarray) -> np.ndarray:
    """Scale numbers as a model sees them; what is missing takes the column's fill."""
    filled = np.where(np.isfinite(numbers), numbers, column.fill)
    if column.log:
        filled = logged(filled)
    return np.asarray(np.clip((filled - column.mean) / column.scale, -FURTHEST, FURTHEST))


def unscaled(column: Numbers, scaled: np.ndarray) -> np.ndarray:
    """Return numbers as they stood in the table, up to rounding."""
    values = scaled * column.scale + column.mean
    return np.sign(values) * np.expm1(np.abs(values)) if column.log else np.asarray(values)


def logged(values: np.ndarray) -> np.ndarray:
    """Return sign(v) log(1 + |v|)."""
    return np.asarray(np.sign(values) * np.log1p(np.abs(values)))
