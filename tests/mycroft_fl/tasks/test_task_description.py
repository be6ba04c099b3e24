"""task.json: what a trainer writes an owner reads, and nothing else passes for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mycroft_fl.data.tables.columns import Categories, Numbers
from mycroft_fl.data.tables.schema import TableSchema
from mycroft_fl.data.task import Task
from mycroft_fl.errors import DataError
from mycroft_fl.tasks.description import read_task, write_task

SCHEMA = TableSchema(
    (Numbers("age", 40.5, 41.25, 12.1, log=False), Categories("ward", "é", ("é", "north"))),
    fills=True,
)
TABLE = Task(("ill", "well"), (3,), np.dtype(np.float32), "random-forest", SCHEMA)
IMAGES = Task(tuple(map(str, range(10))), (3, 32, 32), np.dtype(np.uint8), "lenet")


@pytest.mark.parametrize("task", [TABLE, IMAGES], ids=["table", "images"])
def test_a_task_comes_back_from_its_description(task: Task, tmp_path: Path) -> None:
    write_task(task, tmp_path / "task.json")
    assert read_task(tmp_path / "task.json") == task
    assert [each.name for each in tmp_path.iterdir()] == ["task.json"]


def content() -> dict[str, Any]:
    return {
        "version": 1,
        "classes": ["ill", "well"],
        "shape": [3],
        "dtype": "float32",
        "model": "mlp",
        "table": SCHEMA.as_dict(),
    }


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"version": 2}, "not a task's description of version 1"),
        ({"more": 1}, "not a task's description"),
        ({"classes": ["ill"]}, "at least two names"),
        ({"classes": ["ill", "ill"]}, "at least two names"),
        ({"classes": ["ill", 1]}, "at least two names"),
        ({"classes": "ill"}, "at least two names"),
        ({"shape": []}, "shape must be"),
        ({"shape": [3.0]}, "shape must be"),
        ({"shape": [True]}, "shape must be"),
        ({"shape": [-3]}, "shape must be"),
        ({"shape": [3, 3]}, "shape must be"),
        ({"shape": [2**40], "table": None}, "too large"),
        ({"shape": [2**22, 2**22, 2**22], "table": None}, "too large"),
        ({"dtype": "object"}, "dtype must be"),
        ({"model": 3}, "model a name"),
        ({"shape": [4]}, "the table's rows have 3 numbers"),
        ({"table": {"columns": 3}}, "not the description of a table"),
        ({"table": {"columns": [{"kind": "code"}]}}, "not the description of a table"),
        ({"table": []}, "not the description of a table"),
    ],
)
def test_what_is_no_description_is_said(changed: dict[str, Any], said: str, tmp_path: Path) -> None:
    path = tmp_path / "task.json"
    path.write_text(json.dumps(content()))
    assert read_task(path).table == SCHEMA
    path.write_text(json.dumps(content() | changed))
    with pytest.raises(DataError, match=said):
        read_task(path)


@pytest.mark.parametrize("junk", ["", "{", "[" * 100_000, "3", "[]", "\xff"])
def test_junk_is_no_description(junk: str, tmp_path: Path) -> None:
    path = tmp_path / "task.json"
    path.write_bytes(junk.encode("latin-1"))
    with pytest.raises(DataError):
        read_task(path)
    with pytest.raises(DataError, match="cannot be read"):
        read_task(tmp_path / "nowhere.json")


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "task.json"
    with path.open("wb") as file:
        file.truncate((16 << 20) + 1)
    with pytest.raises(DataError, match="larger than 16 MiB"):
        read_task(path)
