"""An owner's log: a file of its own, which nobody else reads."""

from __future__ import annotations

import logging
from contextlib import suppress
from pathlib import Path


class _Appending(logging.FileHandler):
    """Opens the file for each line and closes it: one process may serve a thousand owners."""

    def emit(self, record: logging.LogRecord) -> None:
        super().emit(record)
        self.close()


def owner_log(name: str, path: Path) -> logging.Logger:
    """A log of the owner's own, which goes to its file and nowhere else."""
    log = logging.Logger(f"owner.{name}", level=logging.INFO)
    handler = _Appending(path, delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.addHandler(handler)
    return log


def note(log: logging.Logger, text: str) -> None:
    """A line of the log, whatever a request had written into it; a full disk changes no answer."""
    with suppress(Exception):
        log.info("%s", "".join(each if each.isprintable() else "?" for each in text)[:500])
