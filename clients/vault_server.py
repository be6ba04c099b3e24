"""The vault as a server of the owner's own: a Unix socket that answers one protocol and no more.

Whoever reaches the socket is a stranger until a listed trainer's signature says otherwise, and
then still only a trainer. This process reads what is sent, bounded in size and time, and checks
signature, owner, time and novelty; the data and the key are in another, see vault_process.py.
"""

from __future__ import annotations

import asyncio
import grp
import logging
import os
import shutil
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from clients.owner_file import OwnerFile
from clients.owner_log import note, owner_log
from clients.socket_protocol import ANSWERED, FAILED, HEAD, INTRODUCE, REFUSED, SELECT
from clients.vault_lock import STOPPED, alone
from clients.vault_process import SILENT, VaultProcess
from mycroft_fl.envelope import MAX_LIFE, Opened, Seen, open_request
from mycroft_fl.errors import BadMessage, InputError, Refused

CONNECTIONS = 64
"""At once; most of them wait in silence for somebody's consent."""
READERS = 4
"""Requests that are read at once: each may take `max-megabytes` of memory."""
HEAD_SECONDS, BODY_SECONDS, REPLY_SECONDS = 10.0, 120.0, 120.0
QUIET = 10.0
"""Seconds between two lines of the log about malformed requests, however many there are."""


class VaultServer:
    """Serves the vault of an owner's file until it is stopped."""

    def __init__(self, file: OwnerFile, process: VaultProcess) -> None:
        self._file, self._process = file, process
        self._trainers = {each.key: each.name for each in file.policy.trainers if each.key}
        self._log = owner_log(file.name, file.folder / "owner.log")
        self._seen = Seen()
        self._connections = 0
        self._malformed = _Counted(self._log)
        # Made by `serve`, within its loop.
        self._reading: asyncio.Semaphore
        self._answering: asyncio.Lock
        # One thread: the process behind it answers one request at a time.
        self._thread = ThreadPoolExecutor(1)

    async def serve(self, over: asyncio.Event, ready: Callable[[], None] = lambda: None) -> None:
        """Answer from `ready` until `over`."""
        self._reading, self._answering = asyncio.Semaphore(READERS), asyncio.Lock()
        path = self._file.vault.socket
        path.unlink(missing_ok=True)
        server = await asyncio.start_unix_server(self._meet, path=path)
        try:
            _let_in(path, self._file.vault.group)
            note(self._log, f"serving at {path}")
            ready()
            await over.wait()
        finally:
            # The process first: whatever it is computing must not leave any more.
            self._process.end()
            server.close()
            path.unlink(missing_ok=True)
            note(self._log, "the vault is closed")

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection: one question, at most one answer."""
        self._connections += 1
        try:
            if self._connections <= CONNECTIONS:
                await self._converse(reader, writer)
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            self._malformed.add()
        except Exception as error:
            note(self._log, f"a connection failed: {type(error).__name__}")
        finally:
            self._connections -= 1
            writer.close()
            with suppress(Exception):
                await writer.wait_closed()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(HEAD_SECONDS):
            kind, length = HEAD.unpack(await reader.readexactly(HEAD.size))
        if kind == INTRODUCE and length == 0:
            status, answer = ANSWERED, self._file.name.encode()
        elif kind == SELECT and 0 < length <= self._file.vault.max_megabytes << 20:
            status, answer = await self._select(reader, length)
        else:
            self._malformed.add()
            status, answer = FAILED, b""
        if status == ANSWERED and (self._file.folder / STOPPED).exists():
            status, answer = FAILED, b""
        writer.write(HEAD.pack(status, len(answer)) + answer)
        async with asyncio.timeout(REPLY_SECONDS):
            await writer.drain()

    async def _select(self, reader: asyncio.StreamReader, length: int) -> tuple[int, bytes]:
        came = time.monotonic()
        try:
            request = await self._opened(reader, length)
        except Refused as refusal:
            note(self._log, f"refused at the door: {refusal}")
            return REFUSED, b""
        except BadMessage:
            self._malformed.add()
            return FAILED, b""
        within = min(request.terms.within, MAX_LIFE)
        status, answer = await self._answered(request, came + within)
        if status == SILENT:
            await self._silence(reader, came + within)
            return FAILED, b""
        return status, answer

    async def _opened(self, reader: asyncio.StreamReader, length: int) -> Opened:
        async with self._reading:
            async with asyncio.timeout(BODY_SECONDS):
                envelope = await reader.readexactly(length)
            request = open_request(envelope, self._file.name, self._trainers)
            self._seen.take(request)
            return request

    async def _answered(self, request: Opened, deadline: float) -> tuple[int, bytes]:
        """The process's answer, in turn; a failure where the turn does not come in time."""
        try:
            async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                await self._answering.acquire()
        except TimeoutError:
            note(self._log, "a request's turn did not come in time")
            return FAILED, b""
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(
                self._thread, self._process.answer, request, self._file.vault.seconds
            )
        except InputError:
            # Without its words, which may quote a record: the log holds no private content.
            note(self._log, "the data cannot be opened again; `owner check` says why")
            return FAILED, b""
        finally:
            self._answering.release()

    @staticmethod
    async def _silence(reader: asyncio.StreamReader, deadline: float) -> None:
        """Say nothing until whoever asked has given up, by the clock or by closing the socket."""
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                # Until its end: a byte more must not tell silence from a slow answer.
                while await reader.read(1 << 16):
                    pass


class _Counted:
    """Malformed requests, counted; a line of the log now and then, not one each."""

    def __init__(self, log: logging.Logger) -> None:
        self._log, self._count, self._told = log, 0, -QUIET

    def add(self) -> None:
        self._count += 1
        if time.monotonic() - self._told >= QUIET:
            note(
                self._log, f"{self._count} malformed or unfinished requests since the vault opened"
            )
            self._told = time.monotonic()


def serve(
    file: OwnerFile, *, after_stop: bool = False, ready: Callable[[], None] = lambda: None
) -> None:
    """Open the vault of an owner's file and serve it until SIGTERM or SIGINT.

    `InputError` where it is served already, was stopped (unless `after_stop`), or is not in order.
    """
    stopped = file.folder / STOPPED
    if stopped.exists() and not after_stop:
        raise InputError(
            "this vault was stopped by `owner stop`; to open it again, serve it with --after-stop"
        )
    os.umask(0o077)
    with alone(file):
        stopped.unlink(missing_ok=True)
        process = VaultProcess(file.folder / "owner.toml")
        process.open()
        asyncio.run(_until_told(VaultServer(file, process), ready))


async def _until_told(server: VaultServer, ready: Callable[[], None]) -> None:
    over = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, over.set)
    await server.serve(over, ready)


def _let_in(path: Path, group: str) -> None:
    """Let a group ask; without one, nobody but the vault's own user."""
    path.chmod(0o600)
    if not group:
        return
    try:
        shutil.chown(path, group=grp.getgrnam(group).gr_gid)
    except (KeyError, PermissionError) as error:
        raise InputError(
            f"vault.group is '{group}', of which the vault's user is no member; add it to the group, "
            "or leave group out"
        ) from error
    path.chmod(0o660)
