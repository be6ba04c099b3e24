"""The server around a stand-in for the process with the data: who is let in, and who shuts out whom."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import gc
import os
import re
import socket
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import clients.serving.conversation
from clients.owner.file import OwnerFile, load_owner_file
from clients.owner.lock import STOPPED
from clients.owner.revoking import revoke
from clients.serving.process import SILENT, VaultProcess
from clients.serving.server import VaultServer
from clients.serving.socket_protocol import (
    ANSWERED,
    FAILED,
    HEAD,
    INTRODUCE,
    REFUSED,
    SELECT,
    ask,
    connect,
)
from clients.serving.strangers import PLACES, WAITING
from mycroft_fl.protocol.envelope import Opened, SignedTerms, open_request, sign_request
from mycroft_fl.protocol.keys import KeyPair

LAB, CLINIC = KeyPair.generate(), KeyPair.generate()


class Process(VaultProcess):
    """Stands in for the process with the data: answers what `says` gives, after `free` is set."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.held: weakref.WeakSet[Any] = weakref.WeakSet()
        self.says: Callable[[Opened], tuple[int, bytes]] = lambda _: (ANSWERED, b"sealed")
        self.free = threading.Event()
        self.free.set()

    def answer(self, request: Opened, seconds: float) -> tuple[int, bytes]:
        self.held.add(request)
        self.asked.append(request.signer.fingerprint)
        assert self.free.wait(30)
        return self.says(request)

    def end(self) -> None:
        self.free.set()


class Owner:
    """An owner's folder with two trainers, and its server in a thread of this process."""

    def __init__(self, folder: Path, **vault: Any) -> None:
        self.folder, self.process = folder, Process()
        for name, key in (("lab", LAB), ("clinic", CLINIC)):
            (folder / f"{name}.pub").write_text(key.public.text(name))
        output = "".join(f"{key.replace('_', '-')} = {value}\n" for key, value in vault.items())
        (folder / "owner.toml").write_text(
            f'name = "bank"\n[policy]\nmodes = ["raw"]\n[vault]\n{output}'
            '[[trainers]]\nname = "lab"\nkey = "lab.pub"\n'
            '[[trainers]]\nname = "clinic"\nkey = "clinic.pub"\n'
        )

    @property
    def file(self) -> OwnerFile:
        return load_owner_file(self.folder / "owner.toml")

    @contextlib.contextmanager
    def served(self) -> Iterator[VaultServer]:
        ready, box = threading.Event(), {}

        async def main() -> None:
            box["loop"], box["over"] = asyncio.get_running_loop(), asyncio.Event()
            box["server"] = VaultServer(self.file, self.process)
            await box["server"].serve(box["over"], ready.set)

        thread = threading.Thread(target=asyncio.run, args=(main(),))
        thread.start()
        assert ready.wait(30)
        try:
            yield box["server"]
        finally:
            box["loop"].call_soon_threadsafe(box["over"].set)
            thread.join(30)
            assert not thread.is_alive()

    def ask(self, key: KeyPair = LAB, content: bytes = b"x", **terms: Any) -> int:
        return self.send(self.signed(key, content, **terms))

    def signed(
        self, key: KeyPair = LAB, content: bytes = b"x", within: float = 30.0, **terms: Any
    ) -> bytes:
        fresh = SignedTerms.fresh("run", "bank", 1, within)
        return sign_request(content, dataclasses.replace(fresh, **terms), key)

    def send(self, envelope: bytes) -> int:
        return ask(self.folder / "vault.sock", SELECT, envelope, timeout=30)[0]

    def connected(self, said: bytes = b"") -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connect(connection, self.folder / "vault.sock", 30)
        connection.sendall(said)
        return connection

    @property
    def log(self) -> str:
        return (self.folder / "owner.log").read_text()


@pytest.fixture
def owner(tmp_path: Path) -> Owner:
    return Owner(tmp_path)


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def hung_up(connection: socket.socket) -> bool:
    """Whether the server ends this connection, without a word."""
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


