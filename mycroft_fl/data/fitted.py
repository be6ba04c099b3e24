"""A data set as a task wants it: checked against the task, its labels by the task's names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int64, Shaped

from mycroft_fl.data.dataset import Dataset
from mycroft_fl.data.formats.said import say
from mycroft_fl.data.formats.spec import DatasetSpec
from mycroft_fl.data.formats.transforms import fit_to
from mycroft_fl.data.sources import load_dataset
from mycroft_fl.data.tables.values import known_as
from mycroft_fl.data.task import Task
from mycroft_fl.errors import DataError, suggestion
from mycroft_fl.examples import Examples
from mycroft_fl.texts import fitted_width, is_text


@dataclass(frozen=True, eq=False)
class Records:
    """An owner's examples, with what its columns say of each; None where it names no such column.

    `units`: whose each is, as text. `shareable`: whether it may be handed over as it is; what
    stands there twice may if all its rows allow it.
    """

    examples: Examples
    units: Shaped[np.ndarray, " n"] | None = None
    shareable: Bool[np.ndarray, " n"] | None = None

    def __getitem__(self, rows: np.ndarray) -> Records:
        return Records(
            self.examples[rows],
            None if self.units is None else self.units[rows],
            None if self.shareable is None else self.shareable[rows],
        )


def task_examples(spec: DatasetSpec, base: Path, task: Task) -> Examples:
    """Return the distinct examples of a data set, as the task's models take them.

    A table is checked against the task's columns and encoded; images are brought to the task's
    size and channels; vectors must have its length. Raises `DataError` naming what does not fit.
    """
    return fitted(load_dataset(spec, base, kinds_of(task)), spec, task).examples


def task_records(spec: DatasetSpec, base: Path, task: Task) -> Records:
    """Return an owner's data set likewise, with its marks; a record is a content, a label and a unit.

    Raises `DataError`, also where a row has no unit, or its consent is neither yes nor no.
    """
    return fitted(load_dataset(spec, base, kinds_of(task), records=True), spec, task)


def kinds_of(task: Task) -> dict[str, str]:
    """Return what a task says that a table's columns hold."""
    return task.table.kinds if task.table else {}


def fitted(dataset: Dataset, spec: DatasetSpec, task: Task) -> Records:
    """Return a data set's examples as the task wants them. Raises `DataError` naming what does not fit."""
    labels = task_labels(dataset, spec, task.classes)
    rows = np.flatnonzero(labels >= 0)
    if len(rows) == 0:
        raise DataError(f"{spec.describe()}: no example is of a class of the task")
    examples = Examples(_inputs(dataset, rows, spec, task), labels[rows])
    units, shareable = dataset.units, dataset.shareable
    return Records(
        examples,
        None if units is None else units[rows],
        None if shareable is None else shareable[rows],
    )


def _inputs(dataset: Dataset, rows: np.ndarray, spec: DatasetSpec, task: Task) -> np.ndarray:
    if task.table is not None:
        if dataset.table is None:
            raise DataError(
                f"{spec.describe()} is no table, but the task's examples are rows of one"
            )
        return task.table.encode(dataset.table[rows])
    if dataset.x is None:
        raise DataError(f"{spec.describe()} is a table, but the task's examples are not")
    x = dataset.take(rows).x
    if task.holds_texts and is_text(x):
        x, cut = fitted_width(x, task.shape[0])
        if cut:
            say(
                f"{spec.describe()}: {cut} texts are longer than the task's {task.shape[0]} bytes, and cut"
            )
        return x
    if x.dtype == np.uint8 and x.ndim == 4 and len(task.shape) == 3:
        return fit_to(x, *task.shape)
    if x.dtype != task.dtype or x.shape[1:] != task.shape:
        if task.holds_texts or is_text(x):
            own, wanted = ("no texts", "texts") if task.holds_texts else ("texts", "no texts")
            raise DataError(f"{spec.describe()}: examples are {own}, the task's are {wanted}")
        raise DataError(
            f"{spec.describe()}: examples are {x.dtype} of shape {x.shape[1:]}, the task's are "
            f"{task.dtype} of shape {task.shape}"
        )
    return x


def task_labels(
    dataset: Dataset, spec: DatasetSpec, classes: tuple[str, ...]
) -> Int64[np.ndarray, " n"]:
    """Return each example's label in the task; -1 where it has none and such are dropped."""
    place = {name: label for label, name in enumerate(classes)}
    meant = [known_as(name, place) for name in dataset.classes]
    unknown = [
        name for name, as_known in zip(dataset.classes, meant, strict=True) if as_known not in place
    ]
    if unknown and spec.unknown_labels == "refuse":
        first = int(np.flatnonzero(dataset.y == dataset.classes.index(unknown[0]))[0])
        where = dataset.columns.place(first) if dataset.columns else spec.describe()
        near = suggestion(unknown[0], list(classes))
        raise DataError(
            f"{where}: label '{unknown[0]}' is no class of the task"
            + (near if "did you mean" in near else "")
            + (f", nor are {len(unknown) - 1} others" if len(unknown) > 1 else "")
            + '; rename it with labels = { ... }, or set unknown-labels = "drop"'
        )
    renamed = np.array([place.get(name, -1) for name in meant])
    return np.asarray(renamed[dataset.y], dtype=np.int64)
