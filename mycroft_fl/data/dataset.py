"""A data set in memory: distinct examples, of arrays or of tables, and what is known of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Int, Int64

from mycroft_fl.data.formats.files import LabelledRows, named_labels
from mycroft_fl.data.formats.images import read_listed_images
from mycroft_fl.data.formats.said import say, say_changed
from mycroft_fl.data.formats.spec import DatasetSpec
from mycroft_fl.data.marks import digests_of, record_ids, shareable_of, units_of
from mycroft_fl.data.tables.conditions import rows_where
from mycroft_fl.data.tables.encode import DataTable, concatenated
from mycroft_fl.data.tables.targets import check_classes
from mycroft_fl.data.tables.values import known_as
from mycroft_fl.errors import DataError
from mycroft_fl.examples import Examples
from mycroft_fl.texts import Texts, as_bytes, is_text, joined_widths


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set's distinct examples, in the order of their file. Shared by all: read-only.

    `x` holds images, vectors or texts, or is None for a `table`, whose rows become vectors only once a
    task says how. `kept` are the rows of `x` that count (of an array on disk), None for all.
    `ids` tell examples apart by content, `classes[label]` is a class's name. `duplicates` counts
    the rows dropped because one before them had the same content, `overlap` those of the test
    file that stand in the other file as well; `from_test` marks the rows of the test file.
    `columns` are a table's columns, for choosing rows by; `units` say whose each row is, and
    `shareable` whether it may be handed over, where the spec names such a column.
    """

    x: np.ndarray | None
    y: Int64[np.ndarray, " n"]
    classes: tuple[str, ...]
    ids: Int64[np.ndarray, " n"]
    duplicates: int
    overlap: int
    from_test: Bool[np.ndarray, " n"]
    table: DataTable | None = None
    columns: DataTable | None = None
    kept: Int[np.ndarray, " n"] | None = None
    units: np.ndarray | None = None
    shareable: Bool[np.ndarray, " n"] | None = None

    def __len__(self) -> int:
        return len(self.y)

    @cached_property
    def examples(self) -> Examples:
        """All of it as arrays; not of a table."""
        return self.take(slice(None))

    def take(self, rows: Int[np.ndarray, " k"] | slice) -> Examples:
        """Return some of it as arrays; not of a table."""
        if self.x is None:
            raise DataError("a table's rows become vectors by a schema; use TableSchema.encode")
        x = self.x[rows] if self.kept is None else self.x[self.kept[rows]]
        examples = Examples(x, self.y[rows])
        if isinstance(rows, slice):
            examples.x.flags.writeable = examples.y.flags.writeable = False
        return examples

    def where(self, wanted: Mapping[str, Any]) -> Bool[np.ndarray, " n"]:
        """Return which rows meet the conditions on these columns, see `tables.conditions`."""
        if wanted and self.columns is None:
            raise DataError("rows are chosen by columns, but this is no table")
        if self.columns is None:
            return np.ones(len(self), dtype=bool)
        return rows_where(self.columns, wanted)

    def texts(self, column: str) -> np.ndarray:
        """Return a column's values as text, None where they are missing. Raises `DataError`."""
        if self.columns is None:
            raise DataError("rows are chosen by columns, but this is no table")
        return self.columns.column(column).texts


def distinct(
    rows: LabelledRows, test: LabelledRows | None = None, *, records: bool = False
) -> Dataset:
    """Drop rows that stood there already, see `load_dataset`; the first are kept."""
    from_test = np.zeros(len(rows.y), dtype=bool)
    if test is not None:
        from_test = np.repeat([False, True], [len(rows.y), len(test.y)])
        rows = _joined(rows, test)
    ids = Examples(rows.x, rows.y).ids
    whole = record_ids([digests_of(rows.x), rows.y]) if records else ids
    kept, duplicates, overlap = _first_of_each(whole, from_test)
    x, on_disk = rows.x, isinstance(rows.x, np.memmap)
    if not on_disk:
        x = x[kept] if len(kept) < len(x) else x
        x.flags.writeable = False
    return Dataset(
        x, rows.y[kept], rows.classes, ids[kept], duplicates, overlap, from_test[kept],
        kept=kept if on_disk else None,
    )  # fmt: skip


