"""A trainer's table and an owner's, as each would lie on its own disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mycroft_fl.data.fitted import Records, task_records
from mycroft_fl.data.formats.spec import DatasetSpec, spec_from_setting
from mycroft_fl.data.sources import load_dataset
from mycroft_fl.data.tables.fit import fit_schema
from mycroft_fl.data.task import Task
from mycroft_fl.errors import SettingError


def spec_of(path: str, **settings: object) -> DatasetSpec:
    """Return the spec that a file's `dataset = { ... }` would give; keys with '_' for '-'."""
    given = {key.replace("_", "-"): value for key, value in settings.items()}
    return spec_from_setting({"path": path, "label": "y", **given}, SettingError)


def written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def task_from(
    folder: Path, content: str | bytes, name: str = "train.csv", **settings: object
) -> Task:
    """Return the task that a trainer's table gives."""
    written(folder / name, content)
    spec = spec_of(name, **settings)
    own = load_dataset(spec, folder)
    assert own.table is not None
    schema = fit_schema(own.table, spec)
    return Task(own.classes, (schema.width,), np.dtype(np.float32), "mlp", schema)


def owned(
    folder: Path, content: str | bytes, task: Task, name: str = "owner.csv", **settings: object
) -> Records:
    """Return an owner's records, as its table gives them."""
    return task_records(spec_of(written(folder / name, content).name, **settings), folder, task)


def shown(records: Records, task: Task) -> dict[str, list[object]]:
    """Return what a table holds as the task sees it: numbers as in the file, categories by name."""
    assert task.table is not None
    frame = task.table.decoded(records.examples.x)
    rounded = frame.round(3)
    return {str(name): rounded[name].tolist() for name in rounded}


def rows(*lines: str) -> str:
    return "\n".join(lines) + "\n"
