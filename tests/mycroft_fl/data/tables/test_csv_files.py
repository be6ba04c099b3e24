"""CSV files as programs write them: encodings, delimiters, quotes, spaces and numbers' spellings."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from mycroft_fl.data.tables.encode import DataTable, read_table
from mycroft_fl.errors import DataError, SettingError
from tests.mycroft_fl.data.tables.cases import owned, rows, shown, spec_of, task_from, written

PLAIN = "name,n,y\nNørd,1.5,no\nsüd,2.5,yes\n"


def read(folder: Path, content: str | bytes, name: str = "t.csv", **settings: object) -> DataTable:
    return read_table(written(folder / name, content), spec_of(name, **settings))


def texts(table: DataTable) -> dict[str, list[str | None]]:
    whole = {**table.features, **table.others}
    return {name: column.texts.tolist() for name, column in whole.items()}


@pytest.mark.parametrize(
    ("encoding", "setting"),
    [
        ("utf-8", ""), ("utf-8-sig", ""), ("utf-16", ""), ("utf-32", ""), ("latin-1", "latin-1"),
        ("cp1252", "cp1252"), ("utf-8-sig", "latin-1"), ("utf-16-le", "utf-16-le"),
        ("mac-roman", "mac-roman"),
    ],
)  # fmt: skip
def test_a_mark_or_a_setting_says_the_encoding(encoding: str, setting: str, tmp_path: Path) -> None:
    table = read(tmp_path, PLAIN.encode(encoding), encoding=setting)
    assert texts(table)["name"] == ["Nørd", "süd"]
    assert [*table.features] == ["name", "n"]


@pytest.mark.parametrize(
    ("content", "settings", "words"),
    [
        (PLAIN.encode("cp1252"), {}, 'it is not UTF-8 (byte 0xf8); set encoding = "cp1252"'),
        (
            PLAIN.encode("cp1252"),
            {"encoding": "ascii"},
            "it is not ascii (byte 0xf8); set encoding",
        ),
        ("a,y\n1,no\n".encode("utf-16-le"), {}, "it holds zero bytes"),
        (b"\xff\xfea", {}, "it begins as utf-16 but goes on as something else"),
        (b'a,y\n2,no\n"1,no\n2,yes\n', {}, "row 2: a quote in it is never closed"),
        (b'a,y\n"1"2,no\n', {}, "row 1: ',' expected after '\"'"),
        (b"a,y\n1,no\n2\n3,no\n", {}, "row 2 has 1 fields, the header 2"),
        (b"a,y\n1,no\n2,yes,\n", {}, "row 2 has 3 fields, the header 2"),
        (b"\n \n\n", {}, "it has no header"),
    ],
)
def test_what_is_no_such_text_is_told_so(
    content: bytes, settings: dict[str, object], words: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path, content, **settings)
    assert words in str(caught.value)
    assert "t.csv cannot be read as a table" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("encoding", "klingon", "give a name such as 'utf-8', 'cp1252'"),
        ("encoding", "base64", "give a name such as 'utf-8', 'cp1252'"),
        ("decimal", ";", "give '.' or ','"),
        ("thousands", "x", "is 'x'; give ','"),
        ("thousands", ".", "and decimal are both '.'"),
        ("delimiter", ",,", "give one character"),
        ("delimiter", '"', "give ',', ';', '|' or a tab"),
        ("columns", {"n": "text"}, "name the one column of texts by text = ..., give 'category'"),
        ("columns", {"n": "numbr"}, "did you mean 'number'?"),
        ("columns", {"n": "number:%d"}, "is 'number:%d'"),
        ("missing-values", {"n": 0}, "give a list of texts or numbers"),
        ("grey-range", [3, 1], "give the darkest value, then the brightest"),
        ("grey-range", [3], "give two numbers"),
    ],
)
def test_a_setting_that_says_nothing_is_refused(setting: str, value: object, words: str) -> None:
    with pytest.raises(SettingError) as caught:
        spec_of("t.csv", **{setting.replace("-", "_"): value})
    assert words in str(caught.value)
    assert setting in str(caught.value)


@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_a_delimiter_is_found_by_the_header_and_said(
    mark: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table = read(tmp_path, PLAIN.replace(",", mark))
    assert texts(table)["n"] == ["1.5", "2.5"]
    assert f"t.csv: its delimiter seems to be {mark!r}; set delimiter = {mark!r}" in caplog.text


def test_the_label_decides_between_two_delimiters(tmp_path: Path) -> None:
    table = read(tmp_path, "last, first;n;y\nDoe, J;1;no\n")
    assert texts(table) == {"last, first": ["Doe, J"], "n": ["1"], "y": ["no"]}


@pytest.mark.parametrize(
    "content",
    [
        "sep=;\nname;n;y\nNørd;1.5;no\nsüd;2.5;yes\n",
        '\ufeff"sep=;"\r\nname;n;y\r\nNørd;1.5;no\r\nsüd;2.5;yes\r\n',
        " name , n , y \n Nørd , 1.5 , no \nsüd,2.5,yes\n",
        'name, n, y\n"Nørd", "1.5", "no"\nsüd, 2.5,yes\n',
        "name,n,y\rNørd,1.5,no\rsüd,2.5,yes",
        "\n\nname,n,y\n\nNørd,1.5,no\n \nsüd,2.5,yes\n\n",
        "name,n,y,\nNørd,1.5,no,\nsüd,2.5,yes,\n",
    ],
    ids=[
        "sep",
        "sep-marked",
        "spaces",
        "spaces-before-quotes",
        "old-mac",
        "empty-lines",
        "trailing",
    ],
)
def test_what_programs_add_is_no_part_of_a_value(content: str, tmp_path: Path) -> None:
    assert texts(read(tmp_path, content)) == texts(read(tmp_path, PLAIN))


def test_a_quoted_field_may_hold_delimiters_quotes_and_line_breaks(tmp_path: Path) -> None:
    table = read(tmp_path, 'a,"b\n(cm)",y\n"1,""5""\nsix",2,no\n7,8,yes\n')
    assert texts(table) == {"a": ['1,"5"\nsix', "7"], "b\n(cm)": ["2", "8"], "y": ["no", "yes"]}


@pytest.mark.parametrize("name", ["t.tsv", "t.csv.gz", "t.tsv.gz", "T.CSV"])
def test_a_table_is_known_by_its_suffix(name: str, tmp_path: Path) -> None:
    content = PLAIN.replace(",", "\t" if "tsv" in name else ",").encode()
    table = read(tmp_path, gzip.compress(content) if name.endswith("gz") else content, name)
    assert texts(table)["name"] == ["Nørd", "süd"]


@pytest.mark.parametrize(
    ("settings", "numbers"),
    [
        ({"decimal": ","}, ["41865,5", "-7,25", "1e3"]),
        ({"decimal": ",", "thousands": "."}, ["41.865,5", "-7,25", "1.000"]),
        ({"thousands": ","}, ['"41,865.5"', "-7.25", '"1,000"']),
        ({"thousands": "'"}, ["41'865.5", "-7.25", "1'000"]),
        ({"decimal": ",", "thousands": " "}, ["41\u00a0865,5", "-7,25", "1 000"]),
    ],
    ids=["comma", "german", "english", "swiss", "french"],
)
def test_a_number_is_read_as_its_file_writes_it(
    settings: dict[str, str], numbers: list[str], tmp_path: Path
) -> None:
    task = task_from(tmp_path, rows("n,y", "1.5,no", "-2.5,yes", "70000,no"))
    lines = (f"{number};no" for number in numbers)
    held = owned(tmp_path, rows("n;y", *lines), task, delimiter=";", **settings)
    assert shown(held, task)["n"] == pytest.approx([41865.5, -7.25, 1000], abs=0.01)
    with pytest.raises(DataError, match=r"is not a finite number, as the task wants it; set "):
        owned(tmp_path, rows("n;y", *(f"{each};no" for each in numbers[:1])), task, delimiter=";")


@pytest.mark.parametrize(
    "text", ["1,2,3", "1.5", "12.34,5", "1..000", "1,5,5", "--1", "0x10", "1_000", "٣"]
)
def test_a_text_that_is_no_number_in_that_spelling_is_refused(text: str, tmp_path: Path) -> None:
    task = task_from(tmp_path, rows("n,y", "1.5,no", "-2.5,yes"))
    with pytest.raises(DataError, match="is not a finite number"):
        owned(tmp_path, rows("n;y", f"{text};no"), task, delimiter=";", decimal=",", thousands=".")


def test_a_field_may_be_as_long_as_a_line(tmp_path: Path) -> None:
    table = read(tmp_path, f"name,n,y\n{'a' * 200_000},1,no\nb,2,yes\n")
    assert [len(text or "") for text in texts(table)["name"]] == [200_000, 1]
