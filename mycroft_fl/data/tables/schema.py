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
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from mycroft_fl.data.formats.spec import DatasetSpec
from mycroft_fl.data.tables.columns import (
    FURTHEST,
    Categories,
    Column,
    Numbers,
    as_numbers,
    column_from,
    logged,
    scaled,
    unscaled,
)
from mycroft_fl.data.tables.encode import DataTable, known_as, text_of
from mycroft_fl.errors import DataError

MOSTLY = 0.9


@dataclass(frozen=True)
class TableSchema:
    """The columns of a task, in order. `fills` and `ignores`: see DatasetSpec's missing, unseen."""

    columns: tuple[Column, ...]
    fills: bool = False
    ignores: bool = False

    @property
    def width(self) -> int:
        """The length of an encoded row."""
        return sum(place.stop - place.start for _, place in self._places())

    def encode(self, table: DataTable) -> Float32[np.ndarray, "n width"]:
        """Return the rows as vectors. Raises `DataError` naming the first that does not fit, and why."""
        if flaw := self.flaw(table):
            raise DataError(flaw)
        return self.vectors(table)

    def vectors(self, table: DataTable) -> Float32[np.ndarray, "n width"]:
        """Return the rows as vectors, flaws filled or ignored; check them with `flaw`."""
        self.check_columns(table)
        x = np.empty((len(table), self.width), dtype=np.float32)
        for column, place in self._places():
            values = table.features[column.name]
            if isinstance(column, Numbers):
                x[:, place.start] = scaled(column, as_numbers(values))
                continue
            texts = _names(column, values)
            texts[pd.isna(texts)] = column.fill
            for offset, name in enumerate(column.known):
                x[:, place.start + offset] = texts == name
        return x

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
        missing = [c.name for c in self.columns if c.name not in table.features]
        if missing:
            raise DataError(
                f"{table.source}: column '{missing[0]}' is missing"
                + (f", and {len(missing) - 1} more" if len(missing) > 1 else "")
                + f"; the task's columns are {', '.join(c.name for c in self.columns)}"
            )

    def flaw(self, table: DataTable) -> str | None:
        """Return what is wrong with the first row that does not fit, naming row and column."""
        self.check_columns(table)
        found = [
            (int(bad[0]), column.name, problem)
            for column in self.columns
            for bad, problem in self._flaws(column, table.features[column.name])
            if len(bad)
        ]
        if not found:
            return None
        row, name, problem = min(found, key=lambda each: each[0])
        shown = table.features[name].iloc[row]
        said = "" if pd.isna(shown) else f" '{shown}'"
        return f"{table.place(row)}, column '{name}'{said} {problem}"

    def _flaws(self, column: Column, values: pd.Series) -> list[tuple[np.ndarray, str]]:
        flaws = []
        empty = values.isna().to_numpy()
        if not self.fills:
            problem = 'is missing; fill it in, or set missing = "fill"'
            flaws.append((np.flatnonzero(empty), problem))
        if isinstance(column, Numbers):
            numbers = as_numbers(values)
            wrong = ~np.isfinite(numbers) & ~empty
            flaws.append((np.flatnonzero(wrong), "is not a finite number, as the task wants it"))
        elif not self.ignores:
            unseen = ~np.isin(_names(column, values).astype(str), column.known) & ~empty
            problem = (
                "is a category that the trainer's rows do not have; "
                'take such rows out, or set unseen = "ignore"'
            )
            flaws.append((np.flatnonzero(unseen), problem))
        return flaws

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as plain values, ready for JSON."""
        kinds = [{"kind": type(c).__name__.lower(), **asdict(c)} for c in self.columns]
        return {"columns": kinds, "fills": self.fills, "ignores": self.ignores}

    @classmethod
    def from_dict(cls, content: Any) -> TableSchema:
        """Return the schema that `as_dict` gave. Raises `DataError` on any other JSON."""
        try:
            columns = tuple(column_from(dict(each)) for each in content["columns"])
            if not 0 < len({each.name for each in columns}) == len(columns):
                raise ValueError("it has no columns, or one twice")
            return cls(columns, bool(content["fills"]), bool(content["ignores"]))
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"this is not the description of a table ({error!r})") from error


def _names(column: Categories, values: pd.Series) -> np.ndarray:
    """Return values as the column's names, each by itself; missing ones stay missing."""
    texts, known = text_of(values), frozenset(column.known)
    meant = {each: known_as(each, known) for each in set(texts) if each is not None}
    return np.array([None if each is None else meant[each] for each in texts], dtype=object)


def fit_schema(table: DataTable, spec: DatasetSpec) -> TableSchema:
    """Return the schema of a trainer's training rows, by scikit-learn's preprocessing.

    Raises `DataError` where a column is empty, or has a logarithm without holding numbers. Values
    that are missing are left out here; `encode` refuses or fills them.
    """
    for name in spec.log:
        if not pd.api.types.is_numeric_dtype(table.column(name)):
            raise DataError(f"{table.source}: log names column '{name}', which holds no numbers")
    columns = tuple(_fitted(table, str(name), str(name) in spec.log) for name in table.features)
    return TableSchema(columns, spec.missing == "fill", spec.unseen == "ignore")


def _fitted(table: DataTable, name: str, log: bool) -> Column:
    values = table.features[name]
    if values.isna().all():
        raise DataError(f"{table.source}: column '{name}' is empty in the trainer's rows; drop it")
    numbers = as_numbers(values)
    # A few words among numbers are mistakes in a column of numbers, not categories.
    if np.isfinite(numbers).sum() >= MOSTLY * values.notna().sum():
        numbers[~np.isfinite(numbers)] = np.nan
        median = SimpleImputer(strategy="median").fit(numbers[:, None])
        filled = median.transform(numbers[:, None])
        scaler = StandardScaler().fit(logged(filled) if log else filled)
        fill, mean, scale = median.statistics_[0], scaler.mean_[0], scaler.scale_[0]
        return Numbers(name, float(fill), float(mean), float(scale), log)
    texts = text_of(values)[:, None]
    mode = SimpleImputer(strategy="most_frequent", missing_values=None).fit(texts)
    onehot = OneHotEncoder().fit(mode.transform(texts))
    return Categories(name, str(mode.statistics_[0]), tuple(map(str, onehot.categories_[0])))
