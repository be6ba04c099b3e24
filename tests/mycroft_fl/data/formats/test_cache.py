"""What is parsed once and kept."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mycroft_fl.data.formats import cache
from mycroft_fl.data.formats.cache import cache_folder, fingerprint, kept
from mycroft_fl.data.formats.files import LabelledRows

ROWS = LabelledRows(
    np.arange(12, dtype=np.uint8).reshape(3, 1, 2, 2), np.array([0, 1, 0]), ("a", "b")
)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def unwanted() -> LabelledRows:
    raise AssertionError("parsed again")


def test_what_is_kept_comes_back_equal():
    kept("set", "key", lambda: ROWS)
    again = kept("set", "key", unwanted)
    np.testing.assert_array_equal(again.x, ROWS.x)
    np.testing.assert_array_equal(again.y, ROWS.y)
    assert again.classes == ROWS.classes


def test_nothing_but_whole_files_is_left_behind():
    kept("set", "key", lambda: ROWS)
    assert [path.name for path in cache_folder().iterdir()] == ["set-key.npz"]


def test_a_failed_write_leaves_nothing_and_does_no_harm(monkeypatch):
    def full(*args, **kwargs):
        raise OSError("no space left")

    monkeypatch.setattr(cache.np, "savez", full)
    assert kept("set", "key", lambda: ROWS) is ROWS
    assert list(cache_folder().iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"junk"])
def test_a_damaged_file_is_made_anew(content):
    kept("set", "key", lambda: ROWS)
    path = cache_folder() / "set-key.npz"
    path.write_bytes(content)
    assert kept("set", "key", lambda: ROWS) is ROWS
    assert path.stat().st_size > 100


def test_the_fingerprint_follows_texts_and_files(tmp_path: Path):
    file = tmp_path / "folder" / "file"
    file.parent.mkdir()
    file.write_text("one")
    before = fingerprint("text", file.parent)
    assert before == fingerprint("text", file.parent)
    assert before != fingerprint("other", file.parent)
    file.write_text("longer")
    assert before != fingerprint("text", file.parent)


def test_many_processes_may_keep_the_same_thing_at_once():
    code = (
        "import numpy as np; from mycroft_fl.data.formats.cache import kept; "
        "from mycroft_fl.data.formats.files import LabelledRows; "
        "rows = LabelledRows(np.zeros((2000, 784), np.float32), np.zeros(2000, np.int64), ('a',)); "
        "assert all(kept('set', str(i), lambda: rows).x.shape == (2000, 784) for i in range(20))"
    )
    running = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(2)]
    assert [process.wait() for process in running] == [0, 0]
    assert len(list(cache_folder().iterdir())) == 20
