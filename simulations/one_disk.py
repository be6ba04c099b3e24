"""The disk that simulated owners share with the trainer: where it is full, the run has to stop.

A real owner whose disk is full fails, and the run goes on without it. In a simulation that would be
another run than the one that was asked for, with a result that nothing shows to be one.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from clients.client_app import Answering, Describing
from mycroft_fl.errors import DiskFull, Refused
from mycroft_fl.files import disk_full, is_full
from mycroft_fl.protocol.messages import Described, OwnerReport, Request

_noted: list[DiskFull] = []


class OnOneDisk:
    """A simulated owner's vault, which has it noted that the disk is full."""

    def __init__(self, vault: Answering) -> None:
        self._vault = vault

    @property
    def log(self) -> logging.Logger:
        """The owner's own log."""
        return self._vault.log

    def answer(self, request: Request) -> OwnerReport:
        """Return the owner's answer, or an exception."""
        with full_disk_noted():
            return self._vault.answer(request)

    def describe(self) -> Described:
        """Return the owner's description, or raise what it raises."""
        if not isinstance(self._vault, Describing):
            raise Refused("this owner describes nothing")
        with full_disk_noted():
            return self._vault.describe()


@contextmanager
def full_disk_noted() -> Iterator[None]:
    """Note an error of a disk that is full for `check_disk`, inside `with`, and raise it on."""
    try:
        yield
    except Exception as error:
        if is_full(error):
            _noted.append(disk_full(error))
        raise


def check_disk() -> None:
    """Raise `DiskFull` where one was noted in this process since the last call."""
    if _noted:
        error = _noted[-1]
        _noted.clear()
        raise error
