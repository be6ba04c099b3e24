"""Workbooks of Excel and queries to a database: rows of typed values, each as the text of a CSV."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import Any

from mycroft_fl.claims import check_archive, check_bytes
from mycroft_fl.data.formats.said import say
from mycroft_fl.data.formats.spec import DatasetSpec
from mycroft_fl.data.tables.cells import TextColumn
from mycroft_fl.data.tables.typed_files import A_VALUE, Read, Unreadable, check_cells, text_of
from mycroft_fl.errors import DataError, one_line

EXCEL_SUFFIXES = (".xlsx", ".xlsm")
ROWS_AT_ONCE = 10_000
WITH_LOG = b"\2"
"""What an SQLite file says at byte 19 if its writes go to a log (WAL) first."""


def read_workbook(path: Path, spec: DatasetSpec) -> Read:
    """Return the table in a workbook: its only sheet, or the one that the spec names.

    The first row that says something is the header. `DataError` for a formula without its value, which
    another program than Excel may leave out.
    """
    from openpyxl import load_workbook

    check_archive(path)
    # Opened here: where a workbook is broken openpyxl leaves its file open.
    with (
        path.open("rb") as one,
        path.open("rb") as other,
        closing(load_workbook(one, read_only=True, data_only=True)) as values,
        closing(load_workbook(other, read_only=True)) as formulas,
    ):
        sheet = _sheet(path, values.sheetnames, spec.sheet)
        pairs = zip(values[sheet].iter_rows(), formulas[sheet].iter_rows(), strict=True)
        rows = (_checked(path, here, there) for here, there in pairs)
        filled = (row for row in rows if any(value is not None for value in row))
        header = next(filled, None)
        if header is None:
            raise ValueError(f"sheet '{sheet}' is empty")
        names = ["" if value is None else str(value) for value in header]
        return _columns(names, filled)


def _sheet(path: Path, there: Sequence[str], wanted: str) -> str:
    if wanted and wanted not in there:
        raise DataError(f"{path.name} has no sheet '{wanted}'; choose from {list(there)}")
    if not wanted and len(there) > 1:
        say(f"{path.name}: sheet '{there[0]}' is read, of {len(there)}; set sheet to be sure")
    return wanted or there[0]


def _checked(path: Path, values: Sequence[Any], formulas: Sequence[Any]) -> list[Any]:
    for value, formula in zip(values, formulas, strict=True):
        if value.value is None and formula.value is not None:
            raise DataError(
                f"{path.name}: cell {formula.coordinate} is a formula without its value; open the file in "
                "Excel and save it, or save the table as CSV"
            )
    return [each.value for each in values]


def read_query(spec: DatasetSpec) -> Read:
    """Return the result of a query. The spec's path is a SQLAlchemy URL. `DataError` in one line."""
    try:
        import sqlalchemy
    except ImportError as error:
        raise DataError("a query needs sqlalchemy; pip install 'mycroft-fl[sql]'") from error
    try:
        engine = sqlalchemy.create_engine(spec.path)
        with engine.connect() as connection:
            found = connection.execution_options(
                stream_results=True, max_row_buffer=ROWS_AT_ONCE
            ).execute(sqlalchemy.text(spec.query))
            if not found.returns_rows:
                raise DataError("the query returns no rows; write a SELECT")
            return _columns(list(found.keys()), chain.from_iterable(found.partitions(ROWS_AT_ONCE)))
    except ImportError as error:
        raise DataError(f"the database needs its driver ({error}); pip install it") from error
    except sqlalchemy.exc.SQLAlchemyError as error:
        said = getattr(error, "orig", None) or error  # the database's own words
        raise DataError(
            f"the query cannot be answered ({one_line(said)[:300]}); try it in the database's own client"
        ) from error
    finally:
        if "engine" in locals():
            engine.dispose()


def database_of(spec: DatasetSpec, base: Path) -> tuple[DatasetSpec, Path]:
    """Return the spec with a database that is found from `base`, and what an error calls it.

    An SQLite file is opened for reading alone. `DataError` for what is no URL, or a file that is not
    there, which SQLite would make.
    """
    from dataclasses import replace

    import sqlalchemy

    try:
        url = sqlalchemy.make_url(spec.path)
    except sqlalchemy.exc.ArgumentError as error:
        raise DataError(
            "query needs path to be a SQLAlchemy URL, such as sqlite:///stays.db or "
            "postgresql+psycopg://reader@host/stays"
        ) from error
    if url.get_backend_name() != "sqlite" or url.database in (None, "", ":memory:"):
        return spec, Path(url.database or "database")
    file = (base / Path(str(url.database)).expanduser()).absolute()
    if not file.is_file():
        raise DataError(f"there is no database {file}; give the path of an SQLite file")
    how = {"mode": "ro", "uri": "true"} | ({"immutable": "1"} if _is_at_rest(file) else {})
    opened = url.set(database=f"file:{file}", query=how)
    return replace(spec, path=opened.render_as_string(hide_password=False)), Path(file.name)


def _is_at_rest(file: Path) -> bool:
    """Return whether a database keeps a log of writes, and nobody writes to it.

    SQLite would make that log beside it, reading or not.
    """
    with file.open("rb") as stream:
        keeps_log = stream.read(20)[19:] == WITH_LOG
    return keeps_log and not file.with_name(f"{file.name}-wal").exists()


def _columns(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> Read:
    columns: list[list[str | None]] = [[] for _ in names]
    unreadable: dict[int, Unreadable] = {}
    for count, row in enumerate(_bounded(rows, len(names)), start=1):
        for place, value in enumerate(row[: len(names)]):
            if isinstance(value, bytes | list | dict):
                unreadable[place] = Unreadable(type(value).__name__)
                value = None
            columns[place].append(text_of(value))
        if any(value is not None for value in row[len(names) :]):
            raise ValueError(f"row {count} has a value behind the last column of the header")
        for texts in columns:
            texts += [None] * (count - len(texts))
    return [
        (name, unreadable.get(place) or TextColumn.of(columns[place]))
        for place, name in enumerate(names)
    ]


def _bounded(rows: Iterable[Sequence[Any]], columns: int) -> Iterator[Sequence[Any]]:
    for count, row in enumerate(rows, start=1):
        if count % ROWS_AT_ONCE == 1:
            check_cells(count, columns)
            check_bytes(count * columns * A_VALUE, "a table of so many values")
        yield row
