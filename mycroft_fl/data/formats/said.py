"""Notes to whoever reads a command's output: what was guessed, left out or filled."""

from __future__ import annotations

import logging

from mycroft_fl.foreign_text import cleaned

logger = logging.getLogger("mycroft_fl.data")


def say(note: str) -> None:
    """Say one line, as a warning of the log: commands show it, and a run's log keeps it."""
    logger.warning("%s", cleaned(note))