# Strangers


def test_unfinished_bodies_of_strangers_are_never_waited_for(owner: Owner) -> None:
    """They are refused by their head, before a byte of their content is read."""
    with owner.served(), contextlib.ExitStack() as stack:
        large = owner.signed(KeyPair.generate(), bytes(1 << 20))
        for _ in range(20):
            begun = stack.enter_context(owner.connected(HEAD.pack(SELECT, len(large))))
            begun.sendall(large[:1000])
            assert begun.recv(HEAD.size) == HEAD.pack(REFUSED, 0)
        assert owner.ask() == ANSWERED
    assert owner.process.asked == [LAB.public.fingerprint]


def test_silent_strangers_make_way_and_never_crowd_out_a_trainer(
    owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients.serving.conversation, "HEAD_SECONDS", 600.0)
    with owner.served() as server, contextlib.ExitStack() as stack:
        crowd = [stack.enter_context(owner.connected()) for _ in range(PLACES + 50)]
        wait_until(lambda: len(server._strangers) == PLACES)
        assert owner.ask() == ANSWERED
        assert hung_up(crowd[0])
        assert ask(owner.folder / "vault.sock", INTRODUCE, timeout=30) == (ANSWERED, b"bank")
    # Whoever has sent its head is read before so many have come that it would have to make way.
    assert PLACES >= 8 * WAITING


@pytest.mark.parametrize(
    "said", [b"", b"\2", HEAD.pack(SELECT, 500), HEAD.pack(SELECT, 500) + b"mycroft"]
)
def test_a_head_that_does_not_come_is_not_waited_for_long(
    owner: Owner, said: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients.serving.conversation, "HEAD_SECONDS", 0.2)
    with owner.served() as server, owner.connected(said) as connection:
        assert hung_up(connection)
        wait_until(lambda: len(server._strangers) == 0)
    assert "malformed or not finished" in owner.log


def test_a_content_that_trickles_is_not_read_to_its_end(
    owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients.serving.conversation, "GRACE_SECONDS", 0.5)
    envelope = owner.signed(content=bytes(4000), within=20.0)
    with owner.served(), owner.connected(HEAD.pack(SELECT, len(envelope))) as connection:
        connection.sendall(envelope[:-4000])

        def trickled() -> None:
            for _ in range(200):
                connection.sendall(b"\0")
                time.sleep(0.02)

        with pytest.raises(OSError, match=r"[Bb]roken pipe|reset"):
            trickled()
    assert owner.process.asked == []


def test_a_flood_of_strangers_writes_a_few_lines_and_counts_the_rest(owner: Owner) -> None:
    with owner.served():
        forged = owner.signed(KeyPair.generate())
        for _ in range(300):
            assert owner.send(forged) == REFUSED
            assert owner.send(b"junk" * 60) == FAILED
        assert owner.ask(CLINIC) == ANSWERED
    lines = owner.log.splitlines()
    assert len(lines) < 30
    counted = sum(int(each) for each in re.findall(r"(\d+) more", owner.log))
    written = owner.log.count("refused at the door: the request is signed") + owner.log.count(
        "malformed: this"
    )
    assert counted + written == 600
    assert counted > 550


def test_an_older_trainers_request_is_named_in_the_log(owner: Owner) -> None:
    with owner.served():
        assert owner.send(b"mycroft-fl request 1\n" + owner.signed()[21:]) == FAILED
    assert "a request of version 1, and this vault reads version 2" in owner.log


# One trainer and the others


