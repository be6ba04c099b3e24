"""A table split into features and others; every flaw names the file, and row or column."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float64, Int64

from mycroft_fl.data.formats.spec import NO_FEATURES, DatasetSpec
from mycroft_fl.data.tables.cells import TextColumn, joined
from mycroft_fl.data.tables.files import read_columns
from mycroft_fl.data.tables.kinds import inspected
from mycroft_fl.data.tables.values import PARTS, Spelling, date_of, is_missing, numbers_of
from mycroft_fl.errors import DataError, suggestion


@dataclass(frozen=True, eq=False)
class DataTable:
    """Rows as they stand in a file: nothing is scaled, filled or encoded yet.

    `features` are the columns that a model may see, `others` the rest: label, unit, what was
    dropped. `kinds` says what each feature holds: "number", "category" or "date". `numbers` are the
    rows' numbers in their file, counted from 1 without the header; `files[file_of[i]]` is the file of
    row i.
    """

    files: tuple[str, ...]
    file_of: Int64[np.ndarray, " n"]
    numbers: Int64[np.ndarray, " n"]
    features: Mapping[str, TextColumn]
    others: Mapping[str, TextColumn]
    kinds: Mapping[str, str]
    spelling: Spelling

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, rows: np.ndarray) -> DataTable:
        return DataTable(
            self.files, self.file_of[rows], self.numbers[rows],
            {name: column[rows] for name, column in self.features.items()},
            {name: column[rows] for name, column in self.others.items()},
            self.kinds, self.spelling,
        )  # fmt: skip

    @property
    def source(self) -> str:
        """The files' names."""
        return " and ".join(self.files)

    def place(self, row: int) -> str:
        """Return where a row stands: its file and number."""
        return f"{self.files[self.file_of[row]]}: row {self.numbers[row]}"

    @property
    def contents(self) -> list[np.ndarray]:
        """The features, column by column: numbers as floats, everything else as text."""
        found = []
        for name, column in self.features.items():
            if self.kinds[name] != "number":
                found.append(column.texts)
                continue
            numbers = self.number(name)
            found.append(numbers)
            # A word among numbers is a flaw to be told, and no copy of a row whose number is missing.
            if (np.isnan(numbers) & ~column.missing).any():
                words = column.texts
                words[~np.isnan(numbers)] = None
                found.append(words)
        return found

    @property
    def ids(self) -> Int64[np.ndarray, " n"]:
        """A 64-bit digest of each row's features; the label and dropped columns are left out."""
        if not self.features:
            return np.zeros(len(self), np.int64)
        digests = pd.util.hash_pandas_object(
            pd.DataFrame(dict(enumerate(self.contents))), index=False
        )
        return np.asarray(digests.to_numpy().view(np.int64))

    def column(self, name: str) -> TextColumn:
        """Return any column, a feature or not. `DataError` for an unknown name."""
        for part in (self.features, self.others):
            if name in part:
                return part[name]
        known = [*self.features, *self.others]
        raise DataError(f"{self.source}: there is no column '{name}'{suggestion(name, known)}")

    def number(self, name: str) -> Float64[np.ndarray, " n"]:
        """Return a column as numbers, which may be infinite; NaN where it is missing or holds none."""
        column = self.column(name)
        numbers = np.append(numbers_of(column.names, self.spelling), np.nan)
        return np.asarray(numbers[column.codes])  # a code of -1 points to the last

    def date(self, name: str, part: str) -> Float64[np.ndarray, " n"]:
        """Return one of a date's `PARTS`; NaN where it is missing or the column holds none."""
        pattern, place = dict(self.spelling.dates).get(name, ""), PARTS.index(part)
        return self.column(name).each(
            lambda text: date_of(text, pattern)[place], np.float64, np.nan
        )


def read_table(path: Path, spec: DatasetSpec, kinds: Mapping[str, str] | None = None) -> DataTable:
    """Return the table in a file, split into features and others. Raises `DataError`.

    `kinds` are the task's, by column: then the file itself has no say in what a column holds, and
    columns that the task does not know are text. Without them, the spec says what a column holds,
    and else all of the file's rows do.
    """
    return table_of(read_columns(path, spec), path, spec, kinds)


