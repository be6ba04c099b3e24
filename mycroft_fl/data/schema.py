"""What trainer and owners agree on about a table: columns, categories and scaling.

Fitted on the trainer's own training rows and on nothing else; the trainer hands it out as a few
numbers and names, which say as much about its rows as their medians, means, standard deviations
and categories do. An owner's table is checked against it, and no statistic of the owner's is taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float32
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from mycroft_fl.data.spec import DatasetSpec
from mycroft_fl.data.tables import Table, text_of
from mycroft_fl.errors import DataError

MOSTLY = 0.9
FURTHEST = 100.0
"""Standard deviations. What lies further out says no more, and could ruin a model by itself."""


@dataclass(frozen=True)
class Numbers:
    """A column of numbers: (v - mean) / scale, after a logarithm where `log`."""

    name: str
    fill: float
    mean: float
    scale: float
    log: bool


@dataclass(frozen=True)
class Categories:
    """A column of names, one-hot over `known`."""

    name: str
    fill: str
    known: tuple[str, ...]


Column = Numbers | Categories


@dataclass(frozen=True)
class TableSchema:
    """The columns of a task, in order. `fills` and `ignores`: see DatasetSpec's missing, unseen."""

    columns: tuple[Column, ...]
    fills: bool = False
    ignores: bool = False

    @property
    def width(self) -> int:
        """The length of an encoded row."""
        return sum(1 if isinstance(c, Numbers) else len(c.known) for c in self.columns)

    def encode(self, table: Table) -> Float32[np.ndarray, "n width"]:
        """The rows as vectors. Raises `DataError` naming the first that does not fit, and why."""
        if flaw := self.flaw(table):
            raise DataError(flaw)
        return self.vectors(table)

    def vectors(self, table: Table) -> Float32[np.ndarray, "n width"]:
        """The rows as vectors, flaws filled or ignored; check them with `flaw`."""
        self.check_columns(table)
        x = np.empty((len(table), self.width), dtype=np.float32)
        place = 0
        for column in self.columns:
            values = table.features[column.name]
            if isinstance(column, Numbers):
                x[:, place] = _scaled(column, _as_numbers(values))
                place += 1
                continue
            texts = text_of(values)
            texts[pd.isna(texts)] = column.fill
            for name in column.known:
                x[:, place] = texts == name
                place += 1
        return x

    def decoded(self, x: Float32[np.ndarray, "n width"]) -> pd.DataFrame:
        """Vectors as rows again, up to rounding; a category that the task does not know is empty."""
        columns: dict[str, np.ndarray] = {}
        place = 0
        for column in self.columns:
            if isinstance(column, Numbers):
                columns[column.name] = _unscaled(column, x[:, place].astype(np.float64))
                place += 1
                continue
            shares = x[:, place : place + len(column.known)]
            names = np.array(column.known, dtype=object)[shares.argmax(axis=1)]
            columns[column.name] = np.where(shares.max(axis=1) > 0.5, names, "")
            place += len(column.known)
        return pd.DataFrame(columns)

    def check_columns(self, table: Table) -> None:
        """`DataError` where the table lacks a column of the task. Further columns are left out."""
        missing = [c.name for c in self.columns if c.name not in table.features]
        if missing:
            raise DataError(
                f"{table.source}: column '{missing[0]}' is missing"
                + (f", and {len(missing) - 1} more" if len(missing) > 1 else "")
                + f"; the task's columns are {', '.join(c.name for c in self.columns)}"
            )

    def flaw(self, table: Table) -> str | None:
        """What is wrong with the first row that does not fit, naming row and column."""
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
            numbers = _as_numbers(values)
            wrong = ~np.isfinite(numbers) & ~empty
            flaws.append((np.flatnonzero(wrong), "is not a finite number, as the task wants it"))
        elif not self.ignores:
            unseen = ~np.isin(text_of(values).astype(str), column.known) & ~empty
            problem = (
                "is a category that the trainer's rows do not have; "
                'take such rows out, or set unseen = "ignore"'
            )
            flaws.append((np.flatnonzero(unseen), problem))
        return flaws

    def as_dict(self) -> dict[str, Any]:
        """All of it as plain values, ready for JSON."""
        kinds = [{"kind": type(c).__name__.lower(), **asdict(c)} for c in self.columns]
        return {"columns": kinds, "fills": self.fills, "ignores": self.ignores}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> TableSchema:
        """The schema that `as_dict` gave. Raises `DataError` on anything else."""
        try:
            columns = tuple(_column(dict(each)) for each in content["columns"])
            return cls(columns, bool(content["fills"]), bool(content["ignores"]))
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"this is not the description of a table ({error!r})") from error


