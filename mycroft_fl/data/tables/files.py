"""Files of tables read whole as text, once what they claim has been looked at."""

from __future__ import annotations

import lzma
from pathlib import Path

from mycroft_fl.claims import plain
from mycroft_fl.data.formats.files import UNREADABLE
from mycroft_fl.data.formats.said import say
from mycroft_fl.data.formats.spec import DatasetSpec
from mycroft_fl.data.tables.cells import TextColumn
from mycroft_fl.data.tables.csv_files import CSV_SUFFIXES, read_csv
from mycroft_fl.data.tables.row_files import EXCEL_SUFFIXES, read_query, read_workbook
from mycroft_fl.data.tables.typed_files import (
    FEATHER_SUFFIXES,
    JSON_SUFFIXES,
    PARQUET_SUFFIXES,
    UNNAMED,
    Read,
    RoundedColumn,
    Unreadable,
    read_feather,
    read_json_lines,
    read_parquet,
)
from mycroft_fl.errors import DataError, one_line
from mycroft_fl.settings.toml_table import toml_key

BROKEN_WORKBOOK = (KeyError, TypeError, AttributeError, SyntaxError, IndexError)
"""Besides those of any file: what openpyxl raises for a zip that holds no workbook, or a broken one."""
TYPED = {
    **dict.fromkeys(PARQUET_SUFFIXES, read_parquet),
    **dict.fromkeys(FEATHER_SUFFIXES, read_feather),
    **dict.fromkeys(JSON_SUFFIXES, read_json_lines),
}


def is_table(path: Path) -> bool:
    """Return whether a file's name says that it holds a table."""
    return path.name.lower().endswith((*CSV_SUFFIXES, *TYPED, *EXCEL_SUFFIXES))


def read_columns(path: Path, spec: DatasetSpec) -> dict[str, TextColumn]:
    """Return all columns of a file as text, but those that the spec leaves out and no text can hold.

    `DataError` where the file is no table, is a bomb, or holds no rows.
    """
    return _texts(path, _named(path, read_raw(path, spec), {spec.label, *spec.kinds}), spec)


def read_raw(path: Path, spec: DatasetSpec) -> Read:
    """Return all columns of a file as they stand, named or not. `DataError` where it is no table."""
    try:
        if spec.query:
            return read_query(spec)
        plain(path).close()
        if path.stat().st_size == 0:
            raise DataError(f"{path.name} is empty (0 bytes); put the table there")
        return _read(path, spec)
    except ImportError as error:
        raise DataError(
            f"{path.name}: reading it needs {_library(path)}, or save the table as CSV"
        ) from error
    except (*UNREADABLE, lzma.LZMAError, *BROKEN_WORKBOOK) as error:
        typed = path.name.lower().endswith((*TYPED, *EXCEL_SUFFIXES))
        remedy = "" if typed else " with one header line and as many fields in every row"
        raise DataError(
            f"{path.name} cannot be read as a table ({one_line(error)}); save it anew{remedy}"
        ) from error


def _library(path: Path) -> str:
    if path.name.lower().endswith(EXCEL_SUFFIXES):
        return "openpyxl; pip install 'mycroft-fl[excel]'"
    return "pyarrow; pip install 'mycroft-fl[parquet]'"


def _read(path: Path, spec: DatasetSpec) -> Read:
    for suffix, reader in TYPED.items():
        if path.name.lower().endswith(suffix):
            return reader(path)
    if path.name.lower().endswith(EXCEL_SUFFIXES):
        return read_workbook(path, spec)
    return list(read_csv(path, spec))


def _named(path: Path, read: Read, meant: set[str]) -> Read:
    """Leave out what has no name: row names and numbers, and fields behind the last delimiter."""
    found: Read = []
    for place, (name, column) in enumerate(read, start=1):
        name = name.strip()
        filled = isinstance(column, Unreadable) or any(column.names)
        if name and (name in meant or not name.startswith(UNNAMED)):
            found.append((name, column))
        elif filled and place > 1 and not name:
            raise DataError(
                f"{path.name}: column {place} has no name; give it one in the header, and list it in "
                "drop if no model is to see it"
            )
        elif filled:
            say(
                f"{path.name}: column {place} has no name and is left out, as a table's index; name it if "
                "it is a feature"
            )
    names = [name for name, _ in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"{path.name} has two columns '{twice}'; rename one of them")
    return found


def _texts(path: Path, read: Read, spec: DatasetSpec) -> dict[str, TextColumn]:
    """Raise `DataError` for a column that has no text, unless nobody is to see it."""
    ignored = {*spec.drop, *(name for name, kind in spec.columns if kind == "ignore")}
    columns: dict[str, TextColumn] = {}
    for name, column in read:
        if isinstance(column, Unreadable) and name in ignored:
            column = TextColumn.of([None] * _length(read))
        if isinstance(column, Unreadable):
            raise DataError(
                f"{path.name}: column '{name}' holds {column.kind}, neither numbers nor texts; make it "
                f'one of them, or leave it out with columns.{toml_key(name)} = "ignore"'
            )
        columns[name] = column
    if not columns or not len(next(iter(columns.values()))):
        raise DataError(f"{path.name} has a header but no rows; put the table there")
    if isinstance(columns.get(spec.unit_id), RoundedColumn):
        raise DataError(
            f"{path.name}: column '{spec.unit_id}' holds numbers so large that two persons may have "
            "become one; save it as text or as whole numbers"
        )
    return columns


def _length(read: Read) -> int:
    return next((len(column) for _, column in read if not isinstance(column, Unreadable)), 0)
