"""The mock of a table: a function of the task alone, whatever the task is."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mycroft_fl.data.tables.columns import Categories, Numbers
from mycroft_fl.data.tables.schema import TableSchema
from mycroft_fl.data.task import Task
from mycroft_fl.protocol.description import MOST_BYTES, MOST_NAMES, read_description
from mycroft_fl.tasks.description import read_task, task_digest, write_task
from mycroft_fl.tasks.mock import described

AGE = Numbers("age", fill=40.0, mean=50.0, scale=10.0, log=False)
BYTES = Numbers("bytes", fill=0.0, mean=3.0, scale=1.0, log=True)
DAY = Numbers("day", 0.0, 0.0, 1.0, log=False, date="since", part="day")
HOUR = Numbers("hour", 0.0, 0.0, 1.0, log=False, date="since", part="hour")
WARD = Categories("ward", "east", ("east", "west"))
SCHEMA = TableSchema((AGE, DAY, HOUR, BYTES, WARD), label="outcome")


def task_of(schema: TableSchema | None = SCHEMA, **changed: object) -> Task:
    given = {
        "classes": ("ill", "well"),
        "shape": (6,),
        "dtype": np.dtype(np.float32),
        "model": "mlp",
    }
    return Task(**(given | {"table": schema} | changed))  # type: ignore[arg-type]


def test_a_date_is_one_column_and_rows_lie_within_the_tasks_own_scaling() -> None:
    found = described(task_of())
    assert found.columns == (
        ("age", "number"), ("since", "date"), ("bytes", "number"), ("ward", "category"),
    )  # fmt: skip
    assert (found.form, found.label, found.num_columns, len(found.rows)) == (
        "table",
        "outcome",
        4,
        3,
    )
    for age, since, size, ward, label in found.rows:
        assert 50 - 15 <= float(age) <= 50 + 15
        assert since.startswith("2000-")
        # The logarithm is undone: exp(3 - 1.5) - 1 to exp(3 + 1.5) - 1.
        assert 3.4 <= float(size) <= 90
        assert ward in WARD.known
        assert label in ("ill", "well")


@pytest.mark.parametrize(
    ("task", "form"),
    [
        (task_of(None, shape=(3, 8, 8), dtype=np.dtype(np.uint8)), "images"),
        (task_of(None, shape=(400,), dtype=np.dtype(np.uint8)), "texts"),
        (task_of(None), "vectors"),
    ],
)
def test_what_is_no_table_has_a_shape_and_no_rows(task: Task, form: str) -> None:
    found = described(task)
    assert (found.form, found.shape, found.rows, found.columns) == (form, task.shape, (), ())


def test_it_is_the_same_once_the_task_was_handed_over_and_in_another_process(tmp_path) -> None:
    write_task(task_of(), tmp_path / "task.json")
    back = read_task(tmp_path / "task.json")
    assert back.table is not None
    assert back.table.label == "outcome"
    assert described(back).as_bytes() == described(task_of()).as_bytes()
    lines = "import sys, pathlib; from mycroft_fl.tasks import description, mock; "
    lines += "task = description.read_task(pathlib.Path(sys.argv[1])); "
    lines += "sys.stdout.buffer.write(mock.described(task).as_bytes())"
    other = subprocess.run(
        [sys.executable, "-c", lines, str(tmp_path / "task.json")], capture_output=True, check=True
    )
    assert other.stdout == described(back).as_bytes()


def test_every_difference_of_two_tasks_shows_in_the_digest() -> None:
    others = [
        task_of(classes=("well", "ill")),
        task_of(model="linear"),
        task_of(TableSchema(SCHEMA.columns, fills=True, label="outcome")),
        task_of(TableSchema((Numbers("age", 40.0, 51.0, 10.0, log=False), *SCHEMA.columns[1:]))),
    ]
    digests = [task_digest(each) for each in (task_of(), *others)]
    assert len(set(digests)) == 5


NAMES = st.text(st.characters(exclude_categories=["C", "Z", "M"]), min_size=1, max_size=200)
NUMBERS = st.builds(
    Numbers,
    NAMES,
    st.floats(-1e300, 1e300),
    st.floats(-1e308, 1e308),
    st.floats(1e-300, 1e308),
    st.booleans(),
)
NAMED = st.builds(
    lambda name, known: Categories(name, known[0], tuple(known)),
    NAMES,
    st.lists(NAMES, min_size=1, max_size=4, unique=True),
)


@given(
    st.lists(NUMBERS | NAMED, min_size=1, max_size=6, unique_by=lambda each: each.name),
    st.lists(NAMES, min_size=2, max_size=5, unique=True),
)
def test_any_task_gives_a_description_that_a_trainer_reads(
    columns: list[Numbers | Categories], classes: list[str]
) -> None:
    schema = TableSchema(tuple(columns))
    found = described(task_of(schema, classes=tuple(classes), shape=(schema.width,)))
    assert read_description(found.as_bytes()).rows == found.rows
    for column, cells in zip(columns, zip(*found.rows, strict=True), strict=False):
        assert not isinstance(column, Numbers) or np.isfinite([float(each) for each in cells]).all()


def test_a_task_of_very_many_names_names_the_first_and_counts_all() -> None:
    columns = tuple(Numbers(f"column-{each}", 0.0, 0.0, 1.0, log=False) for each in range(3000))
    classes = tuple(f"class-{each}" for each in range(700))
    found = described(task_of(TableSchema(columns), classes=classes, shape=(3000,)))
    assert (found.num_columns, found.num_classes) == (3000, 700)
    assert (len(found.columns), len(found.classes)) == (MOST_NAMES, MOST_NAMES)
    assert len(found.as_bytes()) < MOST_BYTES
    assert read_description(found.as_bytes()) == found
