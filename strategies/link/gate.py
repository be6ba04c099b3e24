"""The connections of the public port: few of strangers at a time, each for a short time.

uvicorn counts a connection once its TLS handshake is over, and waits for a request for as long as it
takes. Whoever holds connections open before that would use up the process's files, those of the
private socket included. So the gate accepts connections itself, and where too many are of nobody
known, the oldest of these makes room.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from weakref import WeakSet

import h11
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from strategies.link.front import VISIT

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Doors:
    """Limits on the number of connections, and on how long one may say nothing of use."""

    strangers: int = 128
    """Connections on which no admitted SuperNode has asked anything yet."""
    each: int = 32
    """Connections of one admitted SuperNode."""
    head: int = 16 << 10
    """Bytes of a request's line and headers."""
    handshake: float = 10.0
    """Seconds for the TLS handshake."""
    silence: float = 15.0
    """Seconds for a request's line and headers, from the connection or the answer before."""


class Visit(H11Protocol):
    """A connection after its handshake: each request's head must be there in time."""

    def __init__(self, config: Config, state: ServerState, silence: float) -> None:
        super().__init__(config=config, server_state=state, app_state={VISIT: self})
        # That a stranger sends what is no HTTP fills no log.
        self.logger = logging.getLogger(f"{__name__}.visit")
        self.key: bytes | None = None
        """Whose: of an admitted SuperNode once it has asked something."""
        self.begun = False
        self.over: asyncio.Future[None] = self.loop.create_future()
        self._silence = silence
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, and wait for a head."""
        super().connection_made(transport)
        self.begun = True
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Take what has come; what is no HTTP ends the connection."""
        if self.transport.is_closing():
            return
        try:
            super().data_received(data)
        except h11.ProtocolError:
            self.end()
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop()

    def on_response_complete(self) -> None:
        """Wait for the next head."""
        self._wait()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._stop()
        super().connection_lost(exc)
        if not self.over.done():
            self.over.set_result(None)

    def end(self) -> None:
        """End at once, and without a word: a stranger can do this as often as it likes."""
        # A TLS transport that was closed twice has nothing left to abort, and Python 3.11.2 raises.
        with suppress(AttributeError):
            self.transport.abort()

    def _wait(self) -> None:
        self._stop()
        self._timer = self.loop.call_later(self._silence, self.end)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Gate:
    """The public port, at a socket that listens already."""

    def __init__(
        self, place: socket.socket, tls: ssl.SSLContext, app: Any, doors: Doors | None = None
    ) -> None:
        self._place = place
        self._tls = tls
        self._doors = doors or Doors()
        self._config = Config(
            app, interface="asgi3", ws="none", lifespan="off", log_config=None, access_log=False,
            h11_max_incomplete_event_size=self._doors.head, proxy_headers=False,
            server_header=False, date_header=False,
            # Else uvicorn ends a connection earlier than its own silence would.
            timeout_keep_alive=int(self._doors.silence) + 1,
        )  # fmt: skip
        self._config.load()
        logging.getLogger(f"{__name__}.visit").setLevel(logging.ERROR)
        self._state = ServerState()
        # In the order of their coming.
        self._open: dict[asyncio.Task[None], Visit] = {}
        self._arrived: WeakSet[socket.socket] = WeakSet()

    async def serve(self) -> None:
        """Accept connections until cancelled."""
        loop = asyncio.get_running_loop()
        self._place.setblocking(False)
        while True:
            try:
                arrived, _ = await loop.sock_accept(self._place)
            except OSError as error:
                # No file is left for it: what is open now ends soon.
                log.warning("a connection could not be accepted: %s", error)
                await asyncio.sleep(1)
                continue
            self._arrived.add(arrived)
            visit = Visit(self._config, self._state, self._doors.silence)
            task = loop.create_task(self._receive(arrived, visit))
            self._open[task] = visit
            task.add_done_callback(self._gone)
            # First let it begin, and others have their turn: whoever waits may be many.
            await asyncio.sleep(0)
            self._make_room()

    async def close(self, within: float = 3.0) -> None:
        """Let the requests that are going on end, then close all connections."""
        self._place.close()
        for visit in list(self._state.connections):
            with suppress(h11.ProtocolError):
                visit.shutdown()
        if self._state.tasks:
            await asyncio.wait(self._state.tasks, timeout=within)
        for task in list(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)
        # asyncio closes a transport's socket in a later turn.
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                while any(each.fileno() >= 0 for each in list(self._arrived)):
                    await asyncio.sleep(0.01)

    async def _receive(self, arrived: socket.socket, visit: Visit) -> None:
        """Serve a connection from its coming to its end."""
        loop = asyncio.get_running_loop()
        try:
            # Why a stranger's handshake fails is of no interest.
            with suppress(OSError, TimeoutError):
                await loop.connect_accepted_socket(
                    lambda: visit, arrived, ssl=self._tls,
                    ssl_handshake_timeout=self._doors.handshake, ssl_shutdown_timeout=3.0,
                )  # fmt: skip
                await visit.over
        finally:
            if visit.begun:
                visit.end()
            # To asyncio an end is nothing new where TLS is just being closed, nor anything at all
            # before the handshake. This it cannot miss.
            with suppress(OSError):
                arrived.shutdown(socket.SHUT_RDWR)

    def _make_room(self) -> None:
        """End the oldest connection of whoever has more than may be, all strangers as one."""
        counts = Counter(visit.key for visit in self._open.values())
        for task, visit in list(self._open.items()):
            most = self._doors.strangers if visit.key is None else self._doors.each
            if counts[visit.key] > most:
                counts[visit.key] -= 1
                task.cancel()

    def _gone(self, task: asyncio.Task[None]) -> None:
        self._open.pop(task, None)
