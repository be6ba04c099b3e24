"""One connection's bytes, read and written in bounded size, time and pace."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable
from contextlib import suppress

from clients.serving.socket_protocol import HEAD
from mycroft_fl.protocol.envelope import FRONT_BYTES, Claim, Opened, head_length

HEAD_SECONDS = 5.0
GRACE_SECONDS, LEAST_RATE = 10.0, 1 << 20
"""A content has this long, and a second more for so many bytes that have come: no trickle lasts."""
PIECE = 1 << 16
MOST_NOISE = 1 << 20
"""Bytes that are read of whoever goes on talking while it waits; then its end is not heard either."""


async def read_question(reader: asyncio.StreamReader) -> tuple[int, int]:
    """Read the kind of question, and the length of what follows. `TimeoutError` where it does not come."""
    async with asyncio.timeout(HEAD_SECONDS):
        kind, length = HEAD.unpack(await reader.readexactly(HEAD.size))
    return kind, length


async def read_request_head(reader: asyncio.StreamReader) -> bytes:
    """Read the head of a signed request. `BadMessage` where it begins otherwise."""
    async with asyncio.timeout(HEAD_SECONDS):
        front = await reader.readexactly(FRONT_BYTES)
        return front + await reader.readexactly(head_length(front) - FRONT_BYTES)


async def read_content(reader: asyncio.StreamReader, claim: Claim) -> Opened:
    """Read the content of a head that was proven, hashed as it comes.

    `TimeoutError` where it comes too slowly, `BadMessage` where it is not the one that was signed.
    """
    content, hasher, began = bytearray(), hashlib.sha512(), time.monotonic()
    while len(content) < claim.size:
        until = began + GRACE_SECONDS + len(content) / LEAST_RATE
        async with asyncio.timeout(max(0.0, until - time.monotonic())):
            piece = await reader.read(min(PIECE, claim.size - len(content)))
        if not piece:
            raise asyncio.IncompleteReadError(bytes(content[:0]), claim.size)
        content += piece
        hasher.update(piece)
    return claim.opened(bytes(content), hasher.digest())


async def write_answer(
    writer: asyncio.StreamWriter, answer: bytes, put: Callable[[bytes], bool]
) -> None:
    """Write an answer piece by piece; no further once `put`, which hands one on, says False."""
    writer.transport.set_write_buffer_limits(high=0)
    began = time.monotonic()
    for place in range(0, len(answer), PIECE):
        if not put(answer[place : place + PIECE]):
            writer.transport.abort()
            return
        until = began + GRACE_SECONDS + place / LEAST_RATE
        async with asyncio.timeout(max(0.0, until - time.monotonic())):
            await writer.drain()


async def keep_silent(reader: asyncio.StreamReader, deadline: float) -> None:
    """Say nothing until whoever asked has given up, by the clock or by closing the socket."""
    heard = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
            # Until its end: a byte more must not tell silence from a slow answer.
            while heard < MOST_NOISE and (piece := await reader.read(PIECE)):
                heard += len(piece)
            if heard >= MOST_NOISE:
                await asyncio.sleep(max(0.0, deadline - time.monotonic()))
