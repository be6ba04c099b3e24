"""An owner's log: a file of its own, which nobody else reads, and which cannot grow without end."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

from mycroft_fl.files import locked
from mycroft_fl.foreign_text import CleanFormatter, cleaned

LARGEST, KEPT = 4 << 20, 5
"""Bytes of a log, and how many older ones of that size are kept."""
ANSWERS = "answers.log"
"""A second file for what left: nothing but answers can push an answer's line out of it."""
LONGEST = 500


class _Bounded(logging.Handler):
    """Opens the file for each line and closes it: one process may serve a thousand owners.

    A file that has grown to LARGEST becomes .1, and .1 becomes .2; several processes may write.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def emit(self, record: logging.LogRecord) -> None:
        # A full disk changes no answer, and a line that fails has no other place.
        with suppress(OSError):
            line = (self.format(record) + "\n").encode("utf-8", "replace")
            file = self._opened()
            try:
                if os.fstat(file.fileno()).st_size + len(line) > LARGEST:
                    self._shift()
                    file.close()
                    file = self._opened()
                os.write(file.fileno(), line)
            finally:
                file.close()

    def _opened(self) -> IO[str]:
        """Open and lock the file; once more where another process has moved it away meanwhile."""
        while True:
            file = locked(self._path)
            try:
                with suppress(FileNotFoundError):
                    if os.path.samestat(os.fstat(file.fileno()), self._path.stat()):
                        return file
            except BaseException:
                file.close()
                raise
            file.close()

    def _shift(self) -> None:
        for number in range(KEPT, 0, -1):
            older = self._numbered(number - 1) if number > 1 else self._path
            with suppress(FileNotFoundError):
                older.replace(self._numbered(number))

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")


def owner_log(name: str, path: Path) -> logging.Logger:
    """Open a log of the owner's own, which goes to its file and nowhere else."""
    log = logging.Logger(f"owner.{name}", level=logging.INFO)
    handler = _Bounded(path)
    handler.setFormatter(CleanFormatter("%(asctime)s %(levelname)s %(message)s"))
    log.addHandler(handler)
    return log


def note(log: logging.Logger, text: str) -> None:
    """Write a line of the log, whatever a request had written into it."""
    log.info("%s", cleaned(text, LONGEST))


class Rationed:
    """Lines of which a stranger or a trainer may cause any number: some are written, all counted.

    Of each kind `burst` at once, and one more every `seconds`; how many were left out stands in the
    next that is written, or in the last by `close`. A kind comes from the program or the owner's
    file, never from a request: there are few.
    """

    def __init__(
        self,
        log: logging.Logger,
        burst: int = 50,
        seconds: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log, self._burst, self._seconds, self._clock = log, burst, seconds, clock
        self._left: dict[str, tuple[float, float]] = {}
        self._unwritten: dict[str, int] = {}

    def add(self, kind: str, text: str) -> None:
        """Write a line of that kind, or count it."""
        now = self._clock()
        left, since = self._left.get(kind, (float(self._burst), now))
        left = min(self._burst, left + (now - since) / self._seconds)
        if left < 1:
            self._left[kind] = left, now
            self._unwritten[kind] = self._unwritten.get(kind, 0) + 1
            return
        self._left[kind] = left - 1, now
        missed = self._unwritten.pop(kind, 0)
        note(self._log, text + (f" ({missed} more of this kind are not written)" if missed else ""))

    def close(self) -> None:
        """Write down the counts that no line has named yet."""
        for kind, missed in self._unwritten.items():
            note(self._log, f"{kind}: {missed} more are not written")
        self._unwritten.clear()
