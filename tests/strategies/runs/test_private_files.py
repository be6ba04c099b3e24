"""Files that hold owners' records are their user's alone; a full disk keeps them whole."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mycroft_fl.errors import DiskFull, InputError, RunFailed
from mycroft_fl.files import OTHERS, disk_full, is_full, write_whole, written_whole
from strategies.rounds.owner_record import RoundRecord
from strategies.runs.folder import RunFolder


def open_to_others(folder: Path) -> list[str]:
    return [
        f"{each.relative_to(folder)} {each.stat().st_mode & 0o777:o}"
        for each in (folder, *folder.rglob("*"))
        if each.stat().st_mode & OTHERS
    ]


@pytest.fixture
def no_umask():
    before = os.umask(0)
    yield
    os.umask(before)


def test_a_runs_folder_and_all_in_it_are_their_users_alone(tmp_path: Path, no_umask: None) -> None:
    (tmp_path / "run").mkdir()  # one that stood open before
    folder = RunFolder.prepared(tmp_path / "run", force=False)
    folder.save_json("result.json", {})
    folder.save_acquired([])
    folder.add_round(RoundRecord(1, 1, 1, {}, 1, 0.1))
    assert not open_to_others(folder.path)
    folder.path.chmod(0o755)
    RunFolder.reopened(folder.path)
    assert not folder.path.stat().st_mode & OTHERS


SCENARIO = """
dataset = "digits"
[groups.all]
classes = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]
[trainer]
train = { all = 60 }
validation = { all = 60 }
test = { all = 60 }
[[owners]]
name = "a"
holds = { all = 60 }
[run]
budget = 8
pilot-per-owner = 4
num-rounds = 2
min-owners = 1
method = "features"
fit.epochs = 1
fine-tune.steps = 2
scoring.repeats = 1
"""


@pytest.mark.slow
def test_what_the_command_leaves_is_its_users_alone_whatever_the_umask(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(SCENARIO)
    command = [sys.executable, "-m", "mycroft_fl", "simulate", "s.toml", "--out", "run"]
    ran = subprocess.run(
        ["sh", "-c", 'umask 0; exec "$@"', "sh", *command, "--engine", "in-process"],
        cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False,
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache"),
             "PYTHONPATH": str(Path(__file__).parents[3])},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr[-2000:]
    for folder in ("run", "cache"):
        if (tmp_path / folder).exists():
            assert not open_to_others(tmp_path / folder)
    report = [sys.executable, "-m", "mycroft_fl", "report", "run"]
    subprocess.run(
        ["sh", "-c", 'umask 0; exec "$@"', "sh", *report], cwd=tmp_path, check=True, timeout=600,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )  # fmt: skip
    assert not open_to_others(tmp_path / "run")


def fails_at(monkeypatch: pytest.MonkeyPatch, place: int) -> Callable[[], int]:
    """The `place`-th time that a file is made durable there is no room left; returns how often it was."""
    done, fsync = [0], os.fsync

    def full(handle: int) -> None:
        done[0] += 1
        if done[0] == place:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", full)
    return lambda: done[0]


def test_a_file_that_does_not_fit_leaves_the_one_before_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.json"
    write_whole(path, "before")
    fails_at(monkeypatch, 1)
    with pytest.raises(OSError, match="No space left"):
        write_whole(path, "after")
    assert path.read_text() == "before"
    assert [each.name for each in tmp_path.iterdir()] == ["a.json"]


def test_an_error_half_way_leaves_the_one_before(tmp_path: Path) -> None:
    def half() -> None:
        with written_whole(tmp_path / "a") as stream:
            stream.write(b"half")
            raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        half()
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_said_with_the_file_the_room_and_what_to_do(tmp_path: Path) -> None:
    error = OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "models" / "final"))
    said = str(disk_full(error))
    assert str(tmp_path / "models" / "final") in said
    assert "MiB are free" in said
    assert "--resume" in said
    assert len(said.splitlines()) == 2


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (OSError(errno.EDQUOT, "Disk quota exceeded"), True),
        (RuntimeError("I/O error: No space left on device (os error 28)"), True),
        (RuntimeError("database or disk is full"), True),
        (OSError(errno.EACCES, "Permission denied"), False),
        (ValueError("none"), False),
    ],
)
def test_a_full_disk_is_known_by_whoever_says_it(error: Exception, full: bool) -> None:
    assert is_full(error) is full
    wrapped = RuntimeError("the library's own")
    wrapped.__cause__ = error
    assert is_full(wrapped) is full


def ended(folder: RunFolder, error: Exception) -> None:
    folder.add_round(RoundRecord(1, 1, 1, {}, 1, 0.1))
    folder.save_text("summary.md", "work")
    raise error


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (
            InputError("not in order"),
            RunFailed,
            "not in order\nall that the run came to is kept in",
        ),
        (OSError(errno.ENOSPC, "No space left on device"), DiskFull, "the disk is full"),
    ],
)
def test_a_run_that_has_come_somewhere_is_never_deleted(
    tmp_path: Path, error: Exception, kind: type[Exception], said: str
) -> None:
    def run() -> None:
        with RunFolder.replacing(tmp_path / "run", force=False) as folder:
            ended(folder, error)

    with pytest.raises(kind, match=said):
        run()
    assert (tmp_path / "run" / "summary.md").read_text() == "work"
    RunFolder.reopened(tmp_path / "run")


def test_a_folder_that_is_in_the_way_is_left_as_it_is_and_an_earlier_run_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = RunFolder.prepared(tmp_path / "run", force=False)
    folder.add_round(RoundRecord(1, 1, 1, {}, 1, 0.1))

    def again(*, force: bool) -> None:
        with RunFolder.replacing(tmp_path / "run", force=force):
            pass

    with pytest.raises(InputError, match="is not empty"):
        again(force=False)
    monkeypatch.setattr("strategies.runs.folder.private_folder", _no_room)
    with pytest.raises(DiskFull):
        again(force=True)
    assert (tmp_path / "run" / "rounds.jsonl").is_file()
    assert not (tmp_path / "run" / ".previous").exists()


def _no_room(path: Path) -> Path:
    if path.name == "owners":
        raise OSError(errno.ENOSPC, "No space left on device", str(path))
    path.mkdir(exist_ok=True)
    return path