def from_tables(
    tables: list[DataTable], spec: DatasetSpec, folders: list[Path], records: bool
) -> Dataset:
    """Return the distinct rows of a table, and of its test table where there are two, see `load_dataset`."""
    joined = tables[0] if len(tables) == 1 else concatenated(*tables)
    from_test = np.repeat([False, True][: len(tables)], [len(each) for each in tables])
    # An owner of a few rows may have one of each class; and who renames labels has classes.
    if not records and not spec.labels:
        label = joined.column(spec.label)
        check_classes(joined.source, spec.label, label.names, len(joined), joined.spelling)
    y, classes = named_labels(_label_names(joined, spec))
    x, ids = None, joined.ids
    if spec.image:
        x = read_listed_images(
            [
                folders[of] / str(name)
                for of, name in zip(joined.file_of, joined.column(spec.image).texts, strict=True)
            ],
            [joined.place(row) for row in range(len(joined))],
            spec.size,
            spec.grey_range,
        )
        ids = Examples(x, y).ids
    if spec.text:
        x = _texts_of(joined, spec)
        ids = Examples(x, y).ids
    units, shareable = units_of(joined, spec), shareable_of(joined, spec)
    if records:
        contents = joined.contents if x is None else [digests_of(x)]
        whole = record_ids([*contents, y, *([] if units is None else [units])])
    else:
        whole = ids
    kept, duplicates, overlap = _first_of_each(whole, from_test)
    if shareable is not None:  # what stands there twice is handed over if both rows allow it
        shareable = ~np.isin(ids, ids[~shareable])[kept]
    table = joined[kept]
    if x is not None:
        x = x[kept]
        x.flags.writeable = False
    return Dataset(
        x, y[kept], classes, ids[kept], duplicates, overlap, from_test[kept],
        table if x is None else None, table,
        units=None if units is None else units[kept], shareable=shareable,
    )  # fmt: skip


def _texts_of(table: DataTable, spec: DatasetSpec) -> Texts:
    """Return the texts of a table's rows; each distinct one is made bytes once."""
    column = table.column(spec.text)
    x, cut = as_bytes(column.names, spec.longest)
    say_changed(table.source, column.names, cut, x.shape[1])
    return np.asarray(x[column.codes])


def _label_names(table: DataTable, spec: DatasetSpec) -> np.ndarray:
    """Return each row's class by name: labels are text, and the second file's are known as the first's."""
    column, renamed = table.column(spec.label), dict(spec.labels or ())
    used = np.unique(column.codes[table.file_of == 0]).tolist()
    first = {column.names[code] for code in used}
    for name in sorted(first):
        if (alike := known_as(name, first - {name})) != name:
            say(f"{table.source}: classes '{name}' and '{alike}' may be one; join them by labels")

    def class_of(name: str) -> str:
        return spec.renamed(known_as(known_as(name, first), renamed))

    return column.each(class_of, object, "").astype(str)


def _first_of_each(
    ids: Int64[np.ndarray, " n"], from_test: Bool[np.ndarray, " n"]
) -> tuple[Int[np.ndarray, " kept"], int, int]:
    """Return the first row of each content; how many others there are, and in both files how many."""
    kept = np.sort(np.unique(ids, return_index=True)[1])
    overlap = int(np.isin(ids[from_test], ids[~from_test]).sum())
    return kept, len(ids) - len(kept) - overlap, overlap


def relabelled(rows: LabelledRows, spec: DatasetSpec) -> LabelledRows:
    """Return the rows with their classes called as the spec says."""
    if not spec.labels:
        return rows
    names = np.array([spec.renamed(name) for name in rows.classes])[rows.y]
    return LabelledRows(rows.x, *named_labels(names))


def _joined(rows: LabelledRows, test: LabelledRows) -> LabelledRows:
    if is_text(rows.x) and is_text(test.x):
        one, other = joined_widths([rows.x, test.x])
        rows, test = replace(rows, x=one), replace(test, x=other)
    if rows.x.shape[1:] != test.x.shape[1:] or rows.x.dtype != test.x.dtype:
        raise DataError(
            f"the test examples have shape {test.x.shape[1:]}, the others {rows.x.shape[1:]}; "
            "bring both to one, for images by a size"
        )
    names = [np.array(each.classes)[each.y] for each in (rows, test)]
    return LabelledRows(np.concatenate([rows.x, test.x]), *named_labels(np.concatenate(names)))
