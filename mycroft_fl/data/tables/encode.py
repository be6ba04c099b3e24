"""A table split into features and others; every flaw names the file, and row or column."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Int64

from mycroft_fl.data.formats.spec import DatasetSpec
from mycroft_fl.data.tables.files import read_frame, usual_delimiter
from mycroft_fl.errors import DataError, suggestion

OTHER_DELIMITERS = (";", "\t", "|", ",")
EXACT = 2**53
"""Beyond it a float no longer tells whole numbers apart."""


@dataclass(frozen=True, eq=False)
class DataTable:
    """Rows as they stand in a file: nothing is scaled, filled or encoded yet.

    `features` are the columns that a model may see, `others` the rest: label, unit, what was
    dropped. `numbers` are the rows' numbers in their file, counted from 1 without the header;
    `files[file_of[i]]` is the file of row i.
    """

    files: tuple[str, ...]
    file_of: Int64[np.ndarray, " n"]
    numbers: Int64[np.ndarray, " n"]
    features: pd.DataFrame
    others: pd.DataFrame

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, rows: np.ndarray) -> DataTable:
        return DataTable(
            self.files, self.file_of[rows], self.numbers[rows],
            self.features.iloc[rows], self.others.iloc[rows],
        )  # fmt: skip

    @property
    def source(self) -> str:
        """The files' names."""
        return " and ".join(self.files)

    def place(self, row: int) -> str:
        """Return where a row stands: its file and number."""
        return f"{self.files[self.file_of[row]]}: row {self.numbers[row]}"

    @property
    def ids(self) -> Int64[np.ndarray, " n"]:
        """A 64-bit digest of each row's features; the label and dropped columns are left out."""
        digests = pd.util.hash_pandas_object(self.features, index=False)
        return np.asarray(digests.to_numpy().view(np.int64))

    def column(self, name: str) -> pd.Series:
        """Return any column, a feature or not. `DataError` for an unknown name."""
        for part in (self.features, self.others):
            if name in part:
                return part[name]
        known = [*self.features, *self.others]
        raise DataError(f"{self.source}: there is no column '{name}'{suggestion(name, known)}")


def read_table(path: Path, spec: DatasetSpec, numbers: Collection[str] | None = None) -> DataTable:
    """Return the table in a file, split into features and others. Raises `DataError`.

    With `numbers`, columns that are not named there are read as text, so that no other row has a say
    in how a value is read: 01 beside a word stays 01, and beside numbers would become 1. That of
    units always is.
    """
    frame = read_frame(
        path,
        spec,
        lambda name: name == spec.unit_id or (numbers is not None and name not in numbers),
    )
    marks = filter(None, (spec.unit_id, spec.shareable, spec.image))
    named = [spec.label, *spec.drop, *marks]
    _check_columns(path, frame, named, spec)
    others = frame[list(dict.fromkeys(named))]
    features = frame.drop(columns=list(others))
    _check_filled(path, others, spec.label, "label", "label it or take it out")
    if spec.unit_id:
        _check_filled(path, others, spec.unit_id, "unit", "say whose it is or take it out")
    if spec.image:
        _check_filled(path, others, spec.image, "image", "name its file or take it out")
    if features.columns.empty and not spec.image:
        raise DataError(f"{path.name}: no column is left for a model to see; drop fewer")
    _check_kinds(path, features)
    n = len(frame)
    return DataTable((path.name,), np.zeros(n, np.int64), np.arange(1, n + 1), features, others)


def concatenated(first: DataTable, second: DataTable) -> DataTable:
    """Return both tables' rows under the first one's columns. Raises `DataError` where one is missing."""
    absent = [name for name in first.features if name not in second.features]
    if absent:
        raise DataError(f"{second.source}: column '{absent[0]}' is missing; {first.source} has it")
    return DataTable(
        first.files + second.files,
        np.concatenate([first.file_of, second.file_of + len(first.files)]),
        np.concatenate([first.numbers, second.numbers]),
        pd.concat([first.features, second.features[list(first.features)]], ignore_index=True),
        pd.concat([first.others, second.others], ignore_index=True),
    )


def text_of(column: pd.Series) -> np.ndarray:
    """Write values as text, whole numbers without a decimal point; missing ones stay missing."""
    if pd.api.types.is_float_dtype(column) and (column.dropna() % 1 == 0).all():
        column = column.astype("Int64")
    return np.array([None if pd.isna(each) else str(each) for each in column], dtype=object)


def known_as(text: str, known: Collection[str]) -> str:
    """Return the name in `known` that a text stands for, looked at alone; the text itself if no name fits.

    A number may have been written otherwise where the names were taken from: 1, 01 and 1.0 are one.
    """
    if text in known:
        return text
    word = text.strip().lower()
    if word in ("true", "false"):
        spellings = [word, word.capitalize(), word.upper()]
    else:
        try:
            number = float(word)
        except ValueError:
            return text
        whole = math.isfinite(number) and number.is_integer() and abs(number) < EXACT
        spellings = [str(int(number))] if whole else []
        spellings.append(str(number))
    return next((each for each in spellings if each in known), text)


def _check_filled(path: Path, columns: pd.DataFrame, name: str, what: str, remedy: str) -> None:
    empty = np.flatnonzero(columns[name].isna())
    if len(empty):
        raise DataError(
            f"{path.name}: row {empty[0] + 1} has no {what} in column '{name}'; {remedy}"
        )


def _check_columns(path: Path, frame: pd.DataFrame, named: list[str], spec: DatasetSpec) -> None:
    if frame.shape[1] == 1:
        used = spec.delimiter or usual_delimiter(path)
        for other in OTHER_DELIMITERS:
            if other != used and other in frame.columns[0]:
                raise DataError(
                    f"{path.name} has one column only, '{_brief(frame.columns[0])}': its delimiter "
                    f"seems to be {other!r}; set delimiter = {other!r}"
                )
    if frame.columns.duplicated().any():
        twice = frame.columns[frame.columns.duplicated()][0]
        raise DataError(f"{path.name} has two columns '{twice}'; rename one of them")
    if not spec.label:
        raise DataError(
            f"{path.name} is a table: say which column holds the class, such as "
            f'dataset = {{ path = "{path.name}", label = "{frame.columns[-1]}" }}'
        )
    for name in named:
        if name not in frame:
            raise DataError(
                f"{path.name}: there is no column '{name}'{suggestion(name, list(frame.columns))}"
            )


def _check_kinds(path: Path, features: pd.DataFrame) -> None:
    for name, kind in features.dtypes.items():
        plain = pd.api.types.is_numeric_dtype(kind) or pd.api.types.is_bool_dtype(kind)
        words = pd.api.types.is_string_dtype(kind) or isinstance(kind, pd.CategoricalDtype)
        if not plain and not words:
            raise DataError(
                f"{path.name}: column '{name}' holds {kind}, neither numbers nor texts; "
                "make it one of them or drop it"
            )


def _brief(text: str) -> str:
    return text if len(text) <= 40 else text[:37] + "..."
