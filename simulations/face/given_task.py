"""The task of a trainer that gives its data and its owners' in Python, checked before anything is fitted."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from clients.answering.private_records import PrivateRecords
from mycroft_fl.data.dataset import Dataset
from mycroft_fl.data.fitted import Records, fitted
from mycroft_fl.data.formats.files import named_labels
from mycroft_fl.data.formats.spec import DatasetSpec, spec_from_setting
from mycroft_fl.data.given import dataset_given, taken
from mycroft_fl.data.sources import load_dataset
from mycroft_fl.data.tables.files import is_table
from mycroft_fl.data.tables.fit import fit_schema
from mycroft_fl.data.tables.known import KNOWN_TABLES
from mycroft_fl.data.tables.values import known_as
from mycroft_fl.data.task import Task
from mycroft_fl.errors import DataError, SettingError
from mycroft_fl.examples import Examples
from simulations.face.sharing import Sharing
from simulations.population.owners import SAFE_NAME

log = logging.getLogger(__name__)

OF_IMAGES = ("labels", "size", "grey-range", "unknown-labels")
"""Keys of a data set's table that are for folders of images and arrays too."""
SHOWN = 3
"""Problems of owners that one error names."""


@dataclass(frozen=True)
class Reading:
    """How data is read: a frame's column with the class, and other keys of a data set's table.

    `found` is the column that the trainer's own frame has its class in; files without a name for
    theirs go by it.
    """

    label: str
    options: Mapping[str, Any]
    found: str = ""

    def dataset(
        self, value: Any, what: str, kinds: Any = None, *, records: bool = False
    ) -> Dataset:
        """Return data of any kind, or at a path, as a data set. `DataError` naming what is wrong."""
        return self.read(value, what, kinds, records=records)[0]

    def read(
        self, value: Any, what: str, kinds: Any = None, *, records: bool = False
    ) -> tuple[Dataset, str]:
        """Return likewise, with the column that holds the class; "" where there is no such column."""
        if isinstance(value, Dataset):
            return value, ""
        if isinstance(value, str | Path):
            spec = self.at(value)
            return load_dataset(spec, Path.cwd(), kinds, records=records), spec.label
        pair = isinstance(value, tuple) and len(value) == 2
        x, y = value if pair else (value, None)
        given = taken(x, y, what=what, label=self.label)
        spec = self.spec(what, label=getattr(given, "label", ""))
        return dataset_given(given, spec, kinds, records=records), spec.label

    def at(self, path: str | Path) -> DatasetSpec:
        """Return the spec of a file or folder; of images, only what is for images."""
        if str(path) in KNOWN_TABLES:
            return self.spec(str(path))
        if is_table(Path(path)):
            spec = self.spec(str(path), label=self.label or self.found)
            if not spec.label:
                raise DataError(f"{path} is a table; name the column with the class as label=")
            return spec
        told = {key: value for key, value in self._told.items() if key in OF_IMAGES}
        return spec_from_setting({"path": str(path), **told}, SettingError)

    def spec(self, name: str, *, label: str = "") -> DatasetSpec:
        """Return the spec of data so called."""
        told = {"label": label or self.label, **self._told}
        return spec_from_setting(
            {"path": name, **{k: v for k, v in told.items() if v}}, SettingError
        )

    @property
    def _told(self) -> dict[str, Any]:
        return {key.replace("_", "-"): value for key, value in self.options.items()}


@dataclass(frozen=True, eq=False)
class GivenTask:
    """A trainer's part, and its owners' records by name."""

    task: Task
    train: Examples
    validation: Examples
    test: Examples | None
    owners: Mapping[str, PrivateRecords]


