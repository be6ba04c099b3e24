"""Witnesses of a ledger: its last links once more, in places that the ledger's own path does not say.

A head is looked for where the ledger says. Where both are gone, or another ledger is named in an
owner's file, only a witness knows that something was spent.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from mycroft_fl.privacy.spending.chain import Head, Links


class Heads:
    """A ledger's head and its witnesses, kept and checked as one.

    A witness that is not there is made from the ledger as it is: one that was kept before there were
    witnesses, or a budget that a person begins anew on purpose. A head is never made so.
    """

    def __init__(self, head: Path, witnesses: Sequence[Path] = ()) -> None:
        self._head = Head(head)
        self._witnesses = [Head(each) for each in witnesses]

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Let one process at a time in."""
        with self._head.locked():
            yield

    def begin(self, ledger: Path) -> None:
        """Write down that nothing was entered yet, before the ledger is made. Call it locked.

        `InputError`, and nothing is made, where a head or a witness knows of entries.
        """
        for each in (self._head, *self._witnesses):
            each.check_never_begun(ledger)
        self._head.begin()

    def check(self, connection: sqlite3.Connection, ledger: Path) -> None:
        """Raise `InputError` where the ledger lacks a link that its head or a witness knows."""
        self._head.check(connection, ledger)
        for each in self._witnesses:
            if each.path.exists():
                each.check(connection, ledger)

    def advance(self, links: Links, ledger: Path) -> None:
        """Write the links down unless later ones already are; durable when this returns."""
        self._head.advance(links, ledger)
        for each in self._witnesses:
            each.begin()
            each.advance(links, ledger)


def check_never_begun(ledger: Path, witnesses: Sequence[Path]) -> None:
    """Raise `InputError` where there is no ledger, and a witness knows of entries in it."""
    if not ledger.exists():
        for each in witnesses:
            Head(each).check_never_begun(ledger)
