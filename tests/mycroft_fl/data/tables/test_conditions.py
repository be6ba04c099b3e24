"""Conditions of a group's `where`: which rows they choose, against the values themselves."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest

from mycroft_fl.data.dataset import Dataset
from mycroft_fl.data.sources import load_dataset
from mycroft_fl.errors import DataError
from tests.mycroft_fl.data.tables.cases import rows, spec_of

AGES = [59, 60, 61, 79.5, 80, None]
DAYS = ["2020-12-31", "2021-01-01", "2021-01-01 08:30", "", "2021-12-31", "2022-01-01"]
SITES = ["A", "B", "01", "1", "missing", ">= 60"]
FLAGS = ["True", "false", "TRUE", "False", "true", ""]


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    lines = (
        f"{'' if age is None else age},{day},{site},{flag},{place},no"
        for place, (age, day, site, flag) in enumerate(zip(AGES, DAYS, SITES, FLAGS, strict=True))
    )
    (tmp_path / "t.csv").write_text(rows("age,admitted,site,flag,place,y", *lines))
    return load_dataset(spec_of("t.csv", missing_values={"site": []}), tmp_path)


@pytest.mark.parametrize(
    ("where", "chosen"),
    [
        ({"age": ">= 60"}, [1, 2, 3, 4]),
        ({"age": "> 60"}, [2, 3, 4]),
        ({"age": "<60"}, [0]),
        ({"age": "<= 60.0"}, [0, 1]),
        ({"age": ">= 60, < 80"}, [1, 2, 3]),
        ({"age": ["< 60", ">= 80"]}, [0, 4]),
        ({"age": 60}, [1]),
        ({"age": 60.0}, [1]),
        ({"age": "60"}, [1]),
        ({"age": [59, "79.50"]}, [0, 3]),
        ({"age": "!= 60"}, [0, 2, 3, 4]),
        ({"age": "missing"}, [5]),
        ({"age": "not missing"}, [0, 1, 2, 3, 4]),
        ({"admitted": ">= 2021-01-01"}, [1, 2, 4, 5]),
        ({"admitted": ">= 2021-01-01, < 2022-01-01"}, [1, 2, 4]),
        ({"admitted": "> 2021-01-01 08:00, <= 2021-12-31"}, [2, 4]),
        ({"admitted": datetime.date(2021, 1, 1)}, [1]),
        ({"admitted": "missing", "age": "< 80"}, [3]),
        ({"site": ["A", "B"]}, [0, 1]),
        ({"site": "01"}, [2]),
        ({"site": "1"}, [3]),
        ({"site": 1}, [2, 3]),
        ({"site": "missing"}, [4]),
        ({"site": "= missing"}, [4]),
        ({"site": ">= 60"}, [5]),
        ({"flag": True}, [0, 2, 4]),
        ({"flag": "false"}, [1]),
        ({"flag": False}, [1, 3]),
        ({"place": ["< 2", "> 4"], "age": "not missing"}, [0, 1]),
    ],
)
def test_rows_are_chosen_by_value(
    where: dict[str, Any], chosen: list[int], dataset: Dataset
) -> None:
    assert dataset.where(where).nonzero()[0].tolist() == chosen


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ({"age": ">= old"}, "age >= 'old' compares with neither a number nor a date"),
        ({"age": ">= 60, 80"}, "age = '>= 60, 80' is no condition"),
        ({"age": ">="}, "age = '>=' is no condition"),
        ({"flag": "> 3"}, "flag > '3' fits no row: the column holds no such values"),
        ({"age": "> 1000"}, "no row has age = ['> 1000']; there are ['59', '60', '61', '79.5',"),
        ({"ages": 3}, "there is no column 'ages'; did you mean 'age'?"),
    ],
)  # fmt: skip
def test_a_condition_that_chooses_nothing_is_told_so(
    where: dict[str, Any], words: str, dataset: Dataset
) -> None:
    with pytest.raises(DataError) as caught:
        dataset.where(where)
    assert words in str(caught.value)


def test_a_condition_reads_numbers_as_the_file_writes_them(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(rows("n;y", "1.000,5;no", "999,5;yes"))
    spec = spec_of("t.csv", delimiter=";", decimal=",", thousands=".")
    assert load_dataset(spec, tmp_path).where({"n": "> 1000"}).tolist() == [True, False]
    assert load_dataset(spec, tmp_path).where({"n": 999.5}).tolist() == [False, True]
