"""Parquet, Feather and JSON lines: exactly the values that a CSV of the same table holds."""

from __future__ import annotations

import datetime
import decimal
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mycroft_fl.data.tables.encode import read_table
from mycroft_fl.errors import DataError
from tests.mycroft_fl.data.tables.cases import owned, shown, spec_of, task_from, written

pyarrow = pytest.importorskip("pyarrow")

VALUES: dict[str, list[Any]] = {
    "id": [10**16 + 1, None, 10**16 + 2],
    "half": pyarrow.array([0.1, None, 2.5], pyarrow.float32()),
    "flag": [True, False, None],
    "code": pyarrow.array(["01", "1", None]).dictionary_encode(),
    "day": [datetime.date(2021, 3, 31), None, datetime.date(1969, 1, 2)],
    "when": [datetime.datetime(2021, 3, 31, 14, 45), None, datetime.datetime(2021, 3, 31)],
    "price": [decimal.Decimal("10.50"), decimal.Decimal("0.10"), None],
    "none": [None, None, None],
    "y": ["no", "yes", "no"],
}
TEXTS = {
    "id": ["10000000000000001", None, "10000000000000002"],
    "half": ["0.1", None, "2.5"],
    "flag": ["true", "false", None],
    "code": ["01", "1", None],
    "day": ["2021-03-31", None, "1969-01-02"],
    "when": ["2021-03-31 14:45:00", None, "2021-03-31 00:00:00"],
    "price": ["10.50", "0.10", None],
    "none": [None, None, None],
    "y": ["no", "yes", "no"],
}


def write(path: Path, table: Any) -> Path:
    from pyarrow import feather, parquet

    if path.suffix == ".parquet":
        parquet.write_table(table, path, row_group_size=2)
    else:
        feather.write_feather(table, str(path), chunksize=2)
    return path


def texts(path: Path, **settings: Any) -> dict[str, list[str | None]]:
    table = read_table(path, spec_of(path.name, **settings))
    return {
        name: column.texts.tolist() for name, column in {**table.features, **table.others}.items()
    }


@pytest.mark.parametrize("suffix", ["parquet", "feather"])
def test_every_type_is_written_as_a_person_would_and_nothing_is_rounded(
    suffix: str, tmp_path: Path
) -> None:
    assert texts(write(tmp_path / f"t.{suffix}", pyarrow.table(VALUES))) == TEXTS


def test_json_lines_hold_numbers_as_they_are_written(tmp_path: Path) -> None:
    lines = [
        '{"id": 10000000000000001, "half": 0.10, "flag": true, "y": "no"}',
        "",
        '{"flag": false, "y": "01", "code": "x"}',
    ]
    assert texts(written(tmp_path / "t.jsonl", "\n".join(lines))) == {
        "id": ["10000000000000001", None],
        "half": ["0.10", None],
        "flag": ["true", "false"],
        "y": ["no", "01"],
        "code": [None, "x"],
    }


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("[1]", "line 2 is no object"),
        ("{", "line 2: "),
        ('{"y": "no", "y": "yes"}', "line 2: a key stands there twice"),
        ("[" * 100_000, "line 2"),
        ('{"y": "\xff"}', "line 2: "),
        ('{"y": "no", "a": [1]}', "column 'a' holds a list, neither numbers nor texts"),
        ('{"y": "no", "a": {"b": 1}}', 'columns.a = "ignore"'),
    ],
)
def test_a_line_that_is_no_row_is_named(line: str, words: str, tmp_path: Path) -> None:
    path = written(tmp_path / "t.jsonl", b'{"y": "no", "a": 1}\n' + line.encode("latin-1"))
    with pytest.raises(DataError) as caught:
        texts(path)
    assert words in str(caught.value)


def test_a_column_of_lists_is_named_and_may_be_left_out(tmp_path: Path) -> None:
    table = pyarrow.table({"a b": [[1], [2]], "n": [1, 2], "y": ["no", "yes"]})
    path = write(tmp_path / "t.parquet", table)
    with pytest.raises(DataError, match=r"column 'a b' holds list<.*columns\.\"a b\" = \"ignore\""):
        texts(path)
    assert texts(path, columns={"a b": "ignore"})["n"] == ["1", "2"]
    assert texts(path, drop=["a b"])["n"] == ["1", "2"]


def test_persons_that_floats_have_made_one_are_refused(tmp_path: Path) -> None:
    frame = pd.DataFrame({"uid": [float(10**16 + 2), None, 3.0], "n": [1, 2, 3], "y": "no"})
    frame.loc[1, "uid"] = 4.0
    path = write(tmp_path / "t.parquet", pyarrow.Table.from_pandas(frame))
    with pytest.raises(DataError, match="two persons may have become one"):
        texts(path, unit_id="uid")


def test_an_index_with_a_name_is_a_column_and_one_without_is_left_out(tmp_path: Path) -> None:
    frame = pd.DataFrame({"n": [1, 2], "y": ["no", "yes"]}, index=[5, 7])
    frame.to_parquet(tmp_path / "t.parquet")
    assert texts(tmp_path / "t.parquet") == {"n": ["1", "2"], "y": ["no", "yes"]}
    frame.rename_axis("uid").to_parquet(tmp_path / "t.parquet")
    assert texts(tmp_path / "t.parquet", unit_id="uid")["uid"] == ["5", "7"]


def test_nullable_and_categorical_columns_fit_the_task_that_a_csv_gave(tmp_path: Path) -> None:
    plain = "n,c,day,y\n1,01,2021-03-30,no\n2,1,2021-03-31,yes\n,01,2021-03-31,no\n"
    kinds = {"day": "date"}
    task = task_from(tmp_path, plain, columns=kinds, missing="fill")
    frame = pd.DataFrame({
        "n": pd.array([1, 2, None], dtype="Int64"), "c": pd.Categorical(["01", "1", "01"]),
        "day": pd.to_datetime(["2021-03-30", "2021-03-31", "2021-03-31"]).astype("datetime64[ns]"),
        "y": pd.array(["no", "yes", "no"], dtype="string"),
    })  # fmt: skip
    frame.to_parquet(tmp_path / "t.parquet")
    held = owned(tmp_path, (tmp_path / "t.parquet").read_bytes(), task, "t.parquet")
    other = owned(tmp_path, plain, task)
    assert shown(held, task) == shown(other, task)
    assert held.examples.y.tolist() == other.examples.y.tolist()


@pytest.mark.parametrize("name", ["t.parquet", "t.feather", "t.arrow", "t.jsonl"])
def test_what_is_no_such_file_is_one_line(name: str, tmp_path: Path) -> None:
    for content in (b"ARROW1\0\0", b"PAR1PAR1", bytes(200), json.dumps([1]).encode()):
        with pytest.raises(DataError, match=f"{name} cannot be read as a table"):
            texts(written(tmp_path / name, content))