def test_a_trainer_with_all_its_connections_open_shuts_out_nobody_else(tmp_path: Path) -> None:
    owner = Owner(tmp_path, connections=3)
    owner.process.says = lambda request: (SILENT if request.signer == LAB.public else ANSWERED, b"")
    with owner.served(), contextlib.ExitStack() as stack:
        for _ in range(3):
            silent = owner.signed(within=86400.0)
            stack.enter_context(owner.connected(HEAD.pack(SELECT, len(silent)) + silent))
        wait_until(lambda: len(owner.process.asked) == 3)
        assert owner.ask(LAB) == REFUSED
        assert owner.ask(CLINIC) == ANSWERED
    assert "lab: all 3 connections of this trainer are in use" in owner.log


def test_a_silent_connection_keeps_no_content(owner: Owner) -> None:
    owner.process.says = lambda _: (SILENT, b"")
    with owner.served() as server, contextlib.ExitStack() as stack:
        for _ in range(3):
            silent = owner.signed(content=bytes(1 << 20), within=86400.0)
            stack.enter_context(owner.connected()).sendall(HEAD.pack(SELECT, len(silent)) + silent)
        wait_until(lambda: len(owner.process.asked) == 3)
        wait_until(lambda: server._door._by_name["lab"]._held == 0)
        gc.collect()
        wait_until(lambda: len(owner.process.held) == 0)


def test_a_trainer_has_the_server_keep_no_more_than_one_largest_request(tmp_path: Path) -> None:
    owner = Owner(tmp_path, max_megabytes=1)
    owner.process.free.clear()
    results: list[int] = []
    with owner.served() as server:
        half = 600_000
        threads = [
            threading.Thread(target=lambda: results.append(owner.ask(LAB, bytes(half))))
            for _ in range(6)
        ]
        for each in threads:
            each.start()
        wait_until(lambda: owner.process.asked != [])
        time.sleep(0.2)
        assert server._door._by_name["lab"]._held == half
        owner.process.free.set()
        for each in threads:
            each.join(30)
    assert results == [ANSWERED] * 6


def test_a_trainers_requests_in_force_are_its_own_and_none_is_forgotten(tmp_path: Path) -> None:
    owner = Owner(tmp_path, requests=20)
    with owner.served():
        first = owner.signed()
        assert owner.send(first) == ANSWERED
        statuses = [owner.ask(LAB, b"") for _ in range(100)]
        assert statuses == [ANSWERED] * 19 + [REFUSED] * 81
        assert owner.send(first) == REFUSED
        assert [owner.ask(CLINIC) for _ in range(10)] == [ANSWERED] * 10


def test_seconds_that_are_used_up_are_refused_before_anything_is_read(tmp_path: Path) -> None:
    owner = Owner(tmp_path, seconds_per_hour=1)
    with owner.served():
        statuses = [owner.ask(LAB) for _ in range(8)]
        # A quarter of a second each, at the least.
        assert 1 <= statuses.count(ANSWERED) <= 5
        assert statuses == sorted(statuses)
        assert len(owner.process.asked) == statuses.count(ANSWERED)
        assert owner.ask(CLINIC) == ANSWERED
    assert "the 1 seconds an hour of this trainer are used up" in owner.log


def test_of_those_who_wait_the_one_that_has_used_least_is_next(owner: Owner) -> None:
    owner.process.free.clear()
    with owner.served() as server:
        threads = [threading.Thread(target=owner.ask, args=(LAB,)) for _ in range(6)]
        for each in threads:
            each.start()
        wait_until(lambda: sum(map(len, server._turns._waiting.values())) == 5)
        late = threading.Thread(target=owner.ask, args=(CLINIC,))
        late.start()
        wait_until(lambda: sum(map(len, server._turns._waiting.values())) == 6)
        owner.process.free.set()
        for each in (*threads, late):
            each.join(30)
    # One of the lab's was being computed; the clinic's is next though five came before it.
    assert owner.process.asked.index(CLINIC.public.fingerprint) == 1


# Who is listed now


