"""A data set as a task wants it: checked against the task, its labels by the task's names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Int64

from mycroft_fl.data.sources import Dataset, load_dataset
from mycroft_fl.data.spec import DatasetSpec
from mycroft_fl.data.transforms import fit_to
from mycroft_fl.errors import DataError
from mycroft_fl.examples import Examples
from mycroft_fl.task import Task


def task_examples(spec: DatasetSpec, base: Path, task: Task) -> Examples:
    """The examples of a data set, as the task's models take them.

    A table is checked against the task's columns and encoded; images are brought to the task's
    size and channels; vectors must have its length. Raises `DataError` naming what does not fit.
    """
    dataset = load_dataset(spec, base)
    labels = task_labels(dataset, spec, task.classes)
    rows = np.flatnonzero(labels >= 0)
    if len(rows) == 0:
        raise DataError(f"{spec.describe()}: no example is of a class of the task")
    if task.table is not None:
        if dataset.table is None:
            raise DataError(
                f"{spec.describe()} is no table, but the task's examples are rows of one"
            )
        return Examples(task.table.encode(dataset.table[rows]), labels[rows])
    if dataset.x is None:
        raise DataError(f"{spec.describe()} is a table, but the task's examples are not")
    x = dataset.take(rows).x
    if x.dtype == np.uint8 and len(task.shape) == 3:
        return Examples(fit_to(x, *task.shape), labels[rows])
    if x.dtype != task.dtype or x.shape[1:] != task.shape:
        raise DataError(
            f"{spec.describe()}: examples are {x.dtype} of shape {x.shape[1:]}, the task's are "
            f"{task.dtype} of shape {task.shape}"
        )
    return Examples(x, labels[rows])


def task_labels(
    dataset: Dataset, spec: DatasetSpec, classes: tuple[str, ...]
) -> Int64[np.ndarray, " n"]:
    """Each example's label in the task; -1 where it has none and such are dropped."""
    place = {name: label for label, name in enumerate(classes)}
    unknown = [name for name in dataset.classes if name not in place]
    if unknown and spec.unknown_labels == "refuse":
        first = int(np.flatnonzero(dataset.y == dataset.classes.index(unknown[0]))[0])
        where = dataset.columns.place(first) if dataset.columns else spec.describe()
        raise DataError(
            f"{where}: label '{unknown[0]}' is no class of the task"
            + (f", nor are {len(unknown) - 1} others" if len(unknown) > 1 else "")
            + '; rename it with labels = { ... }, or set unknown-labels = "drop"'
        )
    renamed = np.array([place.get(name, -1) for name in dataset.classes])
    return np.asarray(renamed[dataset.y], dtype=np.int64)
