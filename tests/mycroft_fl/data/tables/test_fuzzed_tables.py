"""Mutated tables: one line or the values that an independent reader finds, and never anything between."""

from __future__ import annotations

import csv
import io
import json
import math
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mycroft_fl.data.fitted import task_records
from mycroft_fl.data.sources import load_dataset
from mycroft_fl.data.tables.encode import read_table
from mycroft_fl.data.tables.values import MISSING_NAMES
from mycroft_fl.data.task import Task
from mycroft_fl.errors import DataError
from tests.mycroft_fl.data.tables.cases import rows, shown, spec_of, task_from

TRICKY = [
    "", "0", "1", "01", "1.0", "1E5", "1e400", "-inf", "NaN", "NA", "?", "true", "False", "TRUE", "None",
    "10000000000000001", "100000000000000001", "1.5", "1,5", "1.234,5", "2024-01-02", "02/01/2024", "x",
    "a b", "ü", "日本", '"', "'", "a\nb", "a;b", "a\tb", "#x", "=1+1", "\u00a0", "-", ".", "+1", "0x10",
    "1_000", "٣",
]  # fmt: skip
INSERTED = [b'"', b"\n", b",", b"\0", b"\xff\xfe", b"\r", b"[[["]
TEXT = st.sampled_from(TRICKY) | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=6
)
HARMLESS = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as made:
        yield Path(made)


def as_csv(table: list[list[str]], delimiter: str, quoting: int, end: str) -> str:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, quoting=quoting, lineterminator=end).writerows(table)
    return out.getvalue()


@HARMLESS
@given(
    body=st.lists(st.tuples(TEXT, TEXT, st.sampled_from(["no", "yes", "01", "1"])), min_size=1, max_size=8),
    delimiter=st.sampled_from([",", ";", "\t", "|"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    end=st.sampled_from(["\n", "\r\n"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)  # fmt: skip
def test_a_table_that_the_csv_module_wrote_is_read_text_by_text(
    body: list[tuple[str, str, str]],
    delimiter: str,
    quoting: int,
    end: str,
    encoding: str,
    folder: Path,
) -> None:
    table = [["a", "b", "y"], *map(list, body)]
    content = as_csv(table, delimiter, quoting, end)
    (folder / "t.csv").write_bytes(content.encode(encoding))
    found = read_table(folder / "t.csv", spec_of("t.csv"))
    for place, name in enumerate(["a", "b", "y"]):
        wanted = [row[place].strip() for row in table[1:]]
        wanted = [None if each in MISSING_NAMES else each for each in wanted]
        assert found.column(name).texts.tolist() == wanted


@HARMLESS
@given(
    body=st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=8), others=st.lists(TEXT, max_size=6)
)
def test_what_a_row_means_is_the_same_whatever_other_rows_stand_beside_it(
    body: list[tuple[str, str]], others: list[str], folder: Path
) -> None:
    trainers = rows(
        "n,c,y", *(f"{place}.5,{name},no" for place, name in enumerate(["01", "x", "true"]))
    )
    task = task_from(folder, trainers, missing="fill", unseen="ignore")

    def read(table: list[tuple[str, str]]) -> list[tuple[bytes, int]] | None:
        content = as_csv(
            [["n", "c", "y"], *([*row, "no"] for row in table)], ",", csv.QUOTE_ALL, "\n"
        )
        (folder / "owner.csv").write_bytes(content.encode())
        try:
            held = task_records(spec_of("owner.csv"), folder, task).examples
        except DataError:
            return None
        return sorted({x.tobytes() for x in held.x})

    alone = [read([row]) for row in body]
    fits = [row for row, each in zip(body, alone, strict=True) if each is not None]
    if fits:
        together = read([*fits, *(("1.5", each) for each in others)])
        assert together is not None
        assert {each[0] for each in alone if each} <= set(together)


@HARMLESS
@given(numbers=st.lists(st.floats(allow_nan=False, width=32), min_size=2, max_size=8))
def test_numbers_come_back_as_python_writes_them(numbers: list[float], folder: Path) -> None:
    task = task_from(folder, rows("n,y", "0,no", "1,yes"), missing="fill")
    content = rows("n,y", *(f"{number!r},no" for number in numbers))
    (folder / "owner.csv").write_text(content)
    found = read_table(folder / "owner.csv", spec_of("owner.csv"), {"n": "number"})
    assert found.number("n").tolist() == numbers
    held = task_records(spec_of("owner.csv"), folder, task)
    column = task.table.columns[0]
    furthest = [column.mean + side * 100 * column.scale for side in (-1, 1)]
    wanted = {
        round(min(max(each, furthest[0]), furthest[1]) if math.isfinite(each) else column.fill, 2)
        for each in numbers
    }
    assert {round(each, 2) for each in shown(held, task)["n"]} <= {
        near for each in wanted for near in (each, round(each + 0.01, 2), round(each - 0.01, 2))
    }


VALID = rows(
    "n,c,seen,y", *(f"{place}.5,{'ab'[place % 2]},2024-01-0{place + 1},no" for place in range(9))
)


@HARMLESS
@given(data=st.data(), suffix=st.sampled_from(["csv", "csv.gz", "parquet", "feather", "jsonl"]))
def test_bytes_that_are_changed_end_in_one_line_or_in_a_table_of_whole_rows(
    data: st.DataObject, suffix: str, folder: Path, task: Task
) -> None:
    content = bytearray(FILES[suffix])
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        how = data.draw(st.sampled_from(["flip", "cut", "insert"]))
        if how == "flip":
            content[place] = data.draw(st.integers(0, 255))
        elif how == "cut":
            del content[place : place + data.draw(st.integers(1, 40))]
        else:
            content[place:place] = data.draw(st.sampled_from(INSERTED))
        if not content:
            break
    for old in folder.iterdir():
        old.unlink()
    (folder / f"t.{suffix}").write_bytes(content)
    refusal = ""
    try:
        held = task_records(spec_of(f"t.{suffix}"), folder, task)
        assert task.table.could_hold(held.examples.x).all()
    except DataError as error:
        refusal = str(error)
    assert not refusal or (f"t.{suffix}" in refusal and "\n" not in refusal)
    assert [each.name for each in folder.iterdir()] == [f"t.{suffix}"]


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Task:
    return task_from(
        tmp_path_factory.mktemp("task"), VALID, columns={"seen": "date"}, unseen="ignore"
    )


def _files() -> dict[str, bytes]:
    import gzip

    import pandas as pd

    frame = pd.read_csv(io.StringIO(VALID))
    parquet, feather = io.BytesIO(), io.BytesIO()
    frame.to_parquet(parquet)
    frame.to_feather(feather)
    lines = "\n".join(json.dumps(row) for row in frame.to_dict("records"))
    return {
        "csv": VALID.encode(), "csv.gz": gzip.compress(VALID.encode()), "parquet": parquet.getvalue(),
        "feather": feather.getvalue(), "jsonl": lines.encode(),
    }  # fmt: skip


FILES = _files()


def test_each_of_these_files_holds_the_same_table(tmp_path: Path) -> None:
    for suffix, content in FILES.items():
        (tmp_path / f"t.{suffix}").write_bytes(content)
        dataset = load_dataset(spec_of(f"t.{suffix}"), tmp_path)
        assert [len(dataset), *dataset.table.features] == [9, "n", "c", "seen"]
