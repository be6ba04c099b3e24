"""Progress lines of a run, for a person: the log of the project's own packages."""

from __future__ import annotations

import logging
from typing import TextIO

from mycroft_fl.foreign_text import CleanFormatter

PACKAGES = ("mycroft_fl", "strategies", "clients", "simulations")
MARK = "mycroft-fl | "
"""Begins each line and separates it from Flower's, where both go through one stream."""


def show_progress(stream: TextIO, *, mark: str = "") -> None:
    """Send the packages' log to `stream`, each line behind `mark`. Once: later calls do nothing."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(CleanFormatter(mark + "%(message)s"))
    for name in PACKAGES:
        log = logging.getLogger(name)
        if not log.handlers:
            log.addHandler(handler)
            log.setLevel(logging.INFO)
            log.propagate = False
