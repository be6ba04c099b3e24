"""Turns: of the trainers that wait, the one that has used the least comes next."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from clients.owner.quotas import Account


class Turns:
    """One turn at a time. Whoever has more seconds left goes first; its own requests in order.

    A trainer that sends many waits behind one that sends few, and neither waits for ever: each turn
    takes of what lets a trainer go first.
    """

    def __init__(self) -> None:
        self._taken = False
        # In order of who has waited longest since its last turn: that decides between equals.
        self._waiting: dict[Account, deque[asyncio.Future[None]]] = {}

    @asynccontextmanager
    async def turn(self, account: Account) -> AsyncIterator[None]:
        """Take a trainer's turn for as long as the block lasts; its account pays for it."""
        await self._come(account)
        began = time.monotonic()
        try:
            yield
        finally:
            account.spend(time.monotonic() - began)
            self._pass_on()

    async def _come(self, account: Account) -> None:
        if not self._taken:
            self._taken = True
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(account, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                # It came in the very moment in which it was given up.
                self._pass_on()
            else:
                self._leave(account, turn)
            raise

    def _leave(self, account: Account, turn: asyncio.Future[None]) -> None:
        queue = self._waiting.get(account)
        if queue is not None and turn in queue:
            queue.remove(turn)
            if not queue:
                del self._waiting[account]

    def _pass_on(self) -> None:
        while self._waiting:
            account = max(self._waiting, key=Account.seconds_left)
            queue = self._waiting.pop(account)
            turn = queue.popleft()
            if queue:
                self._waiting[account] = queue
            if not turn.done():
                turn.set_result(None)
                return
        self._taken = False
