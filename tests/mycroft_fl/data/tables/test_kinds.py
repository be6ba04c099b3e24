"""Kinds of columns: what the trainer declares holds in every file; dates and missing values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mycroft_fl.data.formats.spec import DatasetSpec
from mycroft_fl.data.tables.columns import Categories, Numbers
from mycroft_fl.errors import DataError
from tests.mycroft_fl.data.tables.cases import owned, rows, shown, spec_of, task_from

PAIRS = rows("age,c,y", "20,1,yes", "21,2,no")


def test_a_declared_kind_is_obeyed(tmp_path: Path) -> None:
    table = rows(
        "zip,n,seen,who,y",
        *(f"{1000 + p},0{p % 3},2024-01-0{p % 9 + 1},w{p},no" for p in range(60)),
    )
    kinds = {"zip": "category", "n": "number", "seen": "date", "who": "ignore"}
    columns = task_from(tmp_path, table, columns=kinds).table.columns
    assert [column.name for column in columns] == [
        "zip",
        "n",
        "seen (day)",
        "seen (weekday)",
        "seen (hour)",
    ]
    assert isinstance(columns[0], Categories)
    assert isinstance(columns[1], Numbers)


def test_an_owner_cannot_make_something_else_of_the_tasks_column(tmp_path: Path) -> None:
    task = task_from(tmp_path, PAIRS)
    words = "columns.c is 'category', but the task has a number there; take it out"
    with pytest.raises(DataError, match=words):
        owned(tmp_path, PAIRS, task, columns={"c": "category"})
    with pytest.raises(DataError, match="column 'c' is missing; the task's columns are age, c"):
        owned(tmp_path, PAIRS, task, columns={"c": "id"})


def test_a_date_becomes_day_weekday_and_hour_however_each_file_writes_it(tmp_path: Path) -> None:
    trainers = [f"{place},2021-03-{place + 1:02d}T{place % 24:02d}:30,no" for place in range(31)]
    task = task_from(tmp_path, rows("a,seen,y", *trainers), columns={"seen": "date"})
    assert task.shape == (4,)
    owners = rows("a;seen;y", "0;31.03.2021 14:45;no", "1;2021-03-31 16:45:00+02:00;no")
    held = owned(tmp_path, owners, task, delimiter=";")
    american = rows("a,seen,y", "0,03/31/2021 02:45 PM,no")
    other = owned(tmp_path, american, task, columns={"seen": "date:%m/%d/%Y %I:%M %p"})
    for each in (shown(held, task), shown(other, task)):
        days = float((np.datetime64("2021-03-31") - np.datetime64("1970-01-01")).astype(int))
        assert each["seen (day)"][0] == pytest.approx(days, abs=0.01)
        assert each["seen (weekday)"][0] == pytest.approx(2, abs=1e-3)  # a Wednesday
        assert each["seen (hour)"][0] == pytest.approx(14.75, abs=1e-3)
    assert held.examples.x[0, 1:].tolist() == held.examples.x[1, 1:].tolist()
    with pytest.raises(DataError, match="'03/04/2021' is no date such as 2021-03-31"):
        owned(tmp_path, rows("a,seen,y", "0,03/04/2021,no"), task)


def test_missing_values_are_those_that_the_column_lists(tmp_path: Path) -> None:
    lines = [
        "220,state,no",
        "0,?,yes",
        "0.0,private,no",
        "180,NA,yes",
        "200,private,no",
        ",private,yes",
    ]
    table = rows("chol,work,y", *lines)
    listed = {"chol": [0], "work": ["?"]}
    task = task_from(tmp_path, table, missing="fill", missing_values=listed)
    held = shown(owned(tmp_path, table, task, missing_values=listed), task)
    assert held["chol"] == [220, 200, 200, 180, 200, 200]  # 200 is the median of the three
    assert held["work"] == ["state", "private", "private", "private", "private", "private"]
    only_empty = task_from(tmp_path, table, missing="fill", missing_values={"work": []})
    assert "NA" in only_empty.table.columns[1].known
    assert DatasetSpec.of(spec_of("t.csv", missing_values=listed)).missing_values == (
        ("chol", ("0",)),
        ("work", ("?",)),
    )
