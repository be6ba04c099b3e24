"""CSV and Parquet files read whole, once what they claim has been looked at."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
import warnings
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd

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
from mycroft_fl.data.formats.files import UNREADABLE
from mycroft_fl.data.formats.spec import DatasetSpec
from mycroft_fl.errors import DataError, one_line

CSV_SUFFIXES = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".csv.bz2", ".csv.xz")
PARQUET_SUFFIXES = (".parquet", ".pq")
MISSING_NAMES = ["", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "?"]
UNPACKERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}


def is_table(path: Path) -> bool:
    """Return whether a file's name says that it holds a table."""
    return path.name.lower().endswith(CSV_SUFFIXES + PARQUET_SUFFIXES)


def read_frame(path: Path, spec: DatasetSpec, is_text: Callable[[str], bool]) -> pd.DataFrame:
    """Return all rows of a file under the names as they stand; columns that `is_text` names as text.

    `DataError` where the file is no table, is a bomb, or holds no rows.
    """
    try:
        plain(path).close()
        if path.stat().st_size == 0:
            raise DataError(f"{path.name} is empty (0 bytes); put the table there")
        if path.name.lower().endswith(PARQUET_SUFFIXES):
            frame = _read_parquet(path)
        else:
            frame = _read_csv(path, spec.delimiter or usual_delimiter(path), is_text)
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
    """Return all of it, where its own account of itself is of a table that fits into memory."""
    from pyarrow import ArrowException
    from pyarrow.parquet import read_metadata

    try:
        metadata = read_metadata(path)
        check_cells(metadata.num_rows, metadata.num_columns)
        groups = range(metadata.num_row_groups)
        check_bytes(sum(metadata.row_group(each).total_byte_size for each in groups))
        return pd.read_parquet(path)
    except ArrowException as error:
        raise ValueError(one_line(error)) from error


def check_cells(rows: int, columns: int) -> None:
    """Raise `ValueError` where a table of that size would not fit into memory."""
    if columns > MOST_COLUMNS:
        raise ValueError(f"it has {columns} columns, above {MOST_COLUMNS}")
    check_bytes(rows * columns * A_CELL, f"a table of {rows} rows and {columns} columns")


def _check_csv(path: Path, delimiter: str) -> None:
    """Raise `ValueError` for a bomb: by a text's size once unpacked, its columns, its cells.

    All of it is gone through once, at the speed of the disk: pandas would first make room for it.
    """
    mark, rows, marks = delimiter[:1].encode(), 0, 0
    unpack = UNPACKERS.get(path.suffix.lower(), open)
    with unpack(path, "rb") as stream:
        beginning = stream.read(MOST_LINE)
    check_cells(1, _columns_of(beginning, delimiter))
    with unpack(path, "rb") as stream:
        for piece in limited(stream, most_bytes()):
            rows += max(piece.count(b"\n"), piece.count(b"\r"))
            marks += piece.count(mark)
            check_bytes((marks + rows) * A_CELL, "a table of so many cells")


def _columns_of(beginning: bytes, delimiter: str) -> int:
    """Return how many columns pandas would make: the fields of the header, or of the row below if more.

    By a parser: a row may go on over several lines, and empty ones before it do not count.
    `ValueError` where there is no end to a row.
    """
    text = io.TextIOWrapper(io.BytesIO(beginning), "utf-8-sig", errors="replace", newline="")
    filled = (row for row in csv.reader(text, delimiter=delimiter) if len(row) > 1 or _says(row))
    try:
        columns = max(map(len, islice(filled, 2)), default=0)
    except csv.Error as error:
        raise ValueError(f"its first rows are none: {error}") from error
    if len(beginning) >= MOST_LINE and not text.read(1):
        raise ValueError(f"its first line is longer than {in_words(MOST_LINE)}")
    return columns


def _says(row: list[str]) -> bool:
    return bool("".join(row).strip())


def _read_csv(path: Path, delimiter: str, is_text: Callable[[str], bool]) -> pd.DataFrame:
    """Return all of it, under the names as they stand: pandas would call a second column 'a' 'a.1'."""
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


def usual_delimiter(path: Path) -> str:
    """Return a tab for a .tsv, else a comma."""
    return "\t" if ".tsv" in path.name.lower() else ","
