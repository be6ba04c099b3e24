"""CSV and Parquet files read into a table; every flaw names the file, and row or column."""

from __future__ import annotations

import bz2
import gzip
import lzma
import math
import warnings
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int64

from mycroft_fl.claims import (
    A_CELL,
    MOST_COLUMNS,
    MOST_LINE,
    check_bytes,
    in_words,
    limited,
    most_bytes,
    plain,
)
from mycroft_fl.data.files import UNREADABLE
from mycroft_fl.data.spec import DatasetSpec
from mycroft_fl.errors import DataError, one_line, suggestion

CSV_SUFFIXES = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".csv.bz2", ".csv.xz")
PARQUET_SUFFIXES = (".parquet", ".pq")
OTHER_DELIMITERS = (";", "\t", "|", ",")
EXACT = 2**53
"""Beyond it a float no longer tells whole numbers apart."""
MISSING_NAMES = ["", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "?"]


@dataclass(frozen=True, eq=False)
class Table:
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

    def __getitem__(self, rows: np.ndarray) -> Table:
        return Table(
            self.files, self.file_of[rows], self.numbers[rows],
            self.features.iloc[rows], self.others.iloc[rows],
        )  # fmt: skip

    @property
    def source(self) -> str:
        """The files' names."""
        return " and ".join(self.files)

    def place(self, row: int) -> str:
        """Where a row stands: its file and number."""
        return f"{self.files[self.file_of[row]]}: row {self.numbers[row]}"

    @property
    def ids(self) -> Int64[np.ndarray, " n"]:
        """A 64-bit digest of each row's features; the label and dropped columns are left out."""
        digests = pd.util.hash_pandas_object(self.features, index=False)
        return np.asarray(digests.to_numpy().view(np.int64))

    def column(self, name: str) -> pd.Series:
        """Any column, a feature or not. `DataError` where there is none of that name."""
        for part in (self.features, self.others):
            if name in part:
                return part[name]
        known = [*self.features, *self.others]
        raise DataError(f"{self.source}: there is no column '{name}'{suggestion(name, known)}")


def is_table(path: Path) -> bool:
    """Whether a file's name says that it holds a table."""
    return path.name.lower().endswith(CSV_SUFFIXES + PARQUET_SUFFIXES)


def read_table(path: Path, spec: DatasetSpec, numbers: Collection[str] | None = None) -> Table:
    """The table in a file, split into features and others. Raises `DataError`.

    With `numbers`, columns that are not named there are read as text, so that no other row has a say
    in how a value is read: 01 beside a word stays 01, and beside numbers would become 1. That of
    units always is.
    """
    frame = _read(path, spec, numbers)
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
    return Table((path.name,), np.zeros(n, np.int64), np.arange(1, n + 1), features, others)


def concatenated(first: Table, second: Table) -> Table:
    """Both tables' rows under the first one's columns. Raises `DataError` where one is missing."""
    absent = [name for name in first.features if name not in second.features]
    if absent:
        raise DataError(f"{second.source}: column '{absent[0]}' is missing; {first.source} has it")
    return Table(
        first.files + second.files,
        np.concatenate([first.file_of, second.file_of + len(first.files)]),
        np.concatenate([first.numbers, second.numbers]),
        pd.concat([first.features, second.features[list(first.features)]], ignore_index=True),
        pd.concat([first.others, second.others], ignore_index=True),
    )


def text_of(column: pd.Series) -> np.ndarray:
    """Values as text, whole numbers without a decimal point; missing ones stay missing."""
    if pd.api.types.is_float_dtype(column) and (column.dropna() % 1 == 0).all():
        column = column.astype("Int64")
    return np.array([None if pd.isna(each) else str(each) for each in column], dtype=object)


