"""Connections that have shown no request of a listed trainer: few, and short."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

PLACES = 256
WAITING = 32
"""Connections that the system keeps until they are met, far fewer than PLACES: whoever has sent its
head is read before as many others have come as would push it out."""


class Strangers:
    """Their places. Where all are taken the oldest makes way, so that nobody keeps others out."""

    def __init__(self, places: int = PLACES) -> None:
        self._places = places
        self._there: dict[asyncio.StreamWriter, None] = {}

    @contextmanager
    def place(self, writer: asyncio.StreamWriter) -> Iterator[None]:
        """Hold a place until the block ends, or `known`; an evicted connection is closed at once."""
        if len(self._there) >= self._places:
            oldest = next(iter(self._there))
            del self._there[oldest]
            oldest.transport.abort()
        self._there[writer] = None
        try:
            yield
        finally:
            self.known(writer)

    def known(self, writer: asyncio.StreamWriter) -> None:
        """Note that it is no stranger any more, and does not make way."""
        self._there.pop(writer, None)

    def __len__(self) -> int:
        return len(self._there)
