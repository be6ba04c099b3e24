"""Files and folders that appear whole or not at all, and locks between processes."""

from __future__ import annotations

import errno
import hashlib
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from mycroft_fl.files import (
    PUBLIC_FILE,
    digest_of,
    folder_whole,
    locked,
    remove_parts,
    write_once,
    write_whole,
)


def in_another_process(code: str, *given: Path) -> subprocess.Popen[str]:
    """Run `code` with `sys.argv[1:]` as given; it says a line as soon as it has come somewhere."""
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, given)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def content(folder: Path) -> dict[str, str]:
    return {
        each.relative_to(folder).as_posix(): each.read_text()
        for each in folder.rglob("*")
        if each.is_file()
    }


def fill(path: Path, text: str, *, replace: bool = False, broken: bool = False) -> None:
    with folder_whole(path, replace=replace) as part:
        (part / "below").mkdir()
        (part / "below" / "a.txt").write_text(text)
        assert not path.exists() or content(path) != {"below/a.txt": text}
        if broken:
            raise ValueError("no more")


def test_a_folder_is_there_once_it_is_whole_and_its_users_alone(tmp_path: Path) -> None:
    fill(tmp_path / "owner", "one")
    assert content(tmp_path) == {"owner/below/a.txt": "one"}
    assert (tmp_path / "owner").stat().st_mode & 0o777 == 0o700


def test_an_empty_folder_in_its_place_is_taken(tmp_path: Path) -> None:
    (tmp_path / "owner").mkdir()
    fill(tmp_path / "owner", "one")
    assert content(tmp_path) == {"owner/below/a.txt": "one"}


@pytest.mark.parametrize("replace", [False, True])
def test_an_error_half_way_leaves_the_folder_before(tmp_path: Path, replace: bool) -> None:
    fill(tmp_path / "owner", "one")
    with pytest.raises(ValueError, match="no more"):
        fill(tmp_path / "owner", "two", replace=replace, broken=True)
    assert content(tmp_path) == {"owner/below/a.txt": "one"}


def test_a_full_disk_leaves_the_folder_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path / "owner", "one")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        fill(tmp_path / "owner", "two", replace=True)
    assert content(tmp_path) == {"owner/below/a.txt": "one"}


def test_a_folder_that_holds_something_is_replaced_only_where_that_is_asked(tmp_path: Path) -> None:
    fill(tmp_path / "owner", "one")
    with pytest.raises(OSError, match="not empty"):
        fill(tmp_path / "owner", "two")
    assert content(tmp_path) == {"owner/below/a.txt": "one"}
    fill(tmp_path / "owner", "two", replace=True)
    assert content(tmp_path) == {"owner/below/a.txt": "two"}


def test_a_folder_whose_replacement_fails_at_the_very_end_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path / "owner", "one")
    rename, moves = Path.rename, []

    def failing(source: Path, target: Path) -> Path:
        moves.append(target)
        if len(moves) == 2:  # the new folder, once the old one is aside
            raise OSError(errno.EIO, "Input/output error")
        return rename(source, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(OSError, match="Input/output"):
        fill(tmp_path / "owner", "two", replace=True)
    assert content(tmp_path) == {"owner/below/a.txt": "one"}


def test_a_killed_process_leaves_the_folder_before_and_a_part_that_can_be_removed(
    tmp_path: Path,
) -> None:
    fill(tmp_path / "owner", "one")
    fill(tmp_path / "owner-2", "another's")
    half = """
        import sys, time, pathlib
        from mycroft_fl.files import folder_whole
        with folder_whole(pathlib.Path(sys.argv[1]), replace=True) as part:
            (part / "half").write_text("two")
            print("half", flush=True)
            time.sleep(600)
    """
    with in_another_process(half, tmp_path / "owner") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "half\n"
        process.send_signal(signal.SIGKILL)
    assert content(tmp_path / "owner") == {"below/a.txt": "one"}
    assert len(list(tmp_path.glob(".*"))) == 1
    remove_parts(tmp_path / "owner")
    assert not list(tmp_path.glob(".*"))
    assert {each.name for each in tmp_path.iterdir()} == {"owner", "owner-2"}


def test_of_two_writers_the_first_one_counts(tmp_path: Path) -> None:
    write_once(tmp_path / "decision", "approved")
    with pytest.raises(FileExistsError):
        write_once(tmp_path / "decision", "refused")
    assert content(tmp_path) == {"decision": "approved"}


def test_a_file_is_its_users_alone_unless_it_may_be_shared(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_whole(tmp_path / "private", "")
        write_whole(tmp_path / "public", "", PUBLIC_FILE)
    finally:
        os.umask(before)
    assert (tmp_path / "private").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "public").stat().st_mode & 0o777 == 0o640


def test_a_lock_is_held_against_other_processes_until_its_process_is_killed(tmp_path: Path) -> None:
    hold = """
        import sys, time, pathlib
        from mycroft_fl.files import locked
        lock = locked(pathlib.Path(sys.argv[1]))
        print("held", flush=True)
        time.sleep(600)
    """
    with in_another_process(hold, tmp_path / "lock") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        for shared in (False, True):
            with pytest.raises(BlockingIOError):
                locked(tmp_path / "lock", wait=False, shared=shared)
        process.send_signal(signal.SIGKILL)
    with locked(tmp_path / "lock"):
        pass
    assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o600


def test_many_may_share_a_lock_and_then_nobody_has_it_alone(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with (
        locked(path, shared=True),
        locked(path, shared=True, wait=False),
        pytest.raises(BlockingIOError),
    ):
        locked(path, wait=False)
    with locked(path, wait=False):
        pass


def test_a_lock_keeps_the_content_of_its_file(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("one\n")
    with locked(tmp_path / "log") as file:
        file.write("two\n")
    assert (tmp_path / "log").read_text() == "one\ntwo\n"


def test_a_digest_is_that_of_the_content(tmp_path: Path) -> None:
    (tmp_path / "rows").write_bytes(b"x" * 300_000)
    assert digest_of(tmp_path / "rows") == hashlib.sha256(b"x" * 300_000).hexdigest()
