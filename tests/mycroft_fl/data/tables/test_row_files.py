"""Workbooks and databases hold the same table as a CSV, and every flaw is one line."""

import contextlib
import sqlite3
from contextlib import closing
from datetime import date, datetime

import pytest
from openpyxl import Workbook, load_workbook

from mycroft_fl.data.fitted import task_records
from mycroft_fl.data.formats.spec import DatasetSpec
from mycroft_fl.data.sources import load_dataset
from mycroft_fl.data.tables.fit import fit_schema
from mycroft_fl.data.task import Task
from mycroft_fl.errors import DataError

HEAD = ["age", "site", "smokes", "since", "outcome"]
ROWS = [
    [71, "A", True, date(2021, 3, 31), "ill"],
    [54.5, "B", False, date(2020, 1, 2), "well"],
    [None, "A", True, date(2021, 4, 1), "well"],
    [12345678901234567, "01", False, date(2019, 5, 6), "ill"],
]
AS_CSV = """age,site,smokes,since,outcome
71,A,true,2021-03-31,ill
54.5,B,false,2020-01-02,well
,A,true,2021-04-01,well
12345678901234567,01,false,2019-05-06,ill
"""


def workbook(path, rows=ROWS, head=HEAD, before=()):
    book = Workbook()
    for row in [*before, head, *rows]:
        book.active.append(row)
    book.save(path)
    return path


def texts(dataset):
    columns = dataset.columns
    return {name: columns.column(name).texts.tolist() for name in HEAD}


@pytest.fixture
def as_csv(tmp_path):
    (tmp_path / "t.csv").write_text(AS_CSV)
    return texts(load_dataset(DatasetSpec("t.csv", label="outcome"), tmp_path))


def test_a_database_holds_what_the_csv_holds(tmp_path, as_csv):
    with sqlite3.connect(tmp_path / "stays.db") as base:
        base.execute("CREATE TABLE stays (age, site TEXT, smokes TEXT, since TEXT, outcome TEXT)")
        rows = [[a, s, str(k).lower(), str(d), o] for a, s, k, d, o in ROWS]
        base.executemany("INSERT INTO stays VALUES (?, ?, ?, ?, ?)", rows)
    base.close()
    spec = DatasetSpec("sqlite:///stays.db", label="outcome", query="SELECT * FROM stays")
    assert texts(load_dataset(spec, tmp_path)) == as_csv


def test_a_workbook_holds_what_the_csv_holds(tmp_path, as_csv):
    # Excel keeps fifteen digits of a number; identifiers are texts there.
    rows = [*ROWS[:3], ["12345678901234567", *ROWS[3][1:]]]
    workbook(tmp_path / "t.xlsx", rows, before=([], [None, None]))
    found = texts(load_dataset(DatasetSpec("t.xlsx", label="outcome"), tmp_path))
    found["since"] = [each.split(" ")[0] for each in found["since"]]
    assert found == as_csv


def test_an_owner_gives_its_records_from_a_database(tmp_path):
    (tmp_path / "own.csv").write_text("age,outcome\n1,a\n2,b\n3,a\n")
    own = load_dataset(DatasetSpec("own.csv", label="outcome"), tmp_path)
    schema = fit_schema(own.table, DatasetSpec("own.csv", label="outcome"))
    task = Task(("a", "b"), (1,), schema.encode(own.table).dtype, "linear", schema)
    with sqlite3.connect(tmp_path / "o.db") as base:
        base.execute("CREATE TABLE p (age, outcome, patient, private)")
        base.executemany(
            "INSERT INTO p VALUES (?, ?, ?, ?)",
            [(2, "a", "p1", b"\x00"), (2, "a", "p2", b"\x01"), (4, "b", "p1", b"\x02")],
        )
    base.close()
    spec = DatasetSpec(
        "sqlite:///o.db", label="outcome", unit_id="patient", query="SELECT * FROM p",
        columns=(("private", "ignore"),),
    )  # fmt: skip
    records = task_records(spec, tmp_path, task)
    assert records.units.tolist() == ["p1", "p2", "p1"]
    with sqlite3.connect(tmp_path / "o.db") as base:
        base.execute("INSERT INTO p VALUES (9, 'b', 'p3', NULL)")
    base.close()
    assert len(task_records(spec, tmp_path, task).examples) == 4


