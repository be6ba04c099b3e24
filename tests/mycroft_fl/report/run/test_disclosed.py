"""What owners disclosed is shown as it was, and nothing that they kept."""

from __future__ import annotations

import base64
import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from mycroft_fl.errors import DataError
from mycroft_fl.report.run import disclosed as module
from mycroft_fl.report.run.disclosed import disclosed, thumbnail
from mycroft_fl.report.run.files import Acquired, read_run


def pixels(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",", 1)[1]))))


def test_every_disclosed_image_is_shown_exactly_with_its_class_in_the_order_of_arrival(runs):
    files = read_run(runs["images"])
    shown = disclosed(files)
    ranked = [each["owner"] for each in files.result["owners"] if each["disclosed"]]
    assert [each.owner for each in shown] == ranked
    for each in shown:
        mine = files.acquired.owner == each.owner
        assert each.count == len(each.pictures) == mine.sum()
        for picture, x, y in zip(
            each.pictures, files.acquired.x[mine], files.acquired.y[mine], strict=True
        ):
            np.testing.assert_array_equal(pixels(picture.uri), x[0])
            assert picture.label == str(y)
        assert sum(each.labels.values()) == each.count


def test_rows_are_shown_in_the_columns_own_units(runs):
    files = read_run(runs["rows"])
    (shown,) = disclosed(files)
    assert shown.head[:2] == ("answer", "class")
    assert set(shown.head[2:]) == {"bytes", "seconds", "protocol"}
    source = (runs["rows"].parent / "flows.csv").read_text().splitlines()[1:]
    held = set()
    for line in source:
        size, seconds, protocol, kind = line.split(",")
        held.add((kind, f"{float(size):.4g}", f"{float(seconds):.4g}", protocol))
    order = [shown.head.index(name) for name in ("class", "bytes", "seconds", "protocol")]
    assert {tuple(row[at] for at in order) for row in shown.rows} <= held
    assert len(shown.rows) + shown.hidden == shown.count


def test_without_a_task_rows_are_bare_numbers_and_classes_too(runs):
    files = replace(read_run(runs["rows"]), classes=None, table=None)
    (shown,) = disclosed(files)
    assert shown.head[2:] == ("x0", "x1", "x2", "x3", "x4")
    assert {row[1] for row in shown.rows} <= {"class 0", "class 1"}


def test_what_there_is_no_room_for_is_counted(runs, monkeypatch):
    for name, most in (("MOST_PICTURES", 3), ("MOST_ROWS", 2), ("MOST_COLUMNS", 2)):
        monkeypatch.setattr(module, name, most)
    for each in disclosed(read_run(runs["images"])):
        assert len(each.pictures) == min(3, each.count)
        assert each.hidden == each.count - len(each.pictures)
    (rows,) = disclosed(read_run(runs["rows"]))
    assert (len(rows.rows), rows.hidden, rows.hidden_columns) == (2, rows.count - 2, 1)
    assert len(rows.head) == 4


def test_nothing_disclosed_shows_nothing(runs):
    assert disclosed(read_run(runs["score"])) == []
    assert disclosed(replace(read_run(runs["images"]), acquired=None)) == []


def test_examples_of_another_run_are_refused(runs):
    files = read_run(runs["images"])
    acquired = files.acquired
    strange = Acquired(np.full(len(acquired.owner), "eve"), acquired.answer, acquired.x, acquired.y)
    with pytest.raises(DataError, match=r"names owner 'eve', whom result\.json does not know"):
        disclosed(replace(files, acquired=strange))


@pytest.mark.parametrize(
    ("shape", "size", "kind"),
    [
        ((1, 8, 8), (8, 8), "png"),
        ((3, 32, 32), (32, 32, 3), "png"),
        ((3, 224, 112), (96, 48, 3), "jpeg"),
        ((4, 10, 10), (10, 10, 3), "png"),
        ((2, 10, 10), (10, 10), "png"),
    ],
)
def test_images_of_any_shape_become_small_pictures(shape, size, kind):
    uri = thumbnail(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))
    assert uri.startswith(f"data:image/{kind};base64,")
    assert pixels(uri).shape == size
