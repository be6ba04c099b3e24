"""A table read as far as it goes: flaws of its header and encoding become findings, not ends."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from mycroft_fl.data.formats.spec import DatasetSpec
from mycroft_fl.data.tables.cells import TextColumn
from mycroft_fl.data.tables.files import read_raw
from mycroft_fl.data.tables.typed_files import UNNAMED, Unreadable
from mycroft_fl.errors import DataError
from mycroft_fl.inspection.finding import Finding, with_settings
from mycroft_fl.settings.toml_table import toml_key

ENCODINGS = ("cp1252", "latin-1")


def read_as_far_as_it_goes(
    path: Path, spec: DatasetSpec
) -> tuple[dict[str, TextColumn], DatasetSpec, list[Finding]]:
    """Return a file's columns, the spec by which they were read, and what was amiss on the way.

    Raises `DataError` where there are no rows to look at.
    """
    findings: list[Finding] = []
    with notes() as said:
        try:
            read = read_raw(path, spec)
        except DataError as error:
            if spec.encoding or not isinstance(error.__cause__, UnicodeDecodeError):
                raise
            spec, read = _in_another_encoding(path, spec, error)
            findings.append(Finding(str(error), stops=True, settings={"encoding": spec.encoding}))
    findings += [Finding(note) for note in said]
    columns: dict[str, TextColumn] = {}
    for place, (name, column) in enumerate(read, start=1):
        finding = _flaw(path, place, name.strip(), column, columns, spec)
        if finding is not None:
            findings.append(finding)
        elif isinstance(column, TextColumn):
            columns[name.strip()] = column
    if not columns or not len(next(iter(columns.values()))):
        raise DataError(f"{path.name} has a header but no rows; put the table there")
    return columns, with_settings(spec, findings), findings


def _in_another_encoding(
    path: Path, spec: DatasetSpec, error: DataError
) -> tuple[DatasetSpec, list[tuple[str, TextColumn | Unreadable]]]:
    for encoding in ENCODINGS:
        other = replace(spec, encoding=encoding)
        try:
            return other, read_raw(path, other)
        except DataError:
            continue
    raise error


def _flaw(
    path: Path,
    place: int,
    name: str,
    column: TextColumn | Unreadable,
    before: dict[str, TextColumn],
    spec: DatasetSpec,
) -> Finding | None:
    """Return what is amiss with a column's name or form; it is left out of the look then."""
    empty = isinstance(column, TextColumn) and not any(column.names)
    meant = name in {spec.label, *spec.kinds}
    if not name or (name.startswith(UNNAMED) and not meant):
        if empty:
            return Finding(f"column {place} has neither name nor values, and is left out")
        if name or place == 1:
            return Finding(
                f"column {place} has no name and is left out, as a table's index; name it if it is a "
                "feature"
            )
        return Finding(
            f"column {place} has no name; give it one in the header, and list it in drop if no model "
            "is to see it",
            stops=True,
        )
    if name in before:
        return Finding(f"{path.name} has two columns '{name}'; rename one of them", stops=True)
    if isinstance(column, Unreadable):
        ignored = name in spec.drop or spec.kinds.get(name) == "ignore"
        return Finding(
            f"column '{name}' holds {column.kind}, neither numbers nor texts; make it one of them, or "
            f'leave it out with columns.{toml_key(name)} = "ignore"',
            stops=not ignored,
            settings={"columns": ((name, "ignore"),)},
        )
    return None


@contextmanager
def notes() -> Iterator[list[str]]:
    """Collect what reading says, in place of a log."""
    said: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    log, collector = logging.getLogger("mycroft_fl.data"), Collector()
    passes = log.propagate
    log.addHandler(collector)
    log.propagate = False
    try:
        yield said
    finally:
        log.removeHandler(collector)
        log.propagate = passes
