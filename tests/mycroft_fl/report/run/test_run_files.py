"""A run's files as a report reads them: whole ones come back, broken ones are named in one line."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mycroft_fl.errors import DataError, InputError
from mycroft_fl.report.run.files import no_result, read_run


def test_a_run_comes_back_with_its_examples_and_what_they_mean(runs):
    files = read_run(runs["images"])
    assert files.result == json.loads((runs["images"] / "result.json").read_text())
    assert files.classes == tuple("0123456789")
    assert files.table is None
    assert len(files.acquired.y) == files.result["disclosed"] > 0
    rows = read_run(runs["rows"])
    assert [column.name for column in rows.table.columns] == ["bytes", "seconds", "protocol"]


def test_an_older_run_without_task_gains_or_examples_is_read_all_the_same(copied):
    folder = copied(
        "images",
        lambda result: (
            [result.pop("gains"), result.pop("tested")]
            + [each.pop("groups") for each in result["rounds"]]
        ),
    )
    (folder / "task.json").unlink()
    (folder / "acquired.npz").unlink()
    files = read_run(folder)
    assert (files.classes, files.table, files.acquired) == (None, None, None)


@pytest.mark.parametrize(
    ("change", "output"),
    [
        (lambda result: result.pop("owners"), "the whole: 'owners' is a required property"),
        (lambda result: result.update(schema=0), "schema: 1 was expected"),
        (lambda result: result["final"].update(test=7), "final.test: 7 is greater than"),
        (lambda result: result["owners"][0].update(low=None), "owner 'a' has a score or an interval"),
        (lambda result: result["owners"][0].update(score=1e9), "owners.0.score: 1000000000.0 is greater"),
    ],
    ids=["a key less", "another schema", "an accuracy above one", "half a score", "a score beyond reason"],
)  # fmt: skip
def test_what_is_no_result_of_this_version_is_named_with_the_place(copied, change, output):
    folder = copied("images", change)
    with pytest.raises(DataError, match="run the scenario again") as error:
        read_run(folder)
    assert output in str(error.value)
    assert str(folder / "result.json") in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "output"),
    [
        ("", "no whole JSON"),
        ('{"schema": 1', "no whole JSON"),
        ('{"schema": NaN}', "NaN is no number"),
        ('{"schema": 1e999}', "1e999 is beyond all numbers"),
        ("[" * 100_000, "no whole JSON"),
        ("[]", "not a result file of this version"),
    ],
    ids=["empty", "cut off", "not a number", "infinite", "deep", "a list"],
)
def test_a_broken_result_is_one_line(tmp_path, text, output):
    (tmp_path / "result.json").write_text(text)
    with pytest.raises(DataError, match=output) as error:
        read_run(tmp_path)
    assert "\n" not in str(error.value)


def test_bytes_that_are_no_text_are_one_line(tmp_path):
    (tmp_path / "result.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="no whole JSON"):
        read_run(tmp_path)


@pytest.mark.parametrize("broken", ["not a zip", "cut off", "lengths", "kinds", "an array less"])
def test_broken_examples_are_named_with_what_to_do(copied, broken):
    folder = copied("images")
    file = folder / "acquired.npz"
    with np.load(file) as saved:
        arrays = dict(saved)
    if broken == "not a zip":
        file.write_text("nothing of the kind")
    elif broken == "cut off":
        file.write_bytes(file.read_bytes()[:-200])
    else:
        if broken == "lengths":
            arrays["y"] = arrays["y"][1:]
        elif broken == "kinds":
            arrays["x"] = arrays["x"].astype(str)
        else:
            del arrays["answer"]
        np.savez(file, **arrays)
    with pytest.raises(DataError, match="remove it to report without what was disclosed") as error:
        read_run(folder)
    assert "acquired.npz cannot be used" in str(error.value)
    assert "\n" not in str(error.value)


def test_examples_with_pickled_objects_are_refused_and_run_nothing(copied, tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    folder = copied("images")
    with np.load(folder / "acquired.npz") as saved:
        arrays = dict(saved)
    arrays["x"] = np.array([Bomb()] * len(arrays["y"]), dtype=object)
    np.savez(folder / "acquired.npz", **arrays)
    with pytest.raises(DataError, match="cannot be used"):
        read_run(folder)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "text", ["{}", "[]", '{"classes": 3, "table": null}', '{"classes": ["a"], "table": {}}']
)
def test_a_task_that_describes_nothing_is_named(copied, text):
    folder = copied("images")
    (folder / "task.json").write_text(text)
    with pytest.raises(DataError, match=r"task.json does not describe a task; remove it"):
        read_run(folder)


def test_a_file_beyond_all_reason_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr("mycroft_fl.report.run.files.MOST_JSON", 10)
    (tmp_path / "result.json").write_text(" " * 11)
    with pytest.raises(DataError, match=r"is not ours .it is larger than 10 bytes"):
        read_run(tmp_path)


def test_a_folder_without_a_result_says_why(tmp_path):
    assert "neither result.json nor study.json" in str(no_result(tmp_path))
    (tmp_path / "rounds.jsonl").touch()
    assert "the run has not ended" in str(no_result(tmp_path))
    (tmp_path / "error.json").write_text('{"kind": "RunFailed", "message": "too few\\nowners"}')
    output = no_result(tmp_path)
    assert isinstance(output, InputError)
    assert str(output).endswith("the run failed and left no result: too few")
    (tmp_path / "error.json").write_text("[]")
    assert str(no_result(tmp_path)).endswith("no result: None")
