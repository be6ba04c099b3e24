"""Situations of real tables: each gives the right values, or one line that says what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from mycroft_fl.data.sources import load_dataset
from mycroft_fl.data.tables.columns import Numbers
from mycroft_fl.errors import DataError
from tests.mycroft_fl.data.tables.cases import owned, rows, shown, spec_of, task_from

BASE = [f"{20 + place},{'no' if place % 2 else 'yes'}" for place in range(12)]


def with_column(values: list[str], name: str = "c") -> str:
    """A table with a column of these values, repeated over twelve rows."""
    return rows(
        f"age,{name},y",
        *(f"{age},{values[place % len(values)]},{y}"
          for place, (age, y) in enumerate(line.split(",") for line in BASE)),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("trainers", "owners"),
    [
        (["false", "true", "unknown"], ["false", "true"]),
        (["01", "02", "2A", "2B"], ["01", "02"]),
        (["01", "02", "03"], ["02", "01"]),
        (["1E5", "2E7", "V2"], ["1E5", "2E7"]),
        (["low", "1", "2", "high"], ["1", "2"]),
        (["NaN1", "inf", "x"], ["inf", "x"]),
    ],
    ids=[
        "truth-values",
        "zeros-and-letters",
        "zeros",
        "exponents",
        "words-and-numbers",
        "infinite",
    ],
)
def test_an_owners_values_are_the_tasks_categories_though_its_file_holds_fewer(
    trainers: list[str], owners: list[str], tmp_path: Path
) -> None:
    task = task_from(tmp_path, with_column(trainers))
    held = owned(tmp_path, with_column(owners), task)
    assert shown(held, task)["c"] == [owners[place % len(owners)] for place in range(12)]


@pytest.mark.parametrize("labels", [("true", "false"), ("01", "02"), ("1E3", "2"), ("0", "1")])
def test_labels_are_text_in_every_file(labels: tuple[str, str], tmp_path: Path) -> None:
    names = [*labels, "unsure"]
    table = rows("a,y", *(f"{place},{names[place % 3]}" for place in range(9)))
    task = task_from(tmp_path, table)
    held = owned(tmp_path, rows("a,y", f"1,{labels[0]}", f"2,{labels[1]}"), task)
    assert [task.classes[label] for label in held.examples.y] == list(labels)


def test_persons_are_told_apart_by_the_text_of_their_ids(tmp_path: Path) -> None:
    task = task_from(tmp_path, rows("a,uid,y", "1,x,no", "2,y,yes"), unit_id="uid")
    ids = ["1.5", "000E1", "000E2", "0E3", *(f"1{place:016d}" for place in range(50))]
    lines = (f"{place},{uid},no" for place, uid in enumerate(ids))
    held = owned(tmp_path, rows("a,uid,y", *lines), task, unit_id="uid")
    assert held.units is not None
    assert held.units.tolist() == ids


@pytest.mark.parametrize("header", [",age,y", "Unnamed: 0,age,y", '"",age,y'])
def test_a_tables_index_is_left_out_and_repeated_rows_are_found(
    header: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lines = [f"{place},{20 + place % 10},no" for place in range(30)]
    task = task_from(tmp_path, rows(header, *lines))
    assert [column.name for column in task.table.columns] == ["age"]
    assert len(load_dataset(spec_of("train.csv"), tmp_path)) == 10
    assert "train.csv: column 1 has no name and is left out" in caplog.text
    assert len(owned(tmp_path, rows("age,y", "20,no"), task).examples) == 1


def test_a_column_without_a_name_amid_the_others_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="column 2 has no name; give it one"):
        task_from(tmp_path, rows("a,,y", "1,2,no"))
    assert task_from(tmp_path, rows("a,y,", "1,no,", "2,yes,")).shape == (1,)


def test_infinite_numbers_are_refused_by_name_or_filled_with_the_median(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    values = ["inf", "10.5", "-Infinity", "20.5", "30.5", "1e999"]
    refused = task_from(tmp_path, with_column(["1.5", "2.5"]))
    with pytest.raises(DataError, match="row 1, column 'c' 'inf' is not a finite number") as caught:
        owned(tmp_path, with_column(values), refused)
    assert 'missing = "fill"' in str(caught.value)
    task = task_from(tmp_path, with_column(values), missing="fill")
    column = task.table.columns[1]
    assert isinstance(column, Numbers)
    assert column.fill == 20.5
    held = owned(tmp_path, with_column(values), task, missing="fill")
    assert shown(held, task)["c"][:6] == [20.5, 10.5, 20.5, 20.5, 30.5, 20.5]
    assert "in column 'c' 6 of 12 rows hold an infinite number" in caplog.text


def test_a_category_that_nobody_knows_is_counted_where_it_is_ignored(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    task = task_from(tmp_path, with_column(["a", "b"]), unseen="ignore")
    owned(tmp_path, with_column(["a", "x", "x"]), task)
    assert "in column 'c' 8 of 12 rows have a category that the task does not know" in caplog.text
    assert "'x'" in caplog.text


def test_many_columns_with_unknown_categories_are_told_in_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    names = [f"drug{place}" for place in range(20)]
    trainers = rows(
        ",".join([*names, "y"]), ",".join(["No"] * 20 + ["a"]), ",".join(["Up"] * 20 + ["b"])
    )
    task = task_from(tmp_path, trainers, unseen="ignore")
    caplog.clear()
    owned(tmp_path, rows(",".join([*names, "y"]), ",".join(["No", *["Down"] * 19, "a"])), task)
    [said] = [record.getMessage() for record in caplog.records]
    assert said == (
        "owner.csv: in column 'drug1' 1 of 1 rows have a category that the task does not know, such as "
        "'Down'; in 'drug2' 1, such as 'Down'; in 'drug3' 1, such as 'Down'; and so in further columns: 16; "
        "they count as none"
    )


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ([f"10.0.0.{place}-x" for place in range(80)],
         "column 'c' has 80 different texts in 80 rows, as an identifier has"),
        ([f"2024-01-{1 + place % 28:02d} 00:{place:02d}:00" for place in range(40)],
         "column 'c' holds dates such as '2024-01-01 00:00:00'; set columns.c = \"date\""),
        ([f"{1 + place % 12}/{1 + place % 28}/2024" for place in range(40)],
         "column 'c' holds dates such as '1/1/2024'"),
        ([f"{41865 + place},37" for place in range(40)], 'set decimal = ","'),
        ([f"41.{865 + place},37" for place in range(40)], 'decimal = "," and thousands = "."'),
        ([f"41,{865 + place}.37" for place in range(40)], 'set thousands = ","'),
        ([f"41,{865 + place}" for place in range(40)], 'set thousands = ",", or decimal = ","'),
        ([f"41'{865 + place}" for place in range(40)], "set thousands = \"'\""),
        ([f"1{place:016d}" for place in range(40)],
         "column 'c' holds identifiers such as '10000000000000000', which no number tells apart"),
        ([""] * 40, "column 'c' is empty in the trainer's rows; drop it"),
        (["1e300", "-1e300"] * 20, "numbers as large as 1e+300, too large to be scaled"),
    ],
    ids=["identifiers", "times", "slashes", "comma", "german", "english", "whole", "swiss", "17-digits",
         "empty", "huge"],
)  # fmt: skip
def test_what_no_model_should_see_is_refused_unless_declared(
    column: list[str], words: str, tmp_path: Path
) -> None:
    table = rows("a;c;y", *(f"{place % 7};{each};no" for place, each in enumerate(column)))
    with pytest.raises(DataError) as caught:
        task_from(tmp_path, table, delimiter=";")
    assert words in str(caught.value)
    assert "train.csv: column 'c'" in str(caught.value)
    left = task_from(tmp_path, table, delimiter=";", columns={"c": "id"})
    assert [each.name for each in left.table.columns] == ["a"]


def test_up_to_three_flaws_of_a_table_are_told_at_once(tmp_path: Path) -> None:
    lines = [f'2024-01-{place:02d},x{place}z,"1,{place}5",no' for place in range(1, 29)]
    with pytest.raises(DataError) as caught:
        task_from(tmp_path, rows("seen,who,income,y", *lines * 2), columns={"who": "category"})
    assert str(caught.value).count("\n") == 1


def test_a_named_count_of_the_rows_is_pointed_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    task_from(tmp_path, rows("id,a,y", *(f"{place},{place % 5},no" for place in range(40))))
    assert "column 'id' counts the rows, and a model will see it" in caplog.text


def test_two_spellings_of_one_class_are_pointed_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    task = task_from(tmp_path, rows("a,y", "1,1", "2,1.0", "3,0"))
    assert set(task.classes) == {"0", "1", "1.0"}
    assert "classes '1.0' and '1' may be one; join them by labels" in caplog.text


def test_a_test_file_names_classes_as_the_first_file_does(tmp_path: Path) -> None:
    (tmp_path / "test.csv").write_text(rows("a,y", "7,1.0", "8,TRUE"))
    (tmp_path / "train.csv").write_text(rows("a,y", "1,1", "2,true"))
    dataset = load_dataset(spec_of("train.csv", test_path="test.csv"), tmp_path)
    assert [dataset.classes[label] for label in dataset.y] == ["1", "true", "1", "true"]


def test_rows_that_would_fill_the_memory_name_the_widest_column(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = rows("who,y", *(f"w{place},no" for place in range(3000)))
    task = task_from(tmp_path, table, columns={"who": "category"})
    monkeypatch.setenv("MYCROFT_MOST_GIB", "0.02")
    with pytest.raises(DataError, match="column 'who' alone has 3000 categories"):
        owned(tmp_path, table, task)


def test_a_class_that_the_task_writes_otherwise_is_pointed_at(tmp_path: Path) -> None:
    task = task_from(tmp_path, rows("a,y", "1,cat", "2,dog"))
    words = "row 1: label 'cats' is no class of the task; did you mean 'cat'"
    with pytest.raises(DataError, match=words):
        owned(tmp_path, rows("a,y", "1,cats"), task)


def test_a_word_among_numbers_is_no_copy_of_a_missing_one(tmp_path: Path) -> None:
    task = task_from(tmp_path, rows("a,y", "1,no", "2,yes"), missing="fill")
    with pytest.raises(DataError, match="row 2, column 'a' 'x' is not a finite number"):
        owned(tmp_path, rows("a,y", ",no", "x,no"), task)
