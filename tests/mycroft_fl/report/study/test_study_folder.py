"""A study's folder reads back as what was written, and says clearly when it is none."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mycroft_fl.errors import DataError
from mycroft_fl.report.study.folder import COLUMNS, MEASURES, Axis, csv_text, is_study, read_study

AXES = (
    Axis("method", ("omp", "own, with a comma")),
    Axis("budget", (40, 80)),
    Axis("policy.epsilon", (0.5, 1.0)),
    Axis("train-on-hard-set", (True, False)),
    Axis("dataset", ({"path": "a.csv", "label": "y"}, "digits")),
)
DESCRIBED = {
    "schema": 1,
    "name": "mine",
    "title": "Mine",
    "seeds": [0, 1],
    "axes": [{"key": axis.key, "values": list(axis.values)} for axis in AXES],
    "parts": [{"name": "", "title": "", "axes": [], "cells": 64}],
    "environments": [{"python": "3.11"}],
}


def write(folder, rows, described=DESCRIBED):
    (folder / "study.json").write_text(json.dumps(described))
    (folder / "cells.csv").write_text(csv_text(rows, AXES))


values = st.fixed_dictionaries(
    {axis.key: st.sampled_from(axis.values) for axis in AXES}
    | {
        "part": st.sampled_from(["", "noise"]),
        "seed": st.integers(0, 2**40),
        "status": st.sampled_from(["done", "failed"]),
        "reason": st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"])),
        "digest": st.text("0123456789abcdef", min_size=16, max_size=16),
    }
    | {name: st.none() | st.floats(-1e6, 1e6) for name in MEASURES}
)


@given(rows=st.lists(values, max_size=5))
def test_what_is_written_is_read_back_with_its_types(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("study")
    write(folder, rows)
    study = read_study(folder)
    assert list(study.rows) == rows
    for row in study.rows:
        assert all(
            any(row[a.key] is value for value in a.values) or row[a.key] in a.values
            for a in study.axes
        )
    assert study.axes == AXES
    assert study.cells == 64


def test_what_is_missing_is_an_empty_field_and_never_nan(tmp_path):
    write(
        tmp_path,
        [{"seed": 3, "status": "failed", "reason": "no"} | {a.key: a.values[0] for a in AXES}],
    )
    head, row = (tmp_path / "cells.csv").read_text().splitlines()
    assert head.split(",")[:2] == ["part", "method"]
    assert head.endswith(",".join(COLUMNS))
    assert row.endswith(",3,failed,no" + "," * (len(MEASURES) + 1))
    assert read_study(tmp_path).rows[0]["epsilon"] is None


def test_a_value_on_no_axis_stays_its_text(tmp_path):
    row = {"seed": 0, "status": "done", "budget": 200}
    write(tmp_path, [row])
    assert read_study(tmp_path).rows[0]["budget"] == "200"


def test_a_study_that_has_no_cell_yet_has_no_rows(tmp_path):
    (tmp_path / "study.json").write_text(json.dumps(DESCRIBED))
    assert is_study(tmp_path)
    assert read_study(tmp_path).rows == ()
    assert not is_study(tmp_path / "elsewhere")


@pytest.mark.parametrize(
    ("file", "content", "output"),
    [
        ("study.json", "{", "cannot be read"),
        ("study.json", "[]", "not of this version"),
        ("study.json", json.dumps({**DESCRIBED, "schema": 9}), "not of this version"),
        ("study.json", json.dumps({"schema": 1}), "lacks or garbles 'axes'"),
        ("study.json", json.dumps({**DESCRIBED, "parts": [{}]}), "lacks or garbles"),
        ("cells.csv", "method,seed\n", "no column budget, dataset"),
        ("cells.csv", csv_text([], AXES) + "a,b\n", "more or fewer fields"),
        ("cells.csv", csv_text([{"seed": "x", "status": "done"}], AXES), "invalid literal"),
        ("cells.csv", csv_text([{"seed": 1, "status": "done", "test": "?"}], AXES), "could not"),
    ],
)  # fmt: skip
def test_a_broken_folder_is_said_in_one_line(tmp_path, file, content, output):
    write(tmp_path, [])
    (tmp_path / file).write_text(content)
    with pytest.raises(DataError, match=output) as error:
        read_study(tmp_path)
    assert str(tmp_path / file) in str(error.value)
    assert "\n" not in str(error.value)


def test_reading_loads_neither_torch_nor_flower():
    code = (
        "import sys, mycroft_fl.report.study.folder; "
        "print([m for m in ('torch', 'flwr') if m in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
