"""A disk that is full at any write: one line, and a folder that a resumed run ends in as if nothing was."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mycroft_fl.errors import DiskFull
from mycroft_fl.report.study.folder import DONE, FAILED
from simulations.engines.run import run
from simulations.setup.simulation import Simulation
from simulations.study.cell_runner import Outcome
from simulations.study.run import _check_disk
from strategies.runs.folder import RunFolder
from tests.strategies.runs.test_private_files import SCENARIO

OF_THE_CLOCK = ("seconds", "environment")


def without_clock(output: Any) -> Any:
    if isinstance(output, dict):
        return {key: without_clock(each) for key, each in output.items() if key not in OF_THE_CLOCK}
    return [without_clock(each) for each in output] if isinstance(output, list) else output


@pytest.fixture
def simulated(tmp_path: Path) -> Callable[..., Any]:
    (tmp_path / "s.toml").write_text(SCENARIO)

    def one(name: str, *, resume: bool = False) -> Any:
        folder = tmp_path / name
        simulation = Simulation.load(str(tmp_path / "s.toml"), {}, folder, engine="in-process")
        if resume:
            RunFolder.reopened(folder)
            return without_clock(run(simulation))
        with RunFolder.replacing(folder, force=False):
            return without_clock(run(simulation))

    return one


def full_at(monkeypatch: pytest.MonkeyPatch, place: int) -> list[int]:
    """There is no room from the `place`-th durable write on; the list counts them."""
    done, fsync = [0], os.fsync

    def full(handle: int) -> None:
        done[0] += 1
        if place and done[0] >= place:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", full)
    return done


@pytest.mark.slow
def test_after_a_full_disk_at_any_write_a_resumed_run_ends_as_if_nothing_had_been(
    simulated: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as counting:
        writes = full_at(counting, 0)
        whole = simulated("whole")
    assert writes[0] > 20
    for place in range(1, writes[0] + 1):
        name = f"full-{place}"
        with monkeypatch.context() as broken:
            full_at(broken, place)
            with pytest.raises(DiskFull, match="the disk is full"):
                simulated(name)
        parts = [each for each in (tmp_path / name).rglob("*") if ".part" in each.name]
        assert not parts, f"write {place}: {parts}"
        assert simulated(name, resume=True) == whole, f"write {place}"


def test_a_studys_cell_that_failed_for_want_of_room_is_no_result(tmp_path: Path) -> None:
    for reason in ("the disk is full: cells cannot be written", "OSError: No space left on device"):
        with pytest.raises(DiskFull, match="a study by the same command"):
            _check_disk(Outcome("a", FAILED, reason, 1.0), tmp_path)
    _check_disk(Outcome("a", FAILED, "no owners", 1.0), tmp_path)
    _check_disk(Outcome("a", DONE, "", 1.0), tmp_path)
