"""An owner's log is bounded, keeps what is new, and counts what it does not write."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from clients.answering import log as owner_log
from clients.answering.log import Rationed, note

WRITER = """
import sys
from pathlib import Path
from clients.answering import log as owner_log
owner_log.LARGEST, owner_log.KEPT = 2000, 400
log = owner_log.owner_log("bank", Path(sys.argv[1]))
for number in range(300):
    owner_log.note(log, f"{sys.argv[2]}-{number}")
"""


def test_a_log_is_rotated_and_bounded_and_loses_nothing_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner_log, "LARGEST", 1000)
    monkeypatch.setattr(owner_log, "KEPT", 3)
    log = owner_log.owner_log("bank", tmp_path / "owner.log")
    for number in range(500):
        note(log, f"line {number}")
    files = [tmp_path / name for name in ("owner.log.3", "owner.log.2", "owner.log.1", "owner.log")]
    assert sorted(tmp_path.iterdir()) == sorted(files)
    assert all(each.stat().st_size <= 1000 and each.stat().st_mode & 0o077 == 0 for each in files)
    kept = [line.split()[-1] for each in files for line in each.read_text().splitlines()]
    assert kept == [str(number) for number in range(500 - len(kept), 500)]
    assert len(kept) > 60


@pytest.mark.slow
def test_processes_that_rotate_one_log_lose_no_line(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(tmp_path / "owner.log")]
    writers = [subprocess.Popen([*command, name], cwd=Path(__file__).parents[3]) for name in "abc"]
    assert [each.wait(120) for each in writers] == [0, 0, 0]
    lines = [line for each in tmp_path.iterdir() for line in each.read_text().splitlines()]
    assert sorted(line.split()[-1] for line in lines) == sorted(
        f"{name}-{number}" for name in "abc" for number in range(300)
    )


def test_lines_of_one_kind_are_rationed_and_counted_and_others_are_not_held_up(
    tmp_path: Path,
) -> None:
    now = [0.0]
    log = owner_log.owner_log("bank", tmp_path / "owner.log")
    rationed = Rationed(log, burst=2, seconds=60.0, clock=lambda: now[0])
    for _ in range(10):
        rationed.add("one", "first")
    rationed.add("two", "second")
    now[0] = 61.0
    rationed.add("one", "first")
    rationed.add("one", "first")
    rationed.close()
    output = [
        line.partition("INFO ")[2] for line in (tmp_path / "owner.log").read_text().splitlines()
    ]
    assert output == [
        "first", "first", "second", "first (8 more of this kind are not written)",
        "one: 1 more are not written",
    ]  # fmt: skip
