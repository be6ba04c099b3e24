"""The progress of a study, for a person: how many cells are done, and how long the rest takes."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TextIO

from mycroft_fl.foreign_text import cleaned
from mycroft_fl.report.study.folder import FAILED
from simulations.study.cell_runner import Outcome

EVERY = 10.0  # seconds between two lines where nobody watches a terminal


@dataclass
class StudyProgress:
    """Counts cells of `total`, of which `before` were finished by earlier commands."""

    total: int
    before: int
    stream: TextIO
    failed: int = 0
    _done: int = 0
    _since: float = field(default_factory=time.monotonic)
    _shown: float = 0.0

    def begin(self) -> None:
        """Say what there is to do."""
        found = f", {self.before} of them finished before" if self.before else ""
        self._line(f"{self.total} cells{found}", end="\n")

    def on(self, outcome: Outcome) -> None:
        """Count one more cell that has ended."""
        self._done += 1
        if outcome.status == FAILED:
            self.failed += 1
            self._line(f"failed: {outcome.reason}", end="\n")
        now, last = time.monotonic(), self.before + self._done == self.total
        if self.stream.isatty() or last or now - self._shown >= EVERY:
            self._shown = now
            end = "\n" if last or not self.stream.isatty() else ""
            self._line(
                f"{self.before + self._done} of {self.total} cells{self._rest(now)}", end=end
            )

    def stopped(self) -> None:
        """Say that somebody has ended the study before its end."""
        self._line(
            f"{self.before + self._done} of {self.total} cells are kept; the same command goes on",
            end="\n",
        )

    def _rest(self, now: float) -> str:
        left = self.total - self.before - self._done
        spent = now - self._since
        if not left:
            return f", {duration(spent)}"
        return f", about {duration(spent / self._done * left)} left"

    def _line(self, text: str, *, end: str) -> None:
        start = "\r\x1b[2K" if self.stream.isatty() else ""
        print(f"{start}{cleaned(text)}", end=end, file=self.stream, flush=True)


def duration(seconds: float) -> str:
    """Return a time as people say it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"
