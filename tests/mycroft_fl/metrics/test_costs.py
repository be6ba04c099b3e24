"""A file of costs is read by its names, and whatever is wrong with it is said in one line."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mycroft_fl.errors import DataError
from mycroft_fl.metrics.costs import SHOWN, read_costs
from mycroft_fl.metrics.metric import Metric

CLASSES = ("attack", "normal")


@pytest.fixture
def written(tmp_path: Path):
    def write(text: str | bytes) -> Path:
        path = tmp_path / "costs.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def refusal(path: Path, classes: tuple[str, ...] = CLASSES) -> str:
    with pytest.raises(DataError) as error:
        read_costs(path, classes)
    message = str(error.value)
    head = f"metric: {path} holds no costs: "
    tail = "; give a CSV with a row for each true class and a column for each answer"
    assert message.startswith(head)
    assert message.endswith(tail)
    assert "\n" not in message
    return message.removeprefix(head).removesuffix(tail)


@given(st.permutations(range(3)), st.permutations(range(3)))
def test_rows_and_columns_are_found_by_name_in_any_order(rows, columns) -> None:
    costs = np.array([[0, 5, 7], [1.5, 0, 2], [3, 4, 0]])
    names = np.array(["a", "b", "c,d"])
    lines = ["true," + ",".join(f'"{names[c]}"' for c in columns)]
    lines += [f'"{names[r]}", ' + ", ".join(str(costs[r, c]) for c in columns) for r in rows]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "c.csv"
        path.write_bytes(("\ufeff" + "\r\n".join(lines) + "\r\n\r\n").encode())
        assert np.array_equal(read_costs(path, tuple(names)), costs)


def test_a_metric_of_costs_counts_in_units_of_the_largest(written) -> None:
    path = written("true,attack,normal\nattack,0,50\nnormal,1,0\n")
    metric = Metric.of(f"cost:{path}", CLASSES)
    y, answers = np.array([0, 0, 1, 1]), np.eye(2)[[0, 1, 0, 1]]
    assert metric.value(y, answers) == pytest.approx(-(50 + 1) / 4 / 50)
    assert metric.lost(y, answers.argmax(1)).tolist() == [0, 1, 1 / 50, 0]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "it has no header of answers with rows of true classes below it"),
        ("true,attack,normal\n", "it has no header of answers with rows of true classes below it"),
        ("true\nattack\n", "it has no header of answers with rows of true classes below it"),
        (b"true,\xff\xfe", "it cannot be read as CSV ('utf-8' codec can't decode byte 0xff"),
        ('a,b\n"x', "it cannot be read as CSV (unexpected end of data)"),
        (
            "true,atack,normal\nattack,0,1\nnormal,1,0\n",
            "column 'atack' is no class of the task; did you mean 'attack'?; column 'attack' is missing",
        ),
        (
            "true,attack,normal\nattack,0,1\nattack,1,0\n",
            "row 'attack' stands there 2 times; row 'normal' is missing",
        ),
        (
            "true,attack,normal\nattack,0\nnormal,1,0,3\n",
            "row 2 has 2 fields, the header 3; row 3 has 4 fields, the header 3",
        ),
        (
            "true,attack,normal\nattack,nan,-1\nnormal,1_0,2e9\n",
            "'nan' (row 'attack', column 'attack') is no number from 0 to 1e+09; "
            "'-1' (row 'attack', column 'normal') is no number from 0 to 1e+09; "
            "'1_0' (row 'normal', column 'attack') is no number from 0 to 1e+09; "
            "'2e9' (row 'normal', column 'normal') is no number from 0 to 1e+09",
        ),
        (
            "true,attack,normal\nattack,0,0\nnormal,0,0\n",
            "for each true class all answers cost the same, so that all models are alike",
        ),
        (
            "true,attack,normal\nattack,2,2\nnormal,3,3\n",
            "for each true class all answers cost the same, so that all models are alike",
        ),
        (
            "true,attack,normal\nattack,5,1\nnormal,1,0\n",
            "'attack' taken for itself costs 5, for 'normal' only 1",
        ),
    ],
)
def test_each_fault_is_said(written, text, problem) -> None:
    assert refusal(written(text)).startswith(problem)


def test_all_faults_stand_in_one_line_and_of_many_the_first(written) -> None:
    names = [f"class {number}" for number in range(60)]
    header = "true," + ",".join(names)
    rows = "\n".join(f"{name}," + ",".join(["0"] * 60) for name in names)
    said = refusal(written(f"{header}\n{rows}\n"))
    assert said.count("is no class of the task") == SHOWN
    assert said.endswith(f"; and {2 * (60 + 2) - SHOWN} more")


def test_a_name_cannot_write_on_the_terminal(written) -> None:
    said = refusal(written("true,\x1b[2J" + "x" * 500 + ",normal\nattack,0,1\nnormal,1,0\n"))
    assert "\x1b" not in said
    assert len(said) < 300


def test_a_file_that_is_none_or_too_large_is_refused_before_it_is_read(written, tmp_path) -> None:
    assert "it cannot be read as CSV" in refusal(tmp_path)
    with pytest.raises(DataError) as error:
        read_costs(tmp_path / "nowhere.csv", CLASSES)
    said = f"metric: there is no {tmp_path / 'nowhere.csv'}; give the path of a CSV of costs"
    assert str(error.value) == said
    assert "it is larger than 66." in refusal(written("x" * (1 << 20)))
