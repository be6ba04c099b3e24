"""All in an owner's table that does not fit a task, at once, each with the key that mends it."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from mycroft_fl.data.formats.located import located
from mycroft_fl.data.formats.spec import DatasetSpec
from mycroft_fl.data.marks import shareable_of
from mycroft_fl.data.tables.cells import TextColumn
from mycroft_fl.data.tables.encode import DataTable, without_missing
from mycroft_fl.data.tables.files import is_table, read_columns
from mycroft_fl.data.tables.flaws import all_flaws
from mycroft_fl.data.tables.values import Spelling, known_as
from mycroft_fl.data.task import Task
from mycroft_fl.errors import DataError, Problems, suggestion
from mycroft_fl.inspection.told import COLUMN, all_told
from mycroft_fl.settings.toml_table import toml_key

SHOWN = 6
"""Unknown classes that get a line each; of more, a line says how many there are."""
LABEL = "is no class of the task"


@contextmanager
def all_misfits_told(spec: DatasetSpec, base: Path, task: Task) -> Iterator[None]:
    """Turn a `DataError` inside `with` into one with a line for each thing that does not fit the task.

    Data that fit are not looked at again, so this costs nothing then. Of data that are no table, all
    is told that `all_told` finds.

    Args:
        spec: the owner's data set, which is read inside `with`.
        base: from which its relative path is taken.
        task: that it is to fit.
    """
    try:
        yield
    except DataError as error:
        found = _misfits_in_file(spec, base, task)
        if found:
            lines = [*_others(str(error).split("\n"), found), *found]
            raise DataError("\n".join(lines)) from error
        with all_told([spec], base, task.table.kinds if task.table else None):
            raise


def _others(lines: list[str], found: list[str]) -> list[str]:
    """Return the lines that say something that `found` does not say better."""
    named = {name for line in found for name in COLUMN.findall(line)}
    return [line for line in lines if LABEL not in line and not set(COLUMN.findall(line)) & named]


def _misfits_in_file(spec: DatasetSpec, base: Path, task: Task) -> list[str]:
    if task.table is None or spec.query or "://" in spec.path:
        return []
    path = located(spec.path, base)
    if not path.is_file() or not is_table(path) or not spec.label:
        return []
    try:
        return misfits(read_columns(path, spec), path.name, spec, task)
    except DataError:  # which the reader has said already
        return []


def misfits(
    columns: Mapping[str, TextColumn], source: str, spec: DatasetSpec, task: Task
) -> list[str]:
    """Return a line for each thing in a table that does not fit the task, with the key that mends it.

    Args:
        columns: of the file, as text.
        source: the file's name.
        spec: how the owner's file describes it.
        task: whose columns and classes it is to have.
    """
    assert task.table is not None
    there = _without_missing(columns, spec)
    kinds, spelling = task.table.kinds, Spelling.of(spec)
    n = len(next(iter(columns.values())))
    table = DataTable(
        (source,), np.zeros(n, np.int64), np.arange(1, n + 1),
        {name: there[name] for name in kinds if name in there},
        {name: column for name, column in there.items() if name not in kinds}, kinds, spelling,
    )  # fmt: skip
    wanted = [each for each in task.table.columns if each.source in table.features]
    flaws = all_flaws(
        wanted, table, fills=task.table.fills, ignores=task.table.ignores, trainers=True
    )
    return [
        *(f"{source}: {line}" for line in _unknown_names(spec, list(columns))),
        *(f"{source}: {line}" for line in _kinds(spec, kinds)),
        *(f"{source}: {line}" for line in _lacking(spec, kinds, list(columns))),
        *_labels(table, spec, task),
        *flaws,
        *_marks(table, spec),
    ]


def _without_missing(columns: Mapping[str, TextColumn], spec: DatasetSpec) -> dict[str, TextColumn]:
    spelling, listed = Spelling.of(spec), dict(spec.missing_values)
    return {
        name: without_missing(column, listed.get(name), spelling)
        for name, column in columns.items()
    }


def _unknown_names(spec: DatasetSpec, there: list[str]) -> list[str]:
    """Name columns that the owner's file speaks of and the table lacks, with the key that does."""
    named = [
        ("label", spec.label), ("unit-id", spec.unit_id), ("shareable", spec.shareable),
        *(("drop", name) for name in spec.drop),
        *((f"columns.{toml_key(name)}", name) for name, kind in spec.kinds.items() if kind != "ignore"),
        *((f"missing-values.{toml_key(name)}", name) for name in dict(spec.missing_values)),
    ]  # fmt: skip
    return [
        f"dataset.{key} names column '{name}', which is not there{suggestion(name, there)}"
        for key, name in named
        if name and name not in there
    ]


