"""What the baseline fails on, in a report: in words, as pictures or rows, and nothing of another run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from mycroft_fl.errors import DataError
from mycroft_fl.report.run.disclosed import failing, words_of
from mycroft_fl.report.run.files import read_run
from mycroft_fl.report.run.page import run_page


@pytest.fixture
def folder(runs, tmp_path) -> Path:
    shutil.copytree(runs["images"], tmp_path / "run")
    return tmp_path / "run"


def test_each_group_is_shown_with_failures_of_it(folder) -> None:
    files = read_run(folder)
    groups, shown = files.result["failing"], failing(files)
    assert len(shown) == len(groups) >= 1
    for group, each in zip(groups, shown, strict=True):
        assert each.words == words_of(group)
        assert 1 <= len(each.pictures) <= group["failures"]
        for picture in each.pictures:
            assert picture.label in group["classes"]
            assert picture.taken_for in group["taken_for"]
            assert picture.label != picture.taken_for
    html, _ = run_page(files)
    assert "What the baseline fails on" in html
    assert html.count('alt="a failure of class') == sum(len(each.pictures) for each in shown)


def test_of_a_table_rows_are_shown(runs) -> None:
    shown = failing(read_run(runs["rows"]))
    assert shown
    for each in shown:
        assert each.head[:2] == ("class", "taken for")
        assert all(len(row) == len(each.head) and row[0] != row[1] for row in each.rows)


def test_a_copied_result_has_the_words_alone_and_an_older_one_nothing(folder) -> None:
    (folder / "failures.npz").unlink()
    shown = failing(read_run(folder))
    assert shown
    assert not any(each.pictures or each.rows for each in shown)
    result = json.loads((folder / "result.json").read_text())
    del result["failing"]
    (folder / "result.json").write_text(json.dumps(result))
    assert failing(read_run(folder)) == []
    assert "What the baseline fails on" not in run_page(read_run(folder))[0]


@pytest.mark.parametrize(
    ("group", "words"),
    [
        ((1, {"cat": 1}, {"dog": 1}), "1 failure: cat, taken for dog"),
        ((5, {"cat": 5}, {"dog": 2, "cow": 3}), "5 failures: cat, taken for cow (3), dog (2)"),
        (
            (9, dict.fromkeys("abcde", 1) | {"z": 4}, {"dog": 9}),
            "9 failures: z (4), a (1), b (1), others (3), taken for dog",
        ),
    ],
)
def test_a_group_is_said_in_a_line(group, words) -> None:
    failures, classes, taken_for = group
    assert words_of({"failures": failures, "classes": classes, "taken_for": taken_for}) == words


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"group": np.array([99])}, "it is of another run"),
        ({"y": np.zeros((1, 1), np.int64)}, "do not belong together"),
        ({"y": np.array([0.5])}, "do not belong together"),
        ({"taken_for": np.array([1, 2])}, "do not belong together"),
        ({"x": np.zeros(1)}, "do not belong together"),
        ({"x": None}, "x"),
    ],
)
def test_a_file_that_is_none_is_refused_with_what_to_do(folder, changed, why) -> None:
    arrays = {
        "group": np.array([0]), "x": np.zeros((1, 1, 2, 2), np.uint8), "y": np.array([0]),
        "taken_for": np.array([1]), **changed,
    }  # fmt: skip
    np.savez(folder / "failures.npz", **{k: v for k, v in arrays.items() if v is not None})
    with pytest.raises(
        DataError, match=f"failures.npz cannot be used .*{why}.*remove it to report"
    ):
        read_run(folder)


def test_what_is_no_archive_is_refused(folder) -> None:
    (folder / "failures.npz").write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(DataError, match=r"failures.npz cannot be used"):
        read_run(folder)


@pytest.mark.parametrize(
    "x",
    [
        np.zeros((1, 1, 0, 0), np.uint8),
        np.zeros((1, 0, 8, 8), np.uint8),
        np.full((1, 1, 8, 8), np.nan, np.float32),
        np.full((1, 1, 8, 8), np.inf, np.float32),
    ],
)
def test_images_without_pixels_or_finite_ones_are_refused(folder, x) -> None:
    one = np.zeros(1, np.int64)
    np.savez(folder / "failures.npz", group=one, y=one, taken_for=one, x=x)
    with pytest.raises(DataError, match="no pixels, or no finite ones"):
        read_run(folder)


def test_no_more_failures_are_shown_than_there_is_room_for(folder) -> None:
    many = np.zeros(500, np.int64)
    x = np.zeros((500, 1, 8, 8), np.uint8)
    np.savez(folder / "failures.npz", group=many, y=many, taken_for=many + 1, x=x)
    assert len(failing(read_run(folder))[0].pictures) == 12
