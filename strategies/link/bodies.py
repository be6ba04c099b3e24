"""A request's body on the public port: as long as it said, in time, and where it counts, read first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

Receive = Callable[[], Any]


class Body:
    """A request's body as the app receives it: as long as it said, and within `seconds`."""

    def __init__(self, receive: Receive, length: int, seconds: float) -> None:
        self._receive = receive
        self._left = length
        self._seconds = seconds
        self._until: float | None = None
        self._whole = length == 0
        self._empty = length == 0
        self.failed = False

    async def __call__(self) -> Any:
        """Return the next message of the body; that the other side has gone where there is none in time."""
        if self._empty:
            self._empty = False
            return {"type": "http.request", "body": b"", "more_body": False}
        if self._whole:
            return await self._receive()
        if self._until is None:
            self._until = asyncio.get_running_loop().time() + self._seconds
        try:
            async with asyncio.timeout_at(self._until):
                message = await self._receive()
        except TimeoutError:
            return self._gone()
        self._left -= len(message.get("body", b""))
        self._whole = not message.get("more_body", False)
        if self._left < 0 or (self._whole and self._left):
            return self._gone()
        return message

    def _gone(self) -> Any:
        self.failed = self._whole = True
        return {"type": "http.disconnect"}


async def whole(body: Body) -> bytes | None:
    """Read all of a body; None where it does not come."""
    content = bytearray()
    while (message := await body())["type"] == "http.request":
        content += message["body"]
        if not message["more_body"]:
            return bytes(content)
    return None


def again(content: bytes, body: Body) -> Receive:
    """Replay a body that was read, for an app that reads it once more."""
    given = False

    async def receive() -> Any:
        nonlocal given
        if given:
            return await body()
        given = True
        return {"type": "http.request", "body": content, "more_body": False}

    return receive
