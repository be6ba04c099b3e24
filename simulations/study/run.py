"""A study: a grid of runs, computed where they are missing and kept one by one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TextIO

from mycroft_fl.files import disk_full, is_full
from mycroft_fl.report.study.folder import FAILED
from simulations.engines.flower import ENDINGS
from simulations.engines.processes import ended_by
from simulations.study.cell_runner import Outcome
from simulations.study.cells import planned
from simulations.study.file import load_study
from simulations.study.progress import StudyProgress
from simulations.study.store import StudyStore
from simulations.study.workers import WorkerSettings, computed


def run_study(
    asked_for: str | Path,
    folder: Path,
    workers: WorkerSettings,
    *,
    retry: bool = False,
    stream: TextIO = sys.stderr,
) -> StudyStore:
    """Run what `folder` lacks of the study called, or in the file, `asked_for`.

    Every finished cell is on disk before the next begins. Raises `InputError` before anything runs,
    for whatever is wrong with the study or the folder.

    Args:
        asked_for: a packaged study's name, or a file.
        folder: where its cells are kept.
        workers: how many processes compute it, and where.
        retry: whether failed cells are computed again.
        stream: where progress is shown.
    """
    study = load_study(asked_for)
    cells = planned(study)
    with StudyStore.opened(folder, study, cells, retry=retry) as store:
        missing = store.missing()
        progress = StudyProgress(len(missing) + store.finished(), store.finished(), stream)
        progress.begin()
        try:
            # Here too: a signal may come while a finished cell is written, outside of its worker.
            with ended_by(*ENDINGS):
                for cell, outcome in computed(missing, workers, store.scratch):
                    _check_disk(outcome, folder)
                    store.add(cell, outcome)
                    progress.on(outcome)
        except (KeyboardInterrupt, SystemExit):
            progress.stopped()
            raise
    return store


def _check_disk(outcome: Outcome, folder: Path) -> None:
    """Raise `DiskFull` for a cell that failed for want of room: it is no result, and is computed again."""
    if outcome.status == FAILED and is_full(error := RuntimeError(outcome.reason)):
        raise disk_full(error, folder)