def given_task(
    parts: Mapping[str, Any],
    owners: Any,
    reading: Reading,
    classes: Any,
    model: str,
    sharing: Sharing | None = None,
) -> GivenTask:
    """Return the task that data in memory, or at paths, makes. `DataError` on whatever does not fit.

    Examples of a later part that stand in one before it are left out, and of owners what the trainer
    holds.

    Args:
        parts: train, validation and perhaps test.
        owners: their data by name; with `sharing`, one data set that they share.
        reading: how data is read.
        classes: the classes in the order of the model's outputs; None for all that the parts have.
        model: the model's name.
        sharing: how owners share one data set; None where each has its own.
    """
    _check_owners(owners, sharing)
    own, column = reading.read(parts["train"], "train")
    sets, reading = {"train": own}, replace(reading, found=column)
    kinds = own.table.kinds if own.table is not None else None
    sets |= {
        name: reading.dataset(value, name, kinds)
        for name, value in parts.items()
        if name != "train"
    }
    task = _task(own, reading, _classes(sets, classes), model)
    seen, examples = Examples(np.empty((0, *task.shape), task.dtype), np.empty(0, np.int64)), {}
    for name, each in sets.items():
        found = fitted(each, reading.spec(name), task).examples
        examples[name] = found[~np.isin(found.ids, seen.ids)]
        if not len(examples[name]):
            raise DataError(f"{name} holds nothing that the parts before it do not hold")
        seen = Examples.concatenate([seen, examples[name]])
    if sharing is None:
        records = _owners(owners, reading, task, seen.ids)
    else:
        records = sharing.of(_records("owners", owners, reading, task, seen.ids))
    return GivenTask(task, examples["train"], examples["validation"], examples.get("test"), records)


def _task(own: Dataset, reading: Reading, classes: tuple[str, ...], model: str) -> Task:
    if len(classes) < 2:
        raise DataError(
            f"there is one class, {list(classes)}; a classifier tells two apart or more"
        )
    if own.table is not None:
        schema = fit_schema(own.table, reading.spec("train"))
        return Task(classes, (schema.width,), np.dtype(np.float32), model, schema)
    x = own.take(np.arange(1)).x
    return Task(classes, tuple(x.shape[1:]), x.dtype, model)


def _classes(sets: Mapping[str, Dataset], given: Any) -> tuple[str, ...]:
    if given is not None:
        return tuple(str(each) for each in given)
    known = dict.fromkeys(sets["train"].classes)
    for part, each in sets.items():
        # A number may be written otherwise there: 1 and 1.0 are one class.
        new = [name for name in each.classes if known_as(name, known) not in known]
        if new:
            log.warning("%s has labels that train never has: %s", part, ", ".join(new[:SHOWN]))
        known |= dict.fromkeys(new)
    return named_labels(np.array(list(known)))[1]


def _check_owners(owners: Any, sharing: Sharing | None) -> None:
    """Raise `SettingError` where owners are no mapping by name, and `DataError` where there is none."""
    if sharing is not None:
        if isinstance(owners, Mapping):
            raise SettingError(
                "partition divides one data set among owners, and owners is a mapping of several; give "
                "one data set, or leave partition out"
            )
        return
    if not isinstance(owners, Mapping):
        raise SettingError(
            f'owners is a {type(owners).__name__}; give data by name, such as {{"a": a, "b": b}}, or '
            'partition={"dirichlet": 0.3, "num": 20} to divide one data set'
        )
    for name in owners:
        if not isinstance(name, str):
            raise SettingError(f'owners holds the name {name!r}; give text, such as "{name}"')
    if not owners:
        raise DataError('there is no owner; give owners, such as {"a": frame_a, "b": frame_b}')


def _owners(
    owners: Mapping[str, Any], reading: Reading, task: Task, trainers: np.ndarray
) -> dict[str, PrivateRecords]:
    """Return owners' records, all that is wrong with any of them in one error."""
    found, problems = {}, []
    for name, value in owners.items():
        if not SAFE_NAME.fullmatch(name):
            problems.append(f"'{name}' is no name; use letters, digits, '-', '_' and '.'")
            continue
        try:
            found[name] = PrivateRecords.of(_records(name, value, reading, task, trainers))
        except DataError as error:
            problems.append(f"owner '{name}': {error}")
    if problems:
        more = len(problems) - SHOWN
        rest = f"\nand {more} owners more" if more > 0 else ""
        raise DataError("\n".join(problems[:SHOWN]) + rest)
    return found


def _records(name: str, value: Any, reading: Reading, task: Task, trainers: np.ndarray) -> Records:
    kinds = task.table.kinds if task.table else None
    dataset = reading.dataset(value, name, kinds, records=True)
    held = fitted(dataset, reading.spec(name), task)
    held = held[~np.isin(held.examples.ids, trainers)]
    if not len(held.examples):
        raise DataError("it holds nothing that the trainer does not hold")
    return held