def _kinds(spec: DatasetSpec, kinds: Mapping[str, str]) -> list[str]:
    return [
        f"column '{name}' is '{kind}' by dataset.columns.{toml_key(name)}, but a {kinds[name]} in the "
        "task; take that key out, since the task decides"
        for name, kind in spec.kinds.items()
        if kinds.get(name, kind) != kind
    ]


def _lacking(spec: DatasetSpec, kinds: Mapping[str, str], there: list[str]) -> list[str]:
    """Name the task's columns that the table lacks, or that the owner's file keeps from the vault."""
    lines = []
    kept = {spec.label: "label", spec.unit_id: "unit-id", spec.shareable: "shareable"}
    kept |= dict.fromkeys(spec.drop, "drop")
    free = [name for name in there if name not in kinds and name not in kept]
    for name, kind in kinds.items():
        if name in kept:
            lines.append(
                f"column '{name}' is a {kind} of the task; take it out of dataset.{kept[name]}"
            )
        elif name not in there:
            near = suggestion(name, free) if free else ""
            hint = near if "did you mean" in near else ""
            lines.append(
                f"column '{name}', a {kind} of the task, is missing; add it, or rename the file's own"
                f"{hint}"
            )
    return lines


def _labels(table: DataTable, spec: DatasetSpec, task: Task) -> list[str]:
    """Name each class that the task does not know, and the key that renames it or leaves it out."""
    if spec.label not in table.others or spec.unknown_labels != "refuse":
        return []
    column, renamed = table.others[spec.label], dict(spec.labels)
    lines: list[str] = []
    if (empty := np.flatnonzero(column.missing)).size:
        lines.append(
            f"{table.place(int(empty[0]))} has no class in column '{spec.label}'{_rows(len(empty))}; "
            "label it or take it out"
        )
    known = frozenset(task.classes)
    unknown = {
        name: int(count)
        for name, count in zip(column.names, column.counts.tolist(), strict=True)
        if count and known_as(spec.renamed(known_as(name, renamed)), known) not in known
    }
    for name, count in list(unknown.items())[:SHOWN]:
        lines.append(
            f"{table.source}: label '{name}'{_rows(count)} {LABEL}; set dataset.labels = {{ "
            f"{toml_key(name)} = {_meant(name, task.classes)}, or dataset.unknown-labels = "
            '"drop" to leave such rows out'
        )
    if (more := len(unknown) - SHOWN) > 0:
        lines.append(
            f"{table.source}: {more} further labels are no classes either; the task's are "
            f"{', '.join(task.classes[:SHOWN])}"
        )
    return lines


def _meant(name: str, classes: tuple[str, ...]) -> str:
    """Return the end of a key that renames a class: to the one that it is likely to mean, or to choose."""
    folded = {each.casefold(): each for each in classes}
    alike = difflib.get_close_matches(name.casefold(), list(folded), n=1)
    if alike:
        return f"{json.dumps(folded[alike[0]], ensure_ascii=False)} }}"
    more = ", ..." if len(classes) > SHOWN else ""
    return f'"CLASS" }} with one of {", ".join(classes[:SHOWN])}{more}'


def _marks(table: DataTable, spec: DatasetSpec) -> list[str]:
    """Say which rows lack a unit, or say neither yes nor no to being handed over."""
    problems, lines = Problems(), list[str]()
    if spec.unit_id in table.others:
        empty = np.flatnonzero(table.others[spec.unit_id].missing)
        if empty.size:
            lines.append(
                f"{table.place(int(empty[0]))} has no unit in column '{spec.unit_id}'"
                f"{_rows(len(empty))}; say whose it is or take it out"
            )
    if spec.shareable in table.others:
        with problems.noted():
            shareable_of(table, replace(spec, unit_id=""))
    return lines + [str(each) for each in problems.errors]


def _rows(count: int) -> str:
    return f" ({count} rows)" if count > 1 else ""
