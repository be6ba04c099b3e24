"""The agreement of trainer and owners about a table: columns, categories and scaling.

Fitted on the trainer's own training rows and on nothing else; the trainer hands it out as a few
numbers and names, which say as much about its rows as their medians, means, standard deviations
and categories do. An owner's table is checked against it, and no statistic of the owner's is taken.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float32

from mycroft_fl.claims import check_bytes
from mycroft_fl.data.tables.columns import (
    FURTHEST,
    Categories,
    Column,
    Numbers,
    column_from,
    scaled,
    unscaled,
)
from mycroft_fl.data.tables.encode import DataTable
from mycroft_fl.data.tables.flaws import all_flaws, as_names, first_flaw, read_numbers
from mycroft_fl.errors import DataError, one_line


@dataclass(frozen=True)
class TableSchema:
    """The columns of a task, in order. `fills` and `ignores`: see DatasetSpec's missing, unseen.

    `label` is the trainer's own column with the class; "" where nobody said.
    """

    columns: tuple[Column, ...]
    fills: bool = False
    ignores: bool = False
    label: str = ""

    @property
    def width(self) -> int:
        """The length of an encoded row."""
        return sum(place.stop - place.start for _, place in self._places())

    def encode(self, table: DataTable) -> Float32[np.ndarray, "n width"]:
        """Return the rows as vectors.

        Raises `DataError` with a line for each column that does not fit: the first such row, and why.
        """
        self.check_columns(table)
        if flaws := all_flaws(self.columns, table, fills=self.fills, ignores=self.ignores):
            raise DataError("\n".join(flaws))
        return self.vectors(table)

    def vectors(self, table: DataTable) -> Float32[np.ndarray, "n width"]:
        """Return the rows as vectors, flaws filled or ignored; check them with `flaw`."""
        self.check_columns(table)
        x = _room(self, table)
        for column, place in self._places():
            if isinstance(column, Numbers):
                x[:, place.start] = scaled(column, read_numbers(column, table))
                continue
            texts = as_names(column, table.features[column.name])
            texts[texts == None] = column.fill  # noqa: E711
            for offset, name in enumerate(column.known):
                x[:, place.start + offset] = texts == name
        return x

    @property
    def kinds(self) -> dict[str, str]:
        """What each column of a file holds."""
        kinds = {c.name: "category" for c in self.columns if isinstance(c, Categories)}
        numbers = (each for each in self.columns if isinstance(each, Numbers))
        return kinds | {each.source: "date" if each.date else "number" for each in numbers}

    def could_hold(self, x: Float32[np.ndarray, "n width"]) -> Bool[np.ndarray, " n"]:
        """Return which vectors a row could have become: in each column of names one, or none if ignored."""
        possible: np.ndarray = (np.abs(x) <= FURTHEST).all(axis=1)
        for column, place in self._places():
            if isinstance(column, Categories):
                part = x[:, place]
                ones = (part == 1).sum(axis=1)
                enough = ones == 1 if not self.ignores else ones <= 1
                possible &= np.isin(part, (0, 1)).all(axis=1) & enough
        return possible

    def with_names_of(
        self, x: Float32[np.ndarray, "n width"], before: Float32[np.ndarray, "n width"]
    ) -> Float32[np.ndarray, "n width"]:
        """Return `x` with the columns of names as they were: noise belongs on numbers alone."""
        kept = x.copy()
        for column, place in self._places():
            if isinstance(column, Categories):
                kept[:, place] = before[:, place]
        return kept

    def decoded(self, x: Float32[np.ndarray, "n width"]) -> pd.DataFrame:
        """Turn vectors into rows again, up to rounding; a category that the task does not know is empty."""
        columns: dict[str, np.ndarray] = {}
        for column, place in self._places():
            if isinstance(column, Numbers):
                columns[column.name] = unscaled(column, x[:, place.start].astype(np.float64))
                continue
            names = np.array(column.known, dtype=object)[x[:, place].argmax(axis=1)]
            columns[column.name] = np.where(x[:, place].max(axis=1) > 0.5, names, "")
        return pd.DataFrame(columns)

    def _places(self) -> Iterator[tuple[Column, slice]]:
        start = 0
        for column in self.columns:
            width = 1 if isinstance(column, Numbers) else len(column.known)
            yield column, slice(start, start + width)
            start += width

    def check_columns(self, table: DataTable) -> None:
        """Raise `DataError` where the table lacks a column of the task; further columns are left out."""
        missing = [name for name in self.kinds if name not in table.features]
        if missing:
            raise DataError(
                f"{table.source}: column '{missing[0]}' is missing"
                + (f", and {len(missing) - 1} more" if len(missing) > 1 else "")
                + f"; the task's columns are {', '.join(self.kinds)}"
            )

    def flaw(self, table: DataTable) -> str | None:
        """Return what is wrong with the first row that does not fit, naming row and column."""
        self.check_columns(table)
        return first_flaw(self.columns, table, fills=self.fills, ignores=self.ignores)

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as plain values, ready for JSON."""
        kinds = [{"kind": type(c).__name__.lower(), **_filled(asdict(c))} for c in self.columns]
        named = {"label": self.label} if self.label else {}
        return {"columns": kinds, "fills": self.fills, "ignores": self.ignores, **named}

    @classmethod
    def from_dict(cls, content: Any) -> TableSchema:
        """Return the schema that `as_dict` gave. Raises `DataError` on any other JSON."""
        try:
            columns = tuple(column_from(dict(each)) for each in content["columns"])
            if not 0 < len({each.name for each in columns}) == len(columns):
                raise ValueError("it has no columns, or one twice")
            label = content.get("label", "")  # the first release wrote none
            if not isinstance(label, str):
                raise ValueError("its label is no name")
            return cls(columns, bool(content["fills"]), bool(content["ignores"]), label)
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"this is not the description of a table ({error!r})") from error


def _filled(column: dict[str, Any]) -> dict[str, Any]:
    """Leave out what says nothing: a schema without dates is what the first release wrote and reads."""
    return {
        key: value for key, value in column.items() if value != "" or key not in ("date", "part")
    }


def _room(schema: TableSchema, table: DataTable) -> np.ndarray:
    """Make room for a table's vectors; `DataError` naming the widest column where there is not enough."""
    try:
        check_bytes(
            len(table) * schema.width * np.dtype(np.float32).itemsize, "its rows as vectors"
        )
        return np.empty((len(table), schema.width), dtype=np.float32)
    except (ValueError, MemoryError) as error:
        names = [each for each in schema.columns if isinstance(each, Categories)]
        widest = max(names, key=lambda each: len(each.known), default=None)
        raise DataError(
            f"{table.source}: {one_line(error)}"
            + (
                f"; column '{widest.name}' alone has {len(widest.known)} categories"
                if widest
                else ""
            )
        ) from error
