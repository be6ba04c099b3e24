"""Parquet, Feather and JSON lines: typed values, each written as the text that it would be in a CSV."""

from __future__ import annotations

import decimal
import json
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mycroft_fl.claims import (
    A_CELL,
    MOST_COLUMNS,
    MOST_LINE,
    check_bytes,
    in_words,
    most_bytes,
)
from mycroft_fl.data.tables.cells import TextColumn, joined
from mycroft_fl.data.tables.values import EXACT

if TYPE_CHECKING:
    import pyarrow

PARQUET_SUFFIXES = (".parquet", ".pq")
FEATHER_SUFFIXES = (".feather", ".arrow")
JSON_SUFFIXES = (".jsonl", ".ndjson")
UNNAMED = "Unnamed: "
"""How pandas calls a column without a name, and writes it where it saves the table again."""
A_VALUE = 64
"""Bytes of one value of a JSON line as Python keeps it, about."""


class Unreadable:
    """A column of a kind that has no text; it matters only to whoever needs the column."""

    def __init__(self, kind: str) -> None:
        self.kind = kind


class RoundedColumn(TextColumn):
    """A column of floats, some so large that they no longer tell whole numbers apart."""


Read = list[tuple[str, TextColumn | Unreadable]]


def read_parquet(path: Path) -> Read:
    """Return all of it, where its own account of itself is of a table that fits into memory."""
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    try:
        with ParquetFile(path) as file:
            metadata = file.metadata
            check_cells(metadata.num_rows, metadata.num_columns)
            groups = range(metadata.num_row_groups)
            check_bytes(sum(metadata.row_group(each).total_byte_size for each in groups))
            table = file.read()
            table.validate(full=True)
            return _columns(table)
    except ArrowException as error:
        raise ValueError(" ".join(str(error).split())) from error


def read_feather(path: Path) -> Read:
    """Return all of it, batch by batch, as long as it fits into memory."""
    import pyarrow

    try:
        with pyarrow.memory_map(str(path)) as source, pyarrow.ipc.open_file(source) as file:
            batches, size = [], 0
            for place in range(file.num_record_batches):
                batches.append(file.get_batch(place))
                # Arrow trusts offsets and lengths: unchecked, a broken file ends the process.
                batches[-1].validate(full=True)
                check_cells(batches[-1].num_rows, batches[-1].num_columns)
                check_bytes(size := size + batches[-1].nbytes)
            return _columns(pyarrow.Table.from_batches(batches, file.schema))
    except pyarrow.ArrowException as error:
        raise ValueError(" ".join(str(error).split())) from error


def check_cells(rows: int, columns: int) -> None:
    """Raise `ValueError` where a table of that size would not fit into memory."""
    if columns > MOST_COLUMNS:
        raise ValueError(f"it has {columns} columns, above {MOST_COLUMNS}")
    check_bytes(rows * columns * A_CELL, f"a table of {rows} rows and {columns} columns")


def _columns(table: pyarrow.Table) -> Read:
    return [
        # An index without a name, as pandas keeps it, is a column without a name.
        (
            UNNAMED + name if name.startswith("__index_level_") else name,
            _column(table.column(place)),
        )
        for place, name in enumerate(table.column_names)
    ]


def _column(values: pyarrow.ChunkedArray) -> TextColumn | Unreadable:
    import pyarrow

    kind = values.type
    if pyarrow.types.is_dictionary(kind):
        kind = kind.value_type
    types = pyarrow.types
    if types.is_null(kind):
        return TextColumn(np.full(len(values), -1, dtype=np.int32), ())
    plain = (
        types.is_integer, types.is_floating, types.is_boolean, types.is_string, types.is_large_string,
        types.is_decimal, types.is_date, types.is_timestamp,
    )  # fmt: skip
    if not any(is_kind(kind) for is_kind in plain):
        return Unreadable(str(kind))
    parts = [_part(chunk, str(kind)) for chunk in values.chunks]
    whole = parts[0] if parts else TextColumn(np.empty(0, dtype=np.int32), ())
    for part in parts[1:]:
        whole = joined(whole, part)
    if types.is_floating(kind) and any(abs(float(text)) >= EXACT for text in whole.names):
        return RoundedColumn(whole.codes, whole.names)
    return whole


def _part(chunk: pyarrow.Array, kind: str) -> TextColumn:
    import pyarrow

    coded = chunk if pyarrow.types.is_dictionary(chunk.type) else chunk.dictionary_encode()
    # Nanoseconds are beyond Python's dates, and beyond what a model needs of one.
    values = coded.dictionary
    if pyarrow.types.is_timestamp(values.type):
        values = values.cast(pyarrow.timestamp("us", values.type.tz), safe=False)
    texts = TextColumn.of(text_of(value, kind) for value in values.to_pylist())
    codes = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return TextColumn(np.append(texts.codes, np.int32(-1))[codes], texts.names)


def text_of(value: Any, kind: str = "") -> str | None:
    """Write one value as a person would in a CSV; None where it is missing."""
    if value is None or value != value:  # NaN alone differs from itself
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        # The shortest text that is this number again: 0.1 of 32 bits is 0.1.
        return str({"float": np.float32, "halffloat": np.float16}.get(kind, float)(value))
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return format(value, "f")
    return str(value).strip()


def read_json_lines(path: Path) -> Read:
    """Return one row for each line, an object; a key that a line lacks is missing there."""
    columns: dict[str, list[str | None]] = {}
    nested: dict[str, Unreadable] = {}
    count = values = 0
    for count, row in enumerate(_objects(path), start=1):
        check_bytes((values := values + len(row)) * A_VALUE, "a table of so many values")
        check_cells(count, len(columns))
        for name, value in row.items():
            if isinstance(value, (dict, list)):
                nested[name] = Unreadable("an object" if isinstance(value, dict) else "a list")
            texts = columns.setdefault(name, [])
            texts += [None] * (count - 1 - len(texts))
            texts.append(text_of(value))
    return [
        (name, nested.get(name) or TextColumn.of(texts + [None] * (count - len(texts))))
        for name, texts in columns.items()
    ]


def _objects(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as stream:
        read = 0
        for place, line in enumerate(iter(lambda: stream.readline(MOST_LINE + 1), b""), start=1):
            read += len(line)
            if len(line) > MOST_LINE or read > most_bytes():
                raise ValueError(f"line {place} is beyond {in_words(MOST_LINE)}")
            if not line.strip():
                continue
            try:
                # Numbers stay the texts that they are: no identifier of 17 digits is rounded.
                found = json.loads(
                    line.decode("utf-8-sig"),
                    object_pairs_hook=_without_doubles,
                    parse_int=str,
                    parse_float=str,
                )
            except RecursionError as error:
                raise ValueError(f"line {place} is nested too deep") from error
            except ValueError as error:
                raise ValueError(f"line {place}: {error}") from error
            if not isinstance(found, dict):
                raise ValueError(f'line {place} is no object, such as {{"age": 71}}')
            yield found


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands there twice")
    return found