def table_of(
    columns: Mapping[str, TextColumn],
    path: Path,
    spec: DatasetSpec,
    kinds: Mapping[str, str] | None = None,
) -> DataTable:
    """Return columns, wherever they were read, split into features and others; see `read_table`.

    `path` stands for them in messages.
    """
    no_features = [name for name, kind in spec.kinds.items() if kind in NO_FEATURES]
    marks = filter(None, (spec.unit_id, spec.shareable, spec.image, spec.text))
    named = list(dict.fromkeys([spec.label, *spec.drop, *marks, *no_features]))
    _check_columns(path, list(columns), [*named, *spec.kinds, *dict(spec.missing_values)], spec)
    spelling, listed = Spelling.of(spec), dict(spec.missing_values)
    columns = {
        # A text of one question mark, or NA, is a text; only an empty one is none.
        name: without_missing(column, listed.get(name, () if name == spec.text else None), spelling)
        for name, column in columns.items()
    }
    others = {name: columns.pop(name) for name in named}
    _check_filled(path, others[spec.label], spec.label, "label", "label it or take it out")
    if spec.unit_id:
        _check_filled(
            path, others[spec.unit_id], spec.unit_id, "unit", "say whose it is or take it out"
        )
    if spec.image:
        _check_filled(path, others[spec.image], spec.image, "image", "name its file or take it out")
    if spec.text:
        _check_filled(path, others[spec.text], spec.text, "text", "write it or take the row out")
    if not columns and not spec.image and not spec.text:
        raise DataError(f"{path.name}: no column is left for a model to see; drop fewer")
    n = len(others[spec.label])
    return DataTable(
        (path.name,), np.zeros(n, np.int64), np.arange(1, n + 1), columns, others,
        _kinds(path, columns, spec, kinds), spelling,
    )  # fmt: skip


def concatenated(first: DataTable, second: DataTable) -> DataTable:
    """Return both tables' rows under the first one's columns. Raises `DataError` where one is missing."""
    absent = [name for name in first.features if name not in second.features]
    if absent:
        raise DataError(f"{second.source}: column '{absent[0]}' is missing; {first.source} has it")
    return DataTable(
        first.files + second.files,
        np.concatenate([first.file_of, second.file_of + len(first.files)]),
        np.concatenate([first.numbers, second.numbers]),
        {name: joined(column, second.features[name]) for name, column in first.features.items()},
        {name: joined(column, second.others[name]) for name, column in first.others.items()},
        first.kinds, first.spelling,
    )  # fmt: skip


def without_missing(
    column: TextColumn, listed: tuple[str, ...] | None, spelling: Spelling
) -> TextColumn:
    """Return a column whose values that stand for none are missing: those listed, or the usual ones."""
    return column.renamed(lambda text: None if is_missing(text, listed, spelling) else text)


def _kinds(
    path: Path,
    columns: Mapping[str, TextColumn],
    spec: DatasetSpec,
    kinds: Mapping[str, str] | None,
) -> dict[str, str]:
    """Return what each column holds: by the task, else by the spec, else by what stands in it."""
    declared = {name: kind for name, kind in spec.kinds.items() if name in columns}
    if kinds is not None:
        for name, kind in declared.items():
            if kinds.get(name, kind) != kind:
                raise DataError(
                    f"{path.name}: columns.{name} is '{kind}', but the task has a {kinds[name]} there; "
                    "take it out, since the task decides"
                )
        return {name: kinds.get(name, "category") for name in columns}
    spelling = Spelling.of(spec)
    return {
        name: declared.get(name) or inspected(column, spelling) for name, column in columns.items()
    }


def _check_filled(path: Path, column: TextColumn, name: str, what: str, remedy: str) -> None:
    empty = np.flatnonzero(column.missing)
    if len(empty):
        raise DataError(
            f"{path.name}: row {empty[0] + 1} has no {what} in column '{name}'; {remedy}"
        )


def _check_columns(path: Path, there: list[str], named: list[str], spec: DatasetSpec) -> None:
    if not spec.label:
        raise DataError(
            f"{path.name} is a table: say which column holds the class, such as "
            f'dataset = {{ path = "{path.name}", label = "{there[-1]}" }}'
        )
    for name in named:
        if name not in there:
            raise DataError(f"{path.name}: there is no column '{name}'{suggestion(name, there)}")
