"""Data sets of texts: tables, JSON lines, folders and zips, whatever their encoding."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from mycroft_fl.data.fitted import task_examples
from mycroft_fl.data.formats.spec import DatasetSpec, spec_from_setting
from mycroft_fl.data.sources import load_dataset
from mycroft_fl.data.task import Task
from mycroft_fl.errors import DataError, SettingError
from mycroft_fl.texts import as_bytes, as_texts

TICKETS = [
    ("my card is gone", "cards"),
    ("NA", "cards"),
    ('she said "no", twice,\nand left', "calls"),
    ("Grüße aus Zürich 🙂", "calls"),
    ("my card is gone", "cards"),
]


def texts_of(dataset):
    return [
        (text, dataset.classes[y])
        for text, y in zip(as_texts(dataset.take(slice(None)).x), dataset.y, strict=True)
    ]


def quoted(text):
    return '"' + text.replace('"', '""') + '"'


@pytest.fixture
def table(tmp_path):
    rows = [f"{quoted(text)},{label},3" for text, label in TICKETS]
    (tmp_path / "tickets.csv").write_text("\n".join(["body,queue,site", *rows]), encoding="utf-8")
    return DatasetSpec("tickets.csv", text="body", label="queue")


def test_the_texts_of_a_table_are_its_examples_and_equal_ones_are_one(table, tmp_path):
    dataset = load_dataset(table, tmp_path)
    assert texts_of(dataset) == TICKETS[:4]
    assert dataset.duplicates == 1


def test_other_columns_choose_rows_and_are_no_features(table, tmp_path):
    dataset = load_dataset(table, tmp_path)
    assert dataset.table is None
    assert dataset.where({"site": [3]}).all()
    with pytest.raises(DataError, match="no row has site"):
        dataset.where({"site": [4]})


def test_an_owners_records_of_one_text_and_two_labels_are_two(tmp_path):
    (tmp_path / "t.csv").write_text("body,queue\nhello,a\nhello,b\nhello,a\n")
    spec = DatasetSpec("t.csv", text="body", label="queue")
    assert len(load_dataset(spec, tmp_path, records=True)) == 2
    assert len(load_dataset(spec, tmp_path)) == 1


def test_json_lines_hold_the_same(tmp_path, table):
    lines = [json.dumps({"body": text, "queue": label}) for text, label in TICKETS]
    (tmp_path / "tickets.jsonl").write_text("\n".join(lines), encoding="utf-8")
    spec = DatasetSpec("tickets.jsonl", text="body", label="queue")
    assert texts_of(load_dataset(spec, tmp_path)) == TICKETS[:4]


def folder_of_texts(root: Path, encoding: str = "utf-8") -> None:
    for place, (text, label) in enumerate(TICKETS):
        (root / label).mkdir(parents=True, exist_ok=True)
        (root / label / f"{place}.txt").write_bytes(text.encode(encoding, "replace"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("setting", ["", "latin-1"])
def test_a_folder_of_texts_holds_the_same(tmp_path, encoding, setting):
    if setting and encoding == "utf-8":
        setting = "utf-8"  # it has no mark, which alone counts more than a setting
    folder_of_texts(tmp_path / "tickets", encoding)
    found = texts_of(load_dataset(DatasetSpec("tickets", encoding=setting), tmp_path))
    assert sorted(found) == sorted(TICKETS[:4])


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le"])
def test_a_text_with_zero_bytes_is_refused_and_read_with_its_encoding(tmp_path, encoding):
    folder_of_texts(tmp_path / "tickets", encoding)
    with pytest.raises(DataError, match=r"tickets: call"):
        load_dataset("tickets", tmp_path)
    found = texts_of(load_dataset(DatasetSpec("tickets", encoding=encoding), tmp_path))
    assert sorted(found) == sorted(TICKETS[:4])
    (tmp_path / "tickets" / "calls" / "9.txt").write_bytes("a\0b".encode(encoding))
    with pytest.raises(DataError, match=r"calls/9.txt: it holds zero bytes, .*encoding = "):
        load_dataset(DatasetSpec("tickets", encoding=encoding), tmp_path)


def test_what_no_text_can_hold_is_counted(tmp_path, caplog):
    lines = [json.dumps({"body": text, "queue": "a"}) for text in ("a\0b", "half \ud83d", "whole")]
    (tmp_path / "t.jsonl").write_text("\n".join(lines))
    spec = DatasetSpec("t.jsonl", text="body", label="queue")
    assert [text for text, _ in texts_of(load_dataset(spec, tmp_path))] == [
        "a?b",
        "half ?",
        "whole",
    ]
    assert (
        "t.jsonl: 2 texts hold zero bytes or halves of characters, which become '?'" in caplog.text
    )


def test_long_texts_of_an_npz_are_counted(tmp_path, caplog):
    np.savez(tmp_path / "t.npz", x=np.array(["x" * 5000, "y"]), y=np.array(["a", "b"]))
    load_dataset("t.npz", tmp_path)
    assert "t.npz: 1 texts are longer than 4096 bytes, and are cut; set longest" in caplog.text
    whole = load_dataset(DatasetSpec("t.npz", longest=6000), tmp_path)
    assert texts_of(whole)[0][0] == "x" * 5000


def test_a_zip_of_texts_holds_the_same(tmp_path):
    folder_of_texts(tmp_path / "tickets")
    with zipfile.ZipFile(tmp_path / "tickets.zip", "w") as archive:
        for file in (tmp_path / "tickets").rglob("*.txt"):
            archive.write(file, file.relative_to(tmp_path))
    assert sorted(texts_of(load_dataset("tickets.zip", tmp_path))) == sorted(TICKETS[:4])


def test_empty_files_are_counted(tmp_path, caplog):
    folder_of_texts(tmp_path / "tickets")
    (tmp_path / "tickets" / "calls" / "empty.txt").write_text(" \n")
    load_dataset("tickets", tmp_path)
    assert "tickets: 1 of 6 texts are empty, and left out" in caplog.text


def test_an_npz_of_texts_holds_the_same(tmp_path):
    x, y = zip(*TICKETS, strict=True)
    np.savez(tmp_path / "t.npz", x=np.array(x), y=np.array(y))
    assert texts_of(load_dataset("t.npz", tmp_path)) == TICKETS[:4]


def test_long_texts_are_cut_where_a_character_ends_and_counted(tmp_path, caplog):
    (tmp_path / "t.csv").write_text("body,queue\nüüüüü,a\nab,b\n", encoding="utf-8")
    spec = DatasetSpec("t.csv", text="body", label="queue", longest=5)
    assert texts_of(load_dataset(spec, tmp_path)) == [("üü", "a"), ("ab", "b")]
    assert "1 texts are longer than 5 bytes, and are cut; set longest" in caplog.text


def task(width: int = 32) -> Task:
    return Task(("calls", "cards"), (width,), np.dtype(np.uint8), "linear:hashing")


def test_an_owners_texts_take_the_width_of_the_task(table, tmp_path, caplog):
    examples = task_examples(table, tmp_path, task(16))
    assert examples.x.shape == (4, 16)
    assert as_texts(examples.x)[0] == "my card is gone"
    assert "2 texts are longer than the task's 16 bytes, and cut" in caplog.text


def test_texts_and_other_examples_are_told_apart(table, tmp_path):
    np.savez(tmp_path / "v.npz", x=np.eye(2, dtype=np.float32), y=np.array(["calls", "cards"]))
    with pytest.raises(DataError, match=r"v.npz: examples are no texts, the task's are texts"):
        task_examples(DatasetSpec("v.npz"), tmp_path, task())
    other = Task(("calls", "cards"), (2,), np.dtype(np.float32), "linear")
    with pytest.raises(DataError, match=r"tickets.csv: examples are texts, the task's are no text"):
        task_examples(table, tmp_path, other)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("body,queue\n,a\nx,b\n", "row 1 has no text in column 'body'; write it"),
        ("other,queue\nx,a\n", "there is no column 'body'"),
    ],
)
def test_what_is_wrong_with_a_table_of_texts_is_said(tmp_path, content, message):
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(DataError, match=message):
        load_dataset(DatasetSpec("t.csv", text="body", label="queue"), tmp_path)


def test_what_is_wrong_with_a_folder_of_texts_is_said(tmp_path):
    (tmp_path / "t" / "a").mkdir(parents=True)
    (tmp_path / "t" / "a" / "1.txt").write_bytes("Zürich".encode("latin-1"))
    with pytest.raises(DataError, match=r"t: a/1.txt: it is not UTF-8 \(byte 0xfc\); set encoding"):
        load_dataset("t", tmp_path)
    spec = DatasetSpec("t", encoding="latin-1")
    assert texts_of(load_dataset(spec, tmp_path)) == [("Zürich", "a")]
    (tmp_path / "t" / "a" / "1.txt").write_text("\n")
    with pytest.raises(DataError, match="t holds no text by class"):
        load_dataset("t", tmp_path)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"longest": -1}, "longest is -1; give up to 1048576 bytes"),
        ({"image": "file"}, "text and image are both given"),
        ({"columns": {"body": "text"}}, "name the one column of texts by text = ..."),
    ],
)
def test_contradictory_keys_are_said(more, message):
    with pytest.raises(SettingError, match=message):
        spec_from_setting({"path": "t.csv", "text": "body", "label": "queue", **more}, SettingError)


def test_bytes_of_an_example_are_the_text_itself():
    assert bytes(as_bytes(["héé"])[0][0]).rstrip(b"\0").decode() == "héé"
