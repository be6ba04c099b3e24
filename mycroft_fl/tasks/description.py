"""The description of a task that a trainer hands to owners: task.json, read as hostile input.

Class names, the shape and type of an example, the architecture, and how a table's rows become
vectors: all that an owner needs to fit its own data to the task, and nothing of the trainer's rows
but what `TableSchema` says of them.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from mycroft_fl.claims import plain
from mycroft_fl.data.formats.spec import MOST_WIDTH
from mycroft_fl.data.tables.columns import Categories
from mycroft_fl.data.tables.schema import TableSchema
from mycroft_fl.data.task import Task
from mycroft_fl.encoders.word_counts import Vocabulary
from mycroft_fl.errors import DataError
from mycroft_fl.files import write_whole
from mycroft_fl.foreign_text import LONGEST_NAME, cleaned, is_clean

VERSION = 1
MAX_BYTES = 16 << 20
MAX_VALUES = 1 << 28
"""Numbers in one example. A hostile description could otherwise have an owner's memory filled."""
KEYS = {"version", "classes", "shape", "dtype", "model", "table"}


def write_task(task: Task, path: Path) -> None:
    """Write the description for owners, whole or not at all. `DataError` on names none would take."""
    _check_names(task, path.name)
    write_whole(path, json.dumps(_content(task), indent=1))


def task_digest(task: Task) -> str:
    """Return the SHA-256 of all that a description says, in hex: equal for equal tasks alone."""
    return hashlib.sha256(json.dumps(_content(task), sort_keys=True).encode()).hexdigest()


def read_task(path: Path) -> Task:
    """Return the task in a description. Raises `DataError` on whatever is wrong with it."""
    try:
        with plain(path) as stream:
            text = stream.read(MAX_BYTES + 1)  # 16 MiB at most
        if len(text) > MAX_BYTES:
            raise DataError(f"{path.name} is larger than {MAX_BYTES >> 20} MiB; ask for another")
        content = json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(
            f"{path} cannot be read as a task's description; the trainer hands it out as task.json"
        ) from error
    return _task(content, path.name)


def _content(task: Task) -> dict[str, Any]:
    content = {
        "version": VERSION,
        "classes": list(task.classes),
        "shape": list(task.shape),
        "dtype": str(task.dtype),
        "model": task.model,
        "table": None if task.table is None else task.table.as_dict(),
    }
    if task.vocabulary is not None:  # left out of others, which the first release wrote and reads
        content["vocabulary"] = task.vocabulary.as_dict()
    return content


def _task(content: Any, source: str) -> Task:
    known = {*KEYS, "vocabulary"}
    if not isinstance(content, dict) or not KEYS <= set(content) <= known:
        raise DataError(f"{source} is not a task's description of version {VERSION}")
    if content["version"] != VERSION:
        raise DataError(f"{source} is not a task's description of version {VERSION}")
    classes, shape, model = content["classes"], content["shape"], content["model"]
    if not _are(classes, str) or len(set(classes)) < max(2, len(classes)):
        raise DataError(f"{source}: classes must be at least two names, none of them twice")
    if not _are(shape, int) or len(shape) not in (1, 3) or not all(side > 0 for side in shape):
        raise DataError(f"{source}: shape must be [columns], [bytes] or [channels, height, width]")
    if content["dtype"] == "uint8" and len(shape) == 1 and shape[0] > MOST_WIDTH:
        raise DataError(f"{source}: texts of {shape[0]} bytes are too long")
    if np.prod(np.array(shape, dtype=object)) > MAX_VALUES:
        raise DataError(f"{source}: an example of shape {shape} is too large")
    if content["dtype"] not in ("uint8", "float32") or not isinstance(model, str):
        raise DataError(f"{source}: dtype must be uint8 or float32, and model a name")
    table = None if content["table"] is None else TableSchema.from_dict(content["table"])
    if table is not None and [table.width] != shape:
        raise DataError(f"{source}: the table's rows have {table.width} numbers, the shape {shape}")
    task = Task(
        tuple(classes), tuple(shape), np.dtype(content["dtype"]), model, table,
        _vocabulary(content, source, texts=content["dtype"] == "uint8" and len(shape) == 1),
    )  # fmt: skip
    _check_names(task, source)
    return task


def _vocabulary(content: dict[str, Any], source: str, *, texts: bool) -> Vocabulary | None:
    if "vocabulary" not in content:
        return None
    if not texts:
        raise DataError(f"{source}: a vocabulary is for texts, and the task's examples are none")
    return Vocabulary.from_dict(content["vocabulary"])


def _check_names(task: Task, source: str) -> None:
    """Raise `DataError` for a name that would show as something else where owners read it."""
    names = [("class", each) for each in task.classes] + [("model", task.model)]
    if task.table is not None:
        names.append(("label", task.table.label))
    for column in task.table.columns if task.table is not None else ():
        names.append(("column", column.name))
        if isinstance(column, Categories):
            names += [("category", each) for each in (*column.known, column.fill)]
    if task.vocabulary is not None:
        names += [("word", each) for each in task.vocabulary.terms]
    for what, name in names:
        if not is_clean(name):
            raise DataError(
                f"{source}: {what} '{cleaned(name, 60)}' has control characters, or more than "
                f"{LONGEST_NAME} characters; rename it in the trainer's data"
            )


def _are(values: Any, kind: type) -> bool:
    return isinstance(values, list) and all(type(each) is kind for each in values)
