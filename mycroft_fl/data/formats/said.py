"""Notes to whoever reads a command's output: what was guessed, left out or filled."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable

from mycroft_fl.foreign_text import cleaned

NO_CHARACTER = re.compile("[\0\ud800-\udfff]")
logger = logging.getLogger("mycroft_fl.data")


def say(note: str) -> None:
    """Say one line, as a warning of the log: commands show it, and a run's log keeps it."""
    logger.warning("%s", cleaned(note))


def say_changed(source: str, texts: Iterable[str], cut: int, width: int) -> None:
    """Say how many texts of examples are not kept as they were: too long, or holding what is no text.

    Args:
        source: the file.
        texts: its texts as they were.
        cut: how many of them are longer than `width` bytes.
        width: bytes that are kept of each.
    """
    if cut:
        say(f"{source}: {cut} texts are longer than {width} bytes, and are cut; set longest")
    if odd := sum(NO_CHARACTER.search(text) is not None for text in texts):
        say(f"{source}: {odd} texts hold zero bytes or halves of characters, which become '?'")
