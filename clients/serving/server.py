"""The vault as a server of the owner's own: a Unix socket that answers one protocol and no more.

Whoever reaches the socket is a stranger until a listed trainer's signature says otherwise, and
then still only a trainer. This process reads a request's head, checks signature, owner, time,
novelty and the trainer's quotas, and only then reads what is asked; the data and the key are in
another process, see vault_process.py.
"""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from clients.answering.log import Rationed, note, owner_log
from clients.owner.file import OwnerFile
from clients.owner.load import check_socket, check_trainers
from clients.owner.lock import alone, is_stopped, leaving
from clients.owner.quotas import Account
from clients.serving.admission import Door
from clients.serving.conversation import (
    keep_silent,
    read_content,
    read_question,
    read_request_head,
    write_answer,
)
from clients.serving.process import VaultProcess
from clients.serving.socket_protocol import (
    ANSWERED,
    FAILED,
    HEAD,
    INTRODUCE,
    REFUSED,
    SELECT,
    SILENT,
)
from clients.serving.strangers import WAITING, Strangers
from clients.serving.turns import Turns
from mycroft_fl.errors import BadMessage, InputError, Refused
from mycroft_fl.protocol.envelope import FRONT_BYTES, MAX_LIFE, MAX_TERMS, Claim, Opened

MALFORMED, LATE = "malformed or unfinished requests", "requests whose turn did not come in time"
MOST_FILES = 65_536


class VaultServer:
    """Serves the vault of an owner's file until it is stopped."""

    def __init__(self, file: OwnerFile, process: VaultProcess) -> None:
        self._file, self._process = file, process
        self._log = owner_log(file.name, file.folder / "owner.log")
        self._rationed = Rationed(self._log, burst=10)
        self._strangers, self._turns = Strangers(), Turns()
        self._door = Door(file, self._rationed)
        # One thread: the process behind it answers one request at a time.
        self._thread = ThreadPoolExecutor(1)

    async def serve(self, over: asyncio.Event, ready: Callable[[], None] = lambda: None) -> None:
        """Answer from `ready` until `over`."""
        path, group = self._file.vault.socket, check_socket(self._file)
        path.unlink(missing_ok=True)
        server = await asyncio.start_unix_server(self._meet, path=path, backlog=WAITING)
        try:
            _let_in(path, group)
            note(self._log, f"serving at {path}")
            ready()
            await over.wait()
        finally:
            # The process first: whatever it is computing must not leave any more.
            self._process.end()
            server.close()
            path.unlink(missing_ok=True)
            self._rationed.close()
            note(self._log, "the vault is closed")

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection: one question, at most one answer."""
        try:
            with self._strangers.place(writer):
                await self._converse(reader, writer)
        except BadMessage as error:
            self._rationed.add(MALFORMED, f"malformed: {error}")
            await self._fail(writer)
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            self._rationed.add(MALFORMED, "a request was malformed or not finished")
        except Exception as error:
            self._rationed.add(MALFORMED, f"a connection failed: {type(error).__name__}")
        finally:
            writer.close()
            with suppress(Exception):
                await writer.wait_closed()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        kind, length = await read_question(reader)
        if kind == INTRODUCE and length == 0:
            await self._say(writer, ANSWERED, self._file.name.encode())
        elif kind == SELECT and 0 < length <= self._door.most_bytes + FRONT_BYTES + MAX_TERMS:
            await self._select(reader, writer, length)
        else:
            raise BadMessage("a question of another kind or length")

    async def _select(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, length: int
    ) -> None:
        came = time.monotonic()
        head = await read_request_head(reader)
        try:
            claim, account = self._door.proven(head, length)
            deadline = came + min(claim.terms.within, MAX_LIFE)
            with self._at_home(head, account):
                self._strangers.known(writer)
                status, answer = await self._answered(reader, claim, account, deadline)
                if status == SILENT:
                    await keep_silent(reader, deadline)
                    status = FAILED
                await self._say(writer, status, answer, claim)
        except Refused:
            await self._say(writer, REFUSED, b"")

    @contextmanager
    def _at_home(self, head: bytes, account: Account) -> Iterator[None]:
        """Serve one of a trainer's connections; what is refused on it is written down as its own."""
        try:
            with account.place():
                yield
        except Refused as refusal:
            self._door.refuse(head, refusal)
            raise

    async def _answered(
        self, reader: asyncio.StreamReader, claim: Claim, account: Account, deadline: float
    ) -> tuple[int, bytes]:
        """Return the process's answer, in turn; a failure where it does not come in time.

        The content is kept no longer than this takes.
        """
        try:
            async with asyncio.timeout(max(0.0, deadline - time.monotonic())) as waiting:
                async with account.memory(claim.size):
                    request = await read_content(reader, claim)
                    account.seen.take(request.terms)
                    async with self._turns.turn(account):
                        # The process bounds the rest, by `vault.seconds`.
                        waiting.reschedule(None)
                        account.check_seconds()
                        return await self._computed(request)
        except TimeoutError:
            if not waiting.expired():
                raise
            self._rationed.add(LATE, "a request's turn did not come in time")
            return FAILED, b""

    async def _computed(self, request: Opened) -> tuple[int, bytes]:
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._thread, self._process.answer, request, self._file.vault.seconds
            )
        except InputError:
            # Without its words, which may quote a record: the log holds no private content.
            note(self._log, "the data cannot be opened again; `owner check` says why")
            return FAILED, b""

    async def _fail(self, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, TimeoutError):
            await self._say(writer, FAILED, b"")

    async def _say(
        self, writer: asyncio.StreamWriter, status: int, answer: bytes, claim: Claim | None = None
    ) -> None:
        """Answer, as long as that may leave: to a trainer that is listed, from an open vault."""

        def put(piece: bytes) -> bool:
            if status != ANSWERED:
                writer.write(piece)
                return True
            with leaving(self._file.folder):
                if self._may_leave(claim):
                    writer.write(piece)
                    return True
            return False

        await write_answer(writer, HEAD.pack(status, len(answer)) + answer, put)

    def _may_leave(self, claim: Claim | None) -> bool:
        if is_stopped(self._file.folder):
            return False
        return claim is None or self._door.still_admits(claim)


def serve(
    file: OwnerFile, *, after_stop: bool = False, ready: Callable[[], None] = lambda: None
) -> None:
    """Open the vault of an owner's file and serve it until SIGTERM or SIGINT.

    `InputError` where it is served already, was stopped (unless `after_stop`), or is not in order.
    """
    check_trainers(file)
    os.umask(0o077)
    _allow_files()
    with alone(file, after_stop=after_stop):
        process = VaultProcess(file.folder / "owner.toml")
        process.open()
        asyncio.run(_until_told(VaultServer(file, process), ready))


async def _until_told(server: VaultServer, ready: Callable[[], None]) -> None:
    over = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, over.set)
    await server.serve(over, ready)


def _allow_files() -> None:
    """Allow as many open connections as the system does: the quotas bound them, not a soft limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _let_in(path: Path, group: int | None) -> None:
    """Let a group ask; without one, nobody but the vault's own user."""
    path.chmod(0o600)
    if group is not None:
        shutil.chown(path, group=group)
        path.chmod(0o660)