def test_a_trainer_that_is_taken_out_of_the_file_is_refused_at_once(owner: Owner) -> None:
    with owner.served():
        assert owner.ask(CLINIC) == ANSWERED
        path = owner.folder / "owner.toml"
        whole = path.read_text()
        path.write_text(whole[: whole.rindex("[[trainers]]")])
        assert owner.ask(CLINIC) == REFUSED
        path.write_text(whole)
        assert owner.ask(CLINIC) == ANSWERED


def test_a_broken_edit_closes_the_vault_and_its_repair_opens_it(owner: Owner) -> None:
    with owner.served():
        path = owner.folder / "owner.toml"
        whole = path.read_text()
        for broken in ("name = [", whole.replace("[policy]", "[policy]\nmods = 1"),
                       whole.replace('name = "bank"', 'name = "other"')):  # fmt: skip
            path.write_text(broken)
            assert owner.ask() == FAILED
        path.write_text(whole)
        assert owner.ask() == ANSWERED
    assert "nothing is answered: " in owner.log
    assert "name changed; restart the vault, or undo it" in owner.log


def test_an_answer_to_a_trainer_that_is_revoked_meanwhile_does_not_leave(owner: Owner) -> None:
    owner.process.free.clear()
    heard: list[Any] = []
    with owner.served():

        def waiting() -> None:
            try:
                heard.append(owner.ask())
            except Exception as error:
                heard.append(error)

        threads = [threading.Thread(target=waiting) for _ in range(3)]
        for each in threads:
            each.start()
        wait_until(lambda: len(owner.process.asked) == 1)
        assert revoke(owner.file, "lab")
        owner.process.free.set()
        for each in threads:
            each.join(30)
        assert owner.ask(CLINIC) == ANSWERED
        assert owner.ask(LAB) == REFUSED
    assert ANSWERED not in heard
    assert len(heard) == 3


def test_an_answer_stops_in_the_middle_where_its_trainer_is_revoked(owner: Owner) -> None:
    size = 32 << 20
    owner.process.says = lambda _: (ANSWERED, bytes(size))
    with owner.served(), owner.connected() as connection:
        envelope = owner.signed()
        connection.sendall(HEAD.pack(SELECT, len(envelope)) + envelope)
        assert connection.recv(HEAD.size) == HEAD.pack(ANSWERED, size)
        assert revoke(owner.file, "lab")
        read = 0
        with contextlib.suppress(ConnectionResetError):
            while piece := connection.recv(1 << 16):
                read += len(piece)
    assert read < 2 << 20


def test_a_stopped_vault_says_nothing_more(owner: Owner) -> None:
    with owner.served():
        (owner.folder / STOPPED).touch()
        with pytest.raises(Exception, match="closed before"):
            owner.ask()


def test_one_trainers_flood_of_requests_leaves_the_servers_memory_and_log_as_they_were(
    tmp_path: Path,
) -> None:
    owner = Owner(tmp_path, requests=100)
    with owner.served() as server:
        for _ in range(2000):
            owner.ask(LAB, b"")
        account = server._door._by_name["lab"]
        assert len(account.seen._until) == 100
        assert sys.getsizeof(account.seen._until) < 100 * 200
        wait_until(lambda: (account._open, account._held, len(server._strangers)) == (0, 0, 0))
        assert owner.ask(CLINIC) == ANSWERED
    assert len(owner.log.splitlines()) < 30
    assert (tmp_path / "owner.log").stat().st_size < 5000


def test_a_request_that_is_opened_whole_is_the_one_that_was_sent(owner: Owner) -> None:
    content = os.urandom(300_000)
    seen: list[bytes] = []
    owner.process.says = lambda request: (ANSWERED, seen.append(request.content) or b"")
    with owner.served():
        envelope = owner.signed(content=content)
        assert owner.send(envelope) == ANSWERED
        changed = owner.signed(content=content)
        assert owner.send(changed[:-1] + bytes([changed[-1] ^ 1])) == FAILED
        assert owner.send(changed) == ANSWERED
    assert seen == [content, content]
    assert open_request(envelope, "bank", [LAB.public]).content == content
