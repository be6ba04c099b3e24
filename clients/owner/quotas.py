"""The quotas of a trainer at a vault's server, so that no trainer shuts out another.

Time, memory and places of a server are taken by requests, and a listed trainer may send any number.
Each trainer has an account of its own, known by the name that the owner gave it: another key of the
same trainer does not begin a new one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

from mycroft_fl.errors import Refused
from mycroft_fl.protocol.envelope import SeenRequests

LEAST_SECONDS = 0.25
"""The least that a request costs of its trainer's seconds; else junk would come for nothing."""
HOUR = 3600.0


@dataclass(frozen=True)
class Quotas:
    """Each trainer's: `requests` in force, `connections` at once, seconds that are computed.

    `waiting` is how many requests for examples a person may have to look at, within `waiting_days`,
    after which one that nobody looked at has lapsed.
    """

    requests: int = 1000
    connections: int = 16
    seconds_per_hour: float = 1800.0
    waiting: int = 20
    waiting_days: int = 14


class Account:
    """The account of one trainer: requests that are in force, places, memory, seconds."""

    def __init__(
        self, quotas: Quotas, most_bytes: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.seen = SeenRequests(quotas.requests)
        self._quotas, self._most_bytes, self._clock = quotas, most_bytes, clock
        self._open = self._held = 0
        self._left, self._since = quotas.seconds_per_hour, clock()
        self._room = asyncio.Condition()

    @contextmanager
    def place(self) -> Iterator[None]:
        """Take one of its connections. `Refused` where it has as many as it may."""
        if self._open >= self._quotas.connections:
            raise Refused(f"all {self._quotas.connections} connections of this trainer are in use")
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1

    @asynccontextmanager
    async def memory(self, size: int) -> AsyncIterator[None]:
        """So many bytes of what it may have the server keep at once; waits until they are free."""
        async with self._room:
            await self._room.wait_for(lambda: self._held + size <= self._most_bytes)
            self._held += size
        try:
            yield
        finally:
            self._held -= size
            async with self._room:
                self._room.notify_all()

    def seconds_left(self) -> float:
        """Give the seconds that may be computed for it now. They come back evenly, over an hour."""
        now, most = self._clock(), self._quotas.seconds_per_hour
        self._left = min(most, self._left + (now - self._since) * most / HOUR)
        self._since = now
        return self._left

    def check_seconds(self) -> None:
        """Raise `Refused` where none are left."""
        if self.seconds_left() <= 0:
            raise Refused(
                f"the {self._quotas.seconds_per_hour:g} seconds an hour of this trainer are used up"
            )

    def spend(self, seconds: float) -> None:
        """Take what an answer took, which may be more than was left."""
        self._left = self.seconds_left() - max(seconds, LEAST_SECONDS)
