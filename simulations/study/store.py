"""A study's results on disk: every finished cell at once, and the tables that are made of them."""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mycroft_fl.errors import StudyError
from mycroft_fl.files import folder_whole, locked, write_whole
from mycroft_fl.report.study.folder import (
    CELLS,
    CSV,
    DONE,
    FAILED,
    JSON,
    PARQUET,
    STUDY,
    Axis,
    Row,
    csv_text,
)
from simulations.study.cell_runner import Outcome
from simulations.study.cells import Cell, once
from simulations.study.description import SHOWN, check_defaults, described
from simulations.study.file import StudyFile
from simulations.study.tables import write_parquet

log = logging.getLogger(__name__)
LOCK, SCRATCH = ".lock", ".under-way"
TABLE_EVERY = 5.0  # seconds between two writings of cells.csv


class StudyStore:
    """The folder of one study. Every file and every cell appears whole or not at all."""

    def __init__(self, path: Path, study: StudyFile, cells: Sequence[Cell]) -> None:
        self.path = path
        self._study = study
        self._cells = cells
        self._ended: dict[str, dict[str, Any]] = {}
        self._table_written = 0.0

    @classmethod
    @contextmanager
    def opened(
        cls, path: Path, study: StudyFile, cells: Sequence[Cell], *, retry: bool = False
    ) -> Iterator[StudyStore]:
        """Open the folder, made or found, for this process alone while inside `with`.

        Raises `StudyError` where something else lies there, another process works on it, or finished
        cells are none of this study's.

        Args:
            path: of the folder.
            study: the study's file.
            cells: all of its cells.
            retry: whether cells that failed are forgotten.
        """
        store = cls(path, study, cells)
        store._prepare()
        with _alone(path):
            shutil.rmtree(path / SCRATCH, ignore_errors=True)
            store._find(retry=retry)
            store._describe()
            (path / SCRATCH).mkdir()
            try:
                yield store
            finally:
                shutil.rmtree(path / SCRATCH, ignore_errors=True)
                store.write_tables()

    @property
    def axes(self) -> tuple[Axis, ...]:
        """The keys that vary."""
        return self._study.axes

    @property
    def scratch(self) -> Path:
        """Where cells under way may write."""
        return self.path / SCRATCH

    def missing(self) -> list[Cell]:
        """Return the runs that are still to be done, each once."""
        return [cell for cell in once(self._cells) if cell.digest not in self._ended]

    def finished(self) -> int:
        """Return how many runs have ended, well or not."""
        return len(self._ended)

    def failed(self) -> int:
        """Return how many finished runs failed."""
        return sum(each["status"] == FAILED for each in self._ended.values())

    def add(self, cell: Cell, outcome: Outcome) -> None:
        """Put a finished cell on disk; the table of all follows within seconds."""
        cell_file = {
            "digest": cell.digest, "scenario": cell.asked_for, "engine": cell.engine,
            "given": dict(cell.given), "status": outcome.status, "reason": outcome.reason,
            "seconds": outcome.seconds, "measures": outcome.measures,
        }  # fmt: skip
        with folder_whole(self.path / CELLS / cell.digest) as draft:
            if outcome.result is not None:
                (draft / "result.json").write_text(json.dumps(outcome.result, indent=2) + "\n")
            if outcome.log:
                (draft / "log.txt").write_text(outcome.log)
            (draft / "cell.json").write_text(json.dumps(cell_file, indent=2) + "\n")
        self._ended[cell.digest] = cell_file
        if time.monotonic() - self._table_written > TABLE_EVERY:
            write_whole(self.path / CSV, csv_text(self.rows(), self._study.axes))
            self._table_written = time.monotonic()

    def rows(self) -> list[Row]:
        """Return a row a finished cell, in the order of parts, grids and seeds."""
        return [
            {**cell.keys, **_row(self._ended[cell.digest])}
            for cell in self._cells
            if cell.digest in self._ended
        ]

    def write_tables(self) -> None:
        """Write the rows as CSV, as JSON, and as Parquet where pyarrow is there."""
        rows = self.rows()
        write_whole(self.path / CSV, csv_text(rows, self._study.axes))
        write_whole(self.path / JSON, json.dumps(rows, indent=1) + "\n")
        write_parquet(self.path / PARQUET, rows, self._study.axes)

    def _prepare(self) -> None:
        try:
            if self.path.is_dir() and any(self.path.iterdir()) and not (self.path / CELLS).is_dir():
                raise StudyError(
                    f"{self.path} is neither empty nor a study's folder; give another as `out`"
                )
            (self.path / CELLS).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StudyError(
                f"{self.path} cannot be written: {error.strerror}; give another as `out`"
            ) from error

    def _find(self, *, retry: bool) -> None:
        wanted = {cell.digest for cell in self._cells}
        strange = []
        for folder in sorted((self.path / CELLS).iterdir()):
            if folder.name.startswith("."):
                shutil.rmtree(folder)  # a cell that was being written when its process ended
                continue
            ended = _ended(folder)
            if ended["status"] == FAILED and (retry or folder.name not in wanted):
                shutil.rmtree(folder)
            elif folder.name in wanted:
                self._ended[folder.name] = ended
            else:
                strange.append(ended)
        if strange:
            some = "; ".join(_told(each) for each in strange[:SHOWN])
            raise StudyError(
                f"{self.path} holds {len(strange)} finished cells that {self._study.name}.toml does "
                f"not ask for, such as {some}: a value, scenario, setting or data file has changed. "
                "Adding is fine; otherwise undo the change, or give another folder as `out`"
            )

    def _describe(self) -> None:
        before = _json(self.path / STUDY) or {}
        check_defaults(before, self.path, len(self._ended))
        now = described(self._study, self._cells, before)
        if self._ended and len(now["environments"]) > 1:
            log.warning(
                "%d cells were computed by other versions; study.json names them", len(self._ended)
            )
        write_whole(self.path / STUDY, json.dumps(now, indent=2) + "\n")


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Lock the folder until this process ends, however it ends."""
    try:
        lock = locked(path / LOCK, wait=False)
    except BlockingIOError as error:
        raise StudyError(
            f"another process is working on {path}; wait for it, or give another folder as `out`"
        ) from error
    with lock:
        yield


def _row(cell_file: dict[str, Any]) -> Row:
    row = {
        "status": cell_file["status"],
        "reason": cell_file["reason"],
        "seconds": cell_file["seconds"],
    }
    return {**row, **cell_file["measures"], "digest": cell_file["digest"]}


def _ended(folder: Path) -> dict[str, Any]:
    cell_file = _json(folder / "cell.json")
    if not isinstance(cell_file, dict) or cell_file.get("status") not in (DONE, FAILED):
        raise StudyError(f"{folder} is damaged: remove it, and its cell is computed again")
    return cell_file


def _told(cell: dict[str, Any]) -> str:
    given = ", ".join(f"{key} = {value}" for key, value in cell["given"].items())
    return f"{Path(cell['scenario']).stem} with {given}"


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None
