"""CSV files, every field as text: encoding, delimiter, header and rows of one length."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
import re
import threading
from collections.abc import Callable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from mycroft_fl.claims import (
    A_CELL,
    MOST_COLUMNS,
    MOST_LINE,
    check_bytes,
    in_words,
    limited,
    most_bytes,
)
from mycroft_fl.data.formats.encoded import ZERO_BYTES, marked_encoding, not_so_encoded
from mycroft_fl.data.formats.said import say
from mycroft_fl.data.formats.spec import DatasetSpec
from mycroft_fl.data.tables.cells import TextColumn
from mycroft_fl.errors import DataError

CSV_SUFFIXES = tuple(
    f".{kind}{packed}" for kind in ("csv", "tsv", "txt") for packed in ("", ".gz", ".bz2", ".xz")
)
UNPACKERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
DELIMITERS = (",", ";", "\t", "|")
SEP_LINE = re.compile(r'"?sep=([,;\t|:])"?\s*', re.IGNORECASE)
A_TEXT = 128
"""Bytes that one more distinct text takes in memory, about."""
CHUNK = 10_000


class _FieldLimit:
    """Fields as long as a line, while anybody reads; Python allows 131,072 characters.

    The limit is the whole process's. So threads count themselves: the last to leave sets back what
    the first one found.
    """

    def __init__(self) -> None:
        self._lock, self._readers, self._before = threading.Lock(), 0, 0

    def __enter__(self) -> None:
        with self._lock:
            if not self._readers:
                self._before = csv.field_size_limit(MOST_LINE)
            self._readers += 1

    def __exit__(self, *raised: object) -> None:
        with self._lock:
            self._readers -= 1
            if not self._readers:
                csv.field_size_limit(self._before)


_LONG_FIELDS = _FieldLimit()


def read_csv(path: Path, spec: DatasetSpec) -> list[tuple[str, TextColumn]]:
    """Return the columns under their names, in order. `ValueError` for whatever is no such table.

    Spaces beside a field are no part of it. Empty lines do not count.
    """
    unpack = UNPACKERS.get(path.suffix.lower(), open)
    with unpack(path, "rb") as packed:
        content = io.BufferedReader(_Bounded(packed), 1 << 16)
        # A mark is certain, whatever the spec says.
        marked = marked_encoding(content.peek(4)[:4])
        text = io.TextIOWrapper(content, marked or spec.encoding or "utf-8", newline="")
        lines = _Lines(text)
        try:
            with _LONG_FIELDS:
                return _read(lines, path, spec)
        except UnicodeDecodeError as error:
            raise DataError(
                f"{path.name} cannot be read as a table: {not_so_encoded(error, marked, spec.encoding)}"
            ) from error
        except csv.Error as error:
            unclosed = "unexpected end" in str(error)
            what = "a quote in it is never closed" if unclosed else error
            raise ValueError(f"{lines.place}: {what}") from error


def _read(lines: _Lines, path: Path, spec: DatasetSpec) -> list[tuple[str, TextColumn]]:
    said = SEP_LINE.fullmatch(first := next(lines, ""))
    beginning = iter(()) if said else iter((first,))
    delimiter = spec.delimiter or (said[1] if said else "")
    head = _first_row(chain(beginning, lines), delimiter or _usual(path))
    if not delimiter:
        delimiter = _guessed("".join(head), path, spec)
    names = next(csv.reader(head, delimiter=delimiter, strict=True, skipinitialspace=True))
    _check_columns(len(names))
    rows = csv.reader(lines, delimiter=delimiter, strict=True, skipinitialspace=True)
    return _columns([name.strip() for name in names], rows, lines)


def _first_row(lines: Iterator[str], delimiter: str) -> list[str]:
    """Return the lines of the first row that says something: a field in it may go on over several."""
    taken: list[str] = []

    def noted() -> Iterator[str]:
        for line in lines:
            taken.append(line)
            yield line

    for row in csv.reader(noted(), delimiter=delimiter):
        if len(row) > 1 or "".join(row).strip():
            return taken
        taken.clear()
    raise ValueError("it has no header")


def _guessed(head: str, path: Path, spec: DatasetSpec) -> str:
    """Return the delimiter of a header. By the header alone: no row may decide how others are read."""
    usual = _usual(path)
    wanted = {spec.label, spec.unit_id, spec.shareable, spec.image, *spec.drop} - {""}

    def fits(delimiter: str) -> tuple[int, bool, int]:
        try:
            rows = csv.reader(
                io.StringIO(head, newline=""), delimiter=delimiter, skipinitialspace=True
            )
            row = next(rows)
        except csv.Error:
            return 0, False, 0
        names = {name.strip() for name in row}
        return len(names & wanted), len(row) > 1 and delimiter == usual, len(row)

    best = max((usual, *(each for each in DELIMITERS if each != usual)), key=fits)
    if best != usual:
        say(f"{path.name}: its delimiter seems to be {best!r}; set delimiter = {best!r} to be sure")
    return best


def _columns(
    names: list[str], rows: Iterator[list[str]], lines: _Lines
) -> list[tuple[str, TextColumn]]:
    known = [_Codes() for _ in names]
    codes: list[list[np.ndarray]] = [[] for _ in names]
    count = 0
    lines.header_ends()
    filled = (row for row in rows if lines.row_ends(len(row) > 1 or bool("".join(row).strip())))
    while chunk := list(islice(filled, CHUNK)):
        _check_lengths(chunk, len(names), count)
        count += len(chunk)
        for place, (column, texts) in enumerate(zip(known, zip(*chunk, strict=True), strict=True)):
            # Over all texts, not distinct ones: this is the loop that reads a file, and so one in C.
            coded = map(column.__getitem__, texts)
            codes[place].append(np.fromiter(coded, dtype=np.int32, count=len(texts)))
        distinct = sum(map(len, known))
        check_bytes(count * len(names) * A_CELL + distinct * A_TEXT, "a table of so many cells")
    empty = [np.empty(0, dtype=np.int32)]
    whole = (
        TextColumn(np.concatenate(each or empty), tuple(column)).renamed(str.strip)
        for column, each in zip(known, codes, strict=True)
    )
    return list(zip(names, whole, strict=True))


def _check_lengths(chunk: list[list[str]], wanted: int, before: int) -> None:
    for place, row in enumerate(chunk, start=before + 1):
        if len(row) != wanted:
            _check_columns(len(row))
            raise ValueError(f"row {place} has {len(row)} fields, the header {wanted}")


def _check_columns(count: int) -> None:
    if count > MOST_COLUMNS:
        raise ValueError(f"it has {count} columns, above {MOST_COLUMNS}")


def _usual(path: Path) -> str:
    return "\t" if ".tsv" in path.name.lower() else ","


class _Codes(dict[str, int]):
    """The code of each distinct text: a new one gets the next number."""

    def __missing__(self, text: str) -> int:
        self[text] = code = len(self)
        return code


class _Bounded(io.RawIOBase):
    """A stream that ends in `ValueError` once it has unpacked to more than may be."""

    def __init__(self, packed: Any) -> None:
        self._pieces, self._rest = limited(packed, most_bytes()), b""

    def readable(self) -> bool:
        return True

    def readinto(self, room: Any) -> int:
        if not self._rest:
            self._rest = next(self._pieces, b"")
        part, self._rest = self._rest[: len(room)], self._rest[len(room) :]
        room[: len(part)] = part
        return len(part)


class _Lines(Iterator[str]):
    """The lines of a text, each and each row of a length that memory can hold."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self._text, self._row, self._rows = text, 0, -1

    @property
    def place(self) -> str:
        """Where the reader is: its header, or a row, counted from 1 without empty lines."""
        return "its header" if self._rows < 0 else f"row {self._rows + 1}"

    def __next__(self) -> str:
        line = self._text.readline(MOST_LINE + 1)
        self._row += len(line)
        if self._row > MOST_LINE:
            raise ValueError(f"{self.place} is longer than {in_words(MOST_LINE)}")
        if "\0" in line:
            raise ValueError(ZERO_BYTES)
        if not line:
            raise StopIteration
        return line

    def header_ends(self) -> None:
        """Note that the rows begin."""
        self._row = self._rows = 0

    def row_ends(self, filled: bool) -> bool:
        """Note that a row has ended, and return whether it says anything."""
        self._row, self._rows = 0, self._rows + filled
        return filled
