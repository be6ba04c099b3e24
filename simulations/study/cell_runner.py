"""One cell after another in one process: each ends in a result or in a reason."""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from mycroft_fl.errors import MycroftError
from mycroft_fl.progress_lines import PACKAGES
from mycroft_fl.report.study.folder import DONE, FAILED
from simulations.engines.run import run
from simulations.population.world_cache import sharing
from simulations.setup.simulation import Simulation
from simulations.study.cells import Cell
from simulations.study.measures import measures
from strategies.runs.folder import RunFolder

LINES_KEPT = 200


@dataclass(frozen=True)
class Outcome:
    """How a cell ended: its result and measures, or why there are none and what was logged."""

    digest: str
    status: str
    reason: str
    seconds: float
    result: dict[str, Any] | None = field(default=None, repr=False)
    measures: dict[str, float | None] = field(default_factory=dict)
    log: str = field(default="", repr=False)


class CellRunner:
    """Runs cells one by one, in `scratch`; those of one world share what was drawn and fitted."""

    def __init__(self, scratch: Path | None = None) -> None:
        self._scratch = scratch
        self._shared = ExitStack()
        self._shared.enter_context(sharing())

    def close(self) -> None:
        """Forget what was shared."""
        self._shared.close()

    def run(self, cell: Cell) -> Outcome:
        """Run a cell in a folder that is gone afterwards. Raises nothing that a run raises."""
        since = time.monotonic()
        with _log_kept() as log:
            try:
                result = self._result(cell)
            except Exception as error:
                logging.getLogger(__name__).info("the cell failed", exc_info=True)
                seconds, lines = round(time.monotonic() - since, 3), log.getvalue().splitlines()
                output = "\n".join(lines[-LINES_KEPT:]) + "\n"
                return Outcome(cell.digest, FAILED, _reason(error), seconds, log=output)
        found = measures(result)
        seconds = round(time.monotonic() - since, 3)
        return Outcome(cell.digest, DONE, "", seconds, result, found)

    def _result(self, cell: Cell) -> dict[str, Any]:
        with tempfile.TemporaryDirectory(dir=self._scratch, prefix="cell-") as folder:
            out = Path(folder) / "run"
            simulation = Simulation.load(cell.asked_for, cell.given, out, engine=cell.engine)
            # Data and references are fitted by whoever comes first: with as many threads as a run.
            torch.set_num_threads(simulation.config.threads)
            RunFolder.prepared(out, force=False)
            return run(simulation)


def _reason(error: Exception) -> str:
    """Return one line that says why a cell failed."""
    text = " ".join(str(error).split())
    return text if isinstance(error, MycroftError) else f"{type(error).__name__}: {text}"


@contextmanager
def _log_kept() -> Iterator[io.StringIO]:
    """Keep what the packages log and methods print instead of showing it."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    before = []
    for name in PACKAGES:
        log = logging.getLogger(name)
        before.append((log, list(log.handlers), log.level, log.propagate))
        log.handlers, log.propagate = [handler], False
        log.setLevel(logging.INFO)
    try:
        with contextlib.redirect_stdout(text):
            yield text
    finally:
        for log, handlers, level, propagate in before:
            log.handlers, log.propagate = handlers, propagate
            log.setLevel(level)