def test_a_database_that_keeps_a_log_is_read_and_nothing_is_left_beside_it(tmp_path):
    spec = DatasetSpec("sqlite:///o.db", label="y", query="SELECT * FROM p")
    with closing(sqlite3.connect(tmp_path / "o.db")) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("CREATE TABLE p (a, y)")
        writer.executemany("INSERT INTO p VALUES (?, ?)", [(1, "no"), (2, "yes")])
        writer.commit()
        # What a writer has not yet moved out of the log is there too.
        assert (tmp_path / "o.db-wal").stat().st_size > 0
        assert len(load_dataset(spec, tmp_path)) == 2
    assert [each.name for each in tmp_path.iterdir()] == ["o.db"]
    (tmp_path / "o.db").touch()
    assert len(load_dataset(spec, tmp_path)) == 2
    assert [each.name for each in tmp_path.iterdir()] == ["o.db"]


@pytest.mark.parametrize(
    ("path", "query", "message"),
    [
        ("sqlite:///none.db", "SELECT 1", "there is no database"),
        ("sqlite:///stays.db", "", "a database takes path, a SQLAlchemy URL, and query"),
        ("stays.db", "SELECT 1", "query needs path to be a SQLAlchemy URL"),
        ("sqlite:///stays.db", "SELECT * FROM elsewhere", "no such table: elsewhere"),
        ("sqlite:///stays.db", "DROP TABLE stays", "readonly database"),
        ("sqlite:///stays.db", "SELECT * FROM stays", "has a header but no rows"),
        ("nosuch://user:secret@host/db", "SELECT 1", "the query cannot be answered"),
    ],
)
def test_what_is_wrong_with_a_query_is_said_and_nothing_is_made(tmp_path, path, query, message):
    with sqlite3.connect(tmp_path / "stays.db") as base:
        base.execute("CREATE TABLE stays (age, outcome)")
    base.close()
    with pytest.raises(DataError, match=message) as caught:
        load_dataset(DatasetSpec(path, label="outcome", query=query), tmp_path)
    assert "secret" not in str(caught.value)
    assert not (tmp_path / "none.db").exists()


def test_a_sheet_is_chosen_by_name_or_said(tmp_path, caplog):
    path = workbook(tmp_path / "t.xlsx")
    book = load_workbook(path)
    book.create_sheet("other").append(["x", "y"])
    book["other"].append([1, "a"])
    book["other"].append([2, "b"])
    book.save(path)
    load_dataset(DatasetSpec("t.xlsx", label="outcome"), tmp_path)
    assert "t.xlsx: sheet 'Sheet' is read, of 2; set sheet" in caplog.text
    dataset = load_dataset(DatasetSpec("t.xlsx", label="y", sheet="other"), tmp_path)
    assert dataset.classes == ("a", "b")
    with pytest.raises(DataError, match="has no sheet 'third'; choose from"):
        load_dataset(DatasetSpec("t.xlsx", label="y", sheet="third"), tmp_path)


def test_a_formula_without_its_value_is_said(tmp_path):
    workbook(tmp_path / "t.xlsx", [["=1+1", "A", True, datetime(2021, 1, 1), "ill"]])
    with pytest.raises(DataError, match="cell A2 is a formula without its value; open the file in"):
        load_dataset(DatasetSpec("t.xlsx", label="outcome"), tmp_path)


@pytest.mark.parametrize("content", [b"no zip", b"PK\x03\x04 broken", b""])
def test_a_broken_workbook_is_one_line(tmp_path, content):
    (tmp_path / "t.xlsx").write_bytes(content)
    with pytest.raises(DataError) as caught:
        load_dataset(DatasetSpec("t.xlsx", label="outcome"), tmp_path)
    assert "\n" not in str(caught.value)


def test_a_workbook_with_a_byte_changed_is_read_or_refused_and_nothing_else(tmp_path):
    whole = workbook(tmp_path / "t.xlsx").read_bytes()
    for place in range(0, len(whole), 97):
        (tmp_path / "u.xlsx").write_bytes(
            whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :]
        )
        with contextlib.suppress(DataError):
            load_dataset(DatasetSpec("u.xlsx", label="outcome"), tmp_path)


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("mysql://me:secret@host:3306/stays", "mysql://me:***@host:3306/stays"),
        ("postgresql+psycopg://me:p@ss:w@host/stays", "postgresql+psycopg://me:***@host/stays"),
        (
            "postgresql+psycopg://reader@host:5432/stays",
            "postgresql+psycopg://reader@host:5432/stays",
        ),
        ("sqlite:///stays.db", "sqlite:///stays.db"),
        ("a:b@c/d.csv", "a:b@c/d.csv"),
    ],
)
def test_a_result_shows_no_password_of_a_database(path: str, shown: str) -> None:
    spec = DatasetSpec(path, label="y", query="select 1")
    assert spec.as_shown() == {"path": shown, "label": "y", "query": "select 1"}
    assert spec.as_setting()["path"] == path