def known_as(text: str, known: Collection[str]) -> str:
    """The name in `known` that a text stands for, looked at alone; the text itself where none is.

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


def _read(path: Path, spec: DatasetSpec, numbers: Collection[str] | None) -> pd.DataFrame:
    try:
        plain(path).close()
        if path.stat().st_size == 0:
            raise DataError(f"{path.name} is empty (0 bytes); put the table there")
        if path.name.lower().endswith(PARQUET_SUFFIXES):
            frame = _read_parquet(path)
        else:
            frame = _read_csv(
                path,
                spec.delimiter or _usual_delimiter(path),
                lambda name: name == spec.unit_id or (numbers is not None and name not in numbers),
            )
    except ImportError as error:
        raise DataError(
            f"{path.name}: reading Parquet needs pyarrow; pip install 'mycroft-fl[parquet]', "
            "or save the table as CSV"
        ) from error
    except (
        *UNREADABLE, lzma.LZMAError, pd.errors.ParserError, pd.errors.ParserWarning, pd.errors.EmptyDataError
    ) as error:  # fmt: skip
        raise DataError(
            f"{path.name} cannot be read as a table ({one_line(error)}); save it anew with one "
            "header line and as many fields in every row"
        ) from error
    frame.columns = [str(name).strip() for name in frame.columns]
    if not len(frame):
        raise DataError(f"{path.name} has a header but no rows; put the table there")
    return frame


def _read_parquet(path: Path) -> pd.DataFrame:
    """All of it, where its own account of itself is of a table that fits into memory."""
    from pyarrow import ArrowException
    from pyarrow.parquet import read_metadata

    try:
        told = read_metadata(path)
        check_cells(told.num_rows, told.num_columns)
        groups = range(told.num_row_groups)
        check_bytes(sum(told.row_group(each).total_byte_size for each in groups))
        return pd.read_parquet(path)
    except ArrowException as error:
        raise ValueError(one_line(error)) from error


def check_cells(rows: int, columns: int) -> None:
    """`ValueError` where a table of that size would not fit into memory."""
    if columns > MOST_COLUMNS:
        raise ValueError(f"it has {columns} columns, above {MOST_COLUMNS}")
    check_bytes(rows * columns * A_CELL, f"a table of {rows} rows and {columns} columns")


def _check_csv(path: Path, delimiter: str) -> None:
    """`ValueError` where a table as text is a bomb: by its size once unpacked, its columns, its cells.

    All of it is gone through once, at the speed of the disk: pandas would first make room for it.
    """
    known: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
    unpack = known.get(path.suffix.lower(), open)
    mark, first, rows, marks = delimiter[:1].encode(), 0, 0, 0
    with unpack(path, "rb") as stream:
        for piece in limited(stream, most_bytes()):
            marks, rows = marks + piece.count(mark), rows + piece.count(b"\n")
            if not rows:
                first += len(piece)
            if first > MOST_LINE:
                raise ValueError(f"its first line is longer than {in_words(MOST_LINE)}")
            check_bytes((marks + rows) * A_CELL, "a table of so many cells")
    with unpack(path, "rb") as stream:
        check_cells(1, stream.readline(2 * MOST_LINE).count(mark) + 1)


def _read_csv(path: Path, delimiter: str, is_text: Callable[[str], bool]) -> pd.DataFrame:
    """All of it, under the names as they stand: pandas would call a second column 'a' 'a.1'."""
    _check_csv(path, delimiter)
    with warnings.catch_warnings():
        # Where all rows have more fields than the header, pandas cuts them off with a warning.
        warnings.simplefilter("error", pd.errors.ParserWarning)
        names = pd.read_csv(path, sep=delimiter, header=None, nrows=1, dtype=str).iloc[0]
        kinds = {name: str for name in map(str, names) if is_text(name.strip())}
        frame = pd.read_csv(
            path, sep=delimiter, low_memory=False, keep_default_na=False,
            na_values=MISSING_NAMES, index_col=False, dtype=kinds,
        )  # fmt: skip
    if len(names) == frame.shape[1]:
        frame.columns = [str(name) for name in names]
    return frame


def _check_filled(path: Path, columns: pd.DataFrame, name: str, what: str, remedy: str) -> None:
    empty = np.flatnonzero(columns[name].isna())
    if len(empty):
        raise DataError(
            f"{path.name}: row {empty[0] + 1} has no {what} in column '{name}'; {remedy}"
        )


def _usual_delimiter(path: Path) -> str:
    return "\t" if ".tsv" in path.name.lower() else ","


def _check_columns(path: Path, frame: pd.DataFrame, named: list[str], spec: DatasetSpec) -> None:
    if frame.shape[1] == 1:
        used = spec.delimiter or _usual_delimiter(path)
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