def fit_schema(table: Table, spec: DatasetSpec) -> TableSchema:
    """The schema of a trainer's training rows, by scikit-learn's preprocessing.

    Raises `DataError` where a value is missing and not to be filled, or a column is empty.
    """
    for name in spec.log:
        if not pd.api.types.is_numeric_dtype(table.column(name)):
            raise DataError(f"{table.source}: log names column '{name}', which holds no numbers")
    columns = tuple(_fitted(table, str(name), str(name) in spec.log) for name in table.features)
    return TableSchema(columns, spec.missing == "fill", spec.unseen == "ignore")


def _fitted(table: Table, name: str, log: bool) -> Column:
    values = table.features[name]
    if values.isna().all():
        raise DataError(f"{table.source}: column '{name}' is empty in the trainer's rows; drop it")
    numbers = _as_numbers(values)
    # A few words among numbers are mistakes in a column of numbers, not categories.
    if np.isfinite(numbers).sum() >= MOSTLY * values.notna().sum():
        numbers[~np.isfinite(numbers)] = np.nan
        median = SimpleImputer(strategy="median").fit(numbers[:, None])
        filled = median.transform(numbers[:, None])
        scaler = StandardScaler().fit(_logged(filled) if log else filled)
        fill, mean, scale = median.statistics_[0], scaler.mean_[0], scaler.scale_[0]
        return Numbers(name, float(fill), float(mean), float(scale), log)
    texts = text_of(values)[:, None]
    mode = SimpleImputer(strategy="most_frequent", missing_values=None).fit(texts)
    onehot = OneHotEncoder().fit(mode.transform(texts))
    return Categories(name, str(mode.statistics_[0]), tuple(map(str, onehot.categories_[0])))


def _column(content: dict[str, Any]) -> Column:
    kind = content.pop("kind")
    if kind == "numbers":
        numbers = Numbers(**content)
        values = np.array([numbers.fill, numbers.mean, numbers.scale], dtype=np.float64)
        if not np.isfinite(values).all() or numbers.scale <= 0:
            raise ValueError(f"column {numbers.name} is not scaled by finite numbers")
        return numbers
    if kind == "categories":
        return Categories(**{**content, "known": tuple(map(str, content["known"]))})
    raise ValueError(f"a column of kind {kind}")


def _as_numbers(values: pd.Series) -> np.ndarray:
    """Floats; NaN for what is missing and for what is no number."""
    numbers = pd.to_numeric(values, errors="coerce")
    return np.array(numbers.to_numpy(dtype=np.float64, na_value=np.nan))


def _scaled(column: Numbers, numbers: np.ndarray) -> np.ndarray:
    filled = np.where(np.isfinite(numbers), numbers, column.fill)
    if column.log:
        filled = _logged(filled)
    return np.asarray(np.clip((filled - column.mean) / column.scale, -FURTHEST, FURTHEST))


def _unscaled(column: Numbers, scaled: np.ndarray) -> np.ndarray:
    values = scaled * column.scale + column.mean
    return np.sign(values) * np.expm1(np.abs(values)) if column.log else np.asarray(values)


def _logged(values: np.ndarray) -> np.ndarray:
    return np.asarray(np.sign(values) * np.log1p(np.abs(values)))
