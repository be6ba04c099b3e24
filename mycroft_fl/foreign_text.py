"""Text that somebody else wrote, made fit for a terminal, a log or a page.

Names of classes and columns, of trainers, owners and runs, errors, other programs' lines: all of it
can hold escape sequences, line breaks and marks that turn the direction of writing, by which a
line says something that nobody wrote. Whatever prints a line passes it through here.
"""

from __future__ import annotations

import logging
import re
import unicodedata

LONGEST_NAME, LONGEST_LINE = 200, 2000
SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""A name of an owner or a trainer, fit to be a file's."""
MOST_MARKS = 4
"""Combining marks upon one letter; a thousand of them cover the lines above."""


def cleaned(text: object, longest: int = LONGEST_LINE) -> str:
    """Return one line without control, format or direction characters, cut at `longest` characters.

    A '?' stands for each character taken out. Spaces of all kinds become plain ones.
    """
    whole = str(text)
    shown, marks = [], 0
    for each in whole[:longest]:
        marks = marks + 1 if unicodedata.combining(each) else 0
        if marks <= MOST_MARKS:
            shown.append(_shown(each))
    return "".join(shown) + ("..." if len(whole) > longest else "")


def cleaned_lines(text: object, longest: int = LONGEST_LINE) -> str:
    """Clean as `cleaned`, but for the line feeds: for a text whose lines are our own."""
    return "\n".join(cleaned(line, longest) for line in str(text).split("\n"))


def is_clean(name: str) -> bool:
    """Return whether a name, of up to LONGEST_NAME characters, can be shown as it is, its spaces apart."""
    spaced = "".join(" " if unicodedata.category(each) == "Zs" else each for each in name)
    return cleaned(name, LONGEST_NAME) == spaced


class CleanFormatter(logging.Formatter):
    """A log's lines, cleaned: one for a message, and an error's own below it, set in."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """Return the message as one line."""
        return cleaned(super().formatMessage(record))

    def format(self, record: logging.LogRecord) -> str:
        """Format the record: no line of an error begins as a line of the log does."""
        message, *error = super().format(record).split("\n")
        return "\n".join([message, *(f"    {cleaned(line)}" for line in error)])


def _shown(character: str) -> str:
    if character.isprintable():
        return character
    return " " if unicodedata.category(character) == "Zs" else "?"
