"""Progress lines of a run, for a person: the log of the project's own packages."""

from __future__ import annotations

import logging
from typing import TextIO

from mycroft_fl.foreign_text import CleanFormatter

PACKAGES = ("mycroft_fl", "strategies", "clients", "simulations")
NOTES = "mycroft_fl.data"
"""The log of what readers guess, leave out or fill, see `mycroft_fl/data/formats/said.py`."""
MOST_NOTES = 10_000
MARK = "mycroft-fl | "
"""Begins each line and separates it from Flower's, where both go through one stream."""


class _Once(logging.Filter):
    """Lets each note on data pass once: a run reads a file for every part and owner that it serves."""

    def __init__(self) -> None:
        super().__init__()
        self._said: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a line is to be shown."""
        if record.name != NOTES:
            return True
        line = record.getMessage()
        new = line not in self._said
        if len(self._said) < MOST_NOTES:
            self._said.add(line)
        return new


def show_progress(stream: TextIO, *, mark: str = "") -> None:
    """Send the packages' log to `stream`, each line behind `mark`. Once: later calls do nothing."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(CleanFormatter(mark + "%(message)s"))
    handler.addFilter(_Once())
    for name in PACKAGES:
        log = logging.getLogger(name)
        if not log.handlers:
            log.addHandler(handler)
            log.setLevel(logging.INFO)
            log.propagate = False
