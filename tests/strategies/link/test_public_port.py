"""What the public port lets through, as ASGI without a network, and at a real socket with TLS."""

from __future__ import annotations

import asyncio
import datetime
import json
import re
import socket
import ssl
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from flwr.common.constant import TIMESTAMP_HEADER
from flwr.supercore.constant import FLEET_HTTP_PUBLIC_KEY_HEADER, FLEET_HTTP_SIGNATURE_HEADER
from flwr.supercore.date import now
from flwr.supercore.primitives.asymmetric import public_key_to_bytes, sign_message
from hypothesis import given, settings
from hypothesis import strategies as st

from mycroft_fl.errors import InputError
from strategies.deployment.certificates import CA_CERTIFICATE, certify, make_authority
from strategies.link.front import (
    ENTRY,
    FLEET,
    HEALTH,
    PIECES,
    REPLIES,
    Front,
    PortLimits,
    Refusals,
)
from strategies.link.gate import Doors, Gate, Visit
from strategies.link.serve import PublicPort, keep_private, private_socket

OWNER, STRANGER = (ec.generate_private_key(ec.SECP384R1()) for _ in range(2))
ADMITTED = public_key_to_bytes(OWNER.public_key())
NODE = 7
QUICK = PortLimits(patience=0.2, slowest=1 << 40)


def admitted(key: bytes) -> int | None:
    """Which SuperNode's key it is: there is one."""
    return NODE if key == ADMITTED else None


def signed(key: Any = OWNER, *, ago: float = 0.0, **changed: str) -> dict[str, str]:
    """The headers by which Flower's SuperNode says who it is."""
    at = (now() - datetime.timedelta(seconds=ago)).isoformat()
    return {
        FLEET_HTTP_PUBLIC_KEY_HEADER: b64encode(public_key_to_bytes(key.public_key())).decode(),
        FLEET_HTTP_SIGNATURE_HEADER: b64encode(sign_message(key, at.encode())).decode(),
        TIMESTAMP_HEADER: at,
    } | changed


@dataclass
class Said:
    """What came of a request: the answer, how often the body was read, what the app received."""

    status: int = 0
    text: str = ""
    closes: bool = False
    read: int = 0
    received: list[bytes] = field(default_factory=list)


def asked(
    path: str,
    headers: dict[str, str] | None = None,
    body: tuple[bytes, ...] = (b"",),
    *,
    method: str = "POST",
    length: int | str | None = None,
    limits: PortLimits = QUICK,
    silent: bool = False,
) -> Said:
    """Ask the filter, before an app that reads the whole body and then answers 200."""
    said = Said()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ConnectionError("the client has gone")
            said.received.append(message["body"])
            if not message["more_body"]:
                break
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"done"})

    async def receive() -> Any:
        if silent and said.read == len(body):
            await asyncio.sleep(5)
        said.read += 1
        more = silent or said.read < len(body)
        return {"type": "http.request", "body": body[said.read - 1], "more_body": more}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            said.status = message["status"]
            said.closes = (b"connection", b"close") in message["headers"]
        else:
            said.text += message["body"].decode()

    output = length if length is not None else sum(map(len, body))
    all_headers = {"content-length": str(output), **(signed() if headers is None else headers)}
    scope = {
        "type": "http", "method": method, "path": path, "state": {},
        "headers": [(k.lower().encode(), v.encode()) for k, v in all_headers.items() if v],
    }  # fmt: skip
    asyncio.run(Front(app, admitted, limits)(scope, receive, send))
    return said


def refused(said: Said, status: int, text: str = "") -> bool:
    """Whether it was refused with none of its body read."""
    assert (said.status, said.read, said.received, said.closes) == (status, 0, [], True)
    assert text in said.text
    return True


def test_a_supernodes_request_and_health_go_through_whole() -> None:
    said = asked(PIECES, body=(b"one", b"two"))
    assert (said.status, said.received) == (200, [b"one", b"two"])
    for path in FLEET:
        assert asked(path, body=(b"x",)).status == (403 if path == REPLIES else 200)
    for method in ("GET", "HEAD"):
        assert asked(HEALTH, {"content-length": ""}, method=method).status == 200


def test_the_fleet_is_all_of_the_fleet_routes_that_flower_has() -> None:
    assert len(FLEET) >= 12
    assert {path for path in routes() if path.startswith("/v1/fleet/")} == FLEET


def routes() -> dict[str, set[str]]:
    """Every path of Flower's own app, with its methods."""
    from fastapi.routing import iter_route_contexts
    from flwr.superlink.main import create_app

    found: dict[str, set[str]] = {}
    for each in iter_route_contexts(create_app().routes):
        path = str(getattr(each, "path", None) or getattr(each.route, "path", ""))
        methods = getattr(each.route, "methods", None) or {"GET"}
        found.setdefault(path, set()).update(methods)
    return found


def test_every_other_path_that_flower_serves_is_not_there() -> None:
    others = {path: methods for path, methods in routes().items() if path not in FLEET | {HEALTH}}
    for kind in ("/v1/control/", "/v1/runtime/"):
        assert sum(path.startswith(kind) for path in others) >= 20
    assert {"/docs", "/openapi.json"} <= set(others)
    for path, methods in others.items():
        for method in methods | {"POST", "GET", "PUT"}:
            # Nor for an admitted owner, who is not the trainer.
            assert refused(asked(path, method=method, body=(b"x",)), 404)


@settings(deadline=None)
@given(st.text(max_size=40), st.sampled_from(["POST", "GET", "PUT", "OPTIONS", "CONNECT"]))
def test_no_path_but_those_named_goes_through(text: str, method: str) -> None:
    for path in (text, f"/v1/fleet/{text}", f"/v1/fleet/../control/{text}", f"//health{text}"):
        if path not in FLEET | {HEALTH}:
            assert refused(asked(path, method=method), 404)
    if method != "POST":
        assert refused(asked(PIECES, method=method), 404)


# Signed when they are sent: a time of a minute hence is a good one a minute later.
FORGERIES: dict[str, Callable[[], dict[str, str]]] = {
    "nothing": dict,
    "a stranger's": lambda: signed(STRANGER),
    "another signature": lambda: signed(
        **{FLEET_HTTP_SIGNATURE_HEADER: b64encode(b"0" * 100).decode()}
    ),
    "no signature": lambda: signed(**{FLEET_HTTP_SIGNATURE_HEADER: "?"}),
    "a long key": lambda: signed(**{FLEET_HTTP_PUBLIC_KEY_HEADER: b64encode(b"x" * 2000).decode()}),
    "another time": lambda: signed(**{TIMESTAMP_HEADER: now().isoformat()}),
    "a word": lambda: signed(**{TIMESTAMP_HEADER: "yesterday"}),
    "a day": lambda: signed(**{TIMESTAMP_HEADER: "2026-01-01"}),
    "long ago": lambda: signed(ago=400),
    "not yet": lambda: signed(ago=-60),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_whoever_is_not_admitted_is_refused_by_the_headers(forgery: str) -> None:
    assert refused(asked(PIECES, FORGERIES[forgery](), body=(b"x" * 100,)), 401)


def test_a_supernode_that_is_not_registered_hears_why_as_flower_says_it() -> None:
    said = asked(ENTRY, signed(STRANGER))
    assert refused(said, 412)
    assert json.loads(said.text)["detail"] == "this SuperNode's key is not registered"


def test_a_key_of_another_kind_is_no_supernodes() -> None:
    other = rsa.generate_private_key(65537, 2048).public_key()
    headers = signed(
        **{FLEET_HTTP_PUBLIC_KEY_HEADER: b64encode(public_key_to_bytes(other)).decode()}  # type: ignore[arg-type]
    )
    assert refused(asked(PIECES, headers), 401)


@pytest.mark.parametrize(
    ("path", "length"),
    [(PIECES, QUICK.piece + 1), (ENTRY, QUICK.body + 1), (PIECES, 600 << 20), (PIECES, "9" * 5000),
     (PIECES, "-1"), (PIECES, "1e3"), (HEALTH, 1)],
)  # fmt: skip
def test_a_body_is_bounded_by_what_it_says_before_it_is_read(path: str, length: int | str) -> None:
    method = "GET" if path == HEALTH else "POST"
    assert refused(asked(path, length=length, method=method), 413)


@pytest.mark.parametrize("extra", [{"transfer-encoding": "chunked"}, {"content-length": ""}])
def test_a_body_without_a_length_is_not_read(extra: dict[str, str]) -> None:
    assert refused(asked(PIECES, signed() | extra), 411)


def test_a_body_of_another_length_than_it_said_does_not_reach_the_app_whole() -> None:
    longer = asked(PIECES, body=(b"x" * 10, b"x" * 10), length=15)
    assert (longer.status, longer.received) == (408, [b"x" * 10])
    shorter = asked(PIECES, body=(b"x" * 10,), length=15)
    assert (shorter.status, shorter.received) == (408, [])


def test_a_body_that_comes_too_slowly_ends() -> None:
    said = asked(PIECES, body=(b"x",), length=15, silent=True)
    assert (said.status, said.closes, said.received) == (408, True, [b"x"])


def test_a_supernode_makes_only_so_many_requests_at_once() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await done.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    statuses: list[int] = []

    async def send(message: Any) -> None:
        if "status" in message:
            statuses.append(message["status"])

    async def all_of_them() -> None:
        global done
        done = asyncio.Event()
        front = Front(app, admitted, PortLimits(at_once=2))
        headers = {"content-length": "0", **signed()}
        scope = {"type": "http", "method": "POST", "path": PIECES, "state": {}}
        raw = [(k.lower().encode(), v.encode()) for k, v in headers.items()]
        tasks = [
            asyncio.create_task(front({**scope, "headers": raw}, asyncio.Event().wait, send))
            for _ in range(5)
        ]
        async with asyncio.timeout(30):
            while len(statuses) < 3:
                await asyncio.sleep(0.01)
        assert statuses == [503] * 3
        done.set()
        await asyncio.gather(*tasks)
        assert sorted(statuses) == [200, 200, 503, 503, 503]
        await front({**scope, "headers": raw}, asyncio.Event().wait, send)
        assert statuses[-1] == 200

    asyncio.run(all_of_them())


def test_refusals_are_counted_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    refusals = Refusals()
    refusals.say()
    for _ in range(1000):
        refusals.add("404")
    refusals.add("413")
    refusals.say()
    refusals.say()
    assert [record.message for record in caplog.records] == [
        "the public port refused requests: 404 1000 times, 413 1 times"
    ]


# At a real socket.


@pytest.fixture(scope="module")
def certs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certs")
    make_authority(folder, "lab")
    certify(folder, ["127.0.0.1"])
    return folder


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Stands for Flower's app."""
    while (await receive()).get("more_body"):
        pass
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]}
    )
    await send({"type": "http.response.body", "body": b""})


class Client:
    """A connection to the port, from a thread of its own."""

    def __init__(self, port: int, certs: Path, *, tls: bool = True) -> None:
        plain = socket.create_connection(("127.0.0.1", port), timeout=20)
        self.socket = plain
        if tls:
            context = ssl.create_default_context(cafile=str(certs / CA_CERTIFICATE))
            self.socket = context.wrap_socket(plain, server_hostname="127.0.0.1")

    def ask(self, path: str = HEALTH, method: str = "GET", **headers: str) -> int:
        lines = [f"{method} {path} HTTP/1.1", "host: lab"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        found = re.match(rb"HTTP/1.1 (\d+)", self.socket.recv(65536))
        return int(found[1]) if found else 0

    def ended(self) -> bool:
        """Whether the other side has closed; waits up to 20 seconds for it."""
        with suppress(ConnectionError, ssl.SSLError):
            while self.socket.recv(65536):
                pass
        return True


@contextmanager
def opened(certs: Path, doors: Doors) -> Iterator[Callable[..., Any]]:
    """The port, in an event loop that each call of what is given enters for as long as it takes."""
    port = PublicPort.at("127.0.0.1", 0, str(certs / "server.crt"), str(certs / "server.key"))
    number = port.place.getsockname()[1]
    clients: list[Client] = []

    def entered(visit: Callable[[Callable[..., Client]], Any]) -> Any:
        def client(**more: Any) -> Client:
            clients.append(Client(number, certs, **more))
            return clients[-1]

        async def run() -> Any:
            gate = Gate(port.place, port.tls, Front(echo, admitted), doors)
            serving = asyncio.create_task(gate.serve())
            try:
                return await asyncio.to_thread(visit, client)
            finally:
                serving.cancel()
                await gate.close()

        return asyncio.run(run())

    try:
        yield entered
    finally:
        for each in clients:
            each.socket.close()


def test_at_the_port_a_stranger_gets_health_and_nothing_else(certs: Path) -> None:
    def visit(client: Callable[..., Client]) -> None:
        kept = client()
        assert [kept.ask() for _ in range(3)] == [200] * 3
        assert client().ask("/v1/control/start-run", "POST") == 404
        assert client().ask("https://127.0.0.1/v1/control/list-runs", "POST") == 404
        assert client().ask("/v1/fleet/%2e%2e/control/list-runs", "POST") == 404
        huge = client()
        assert huge.ask(PIECES, "POST", content_length=str(600 << 20)) == 413
        assert huge.ended()
        assert client().ask(PIECES, "POST", transfer_encoding="chunked") == 411
        assert client().ask(PIECES, "POST", content_length="5") == 401
        assert client().ask(PIECES, "POST", content_length="0", **signed()) == 200

    with opened(certs, Doors()) as entered:
        entered(visit)


SPELLINGS: dict[str, list[int]] = {
    "POST //v1/control/list-runs HTTP/1.1": [404],
    "POST /v1/control/list-runs/ HTTP/1.1": [404],
    "POST /V1/CONTROL/LIST-RUNS HTTP/1.1": [404],
    "POST /v1%2fcontrol%2flist-runs HTTP/1.1": [404],
    "POST /v1/fleet/push-object;/../../control/list-runs HTTP/1.1": [404],
    "POST /v1/fleet/push-object%00 HTTP/1.1": [404],
    "POST /health/../v1/control/list-runs HTTP/1.1": [404],
    "POST /v1/control/list-runs?/health HTTP/1.1": [404],
    "POST /v1/control/list-runs#/health HTTP/1.1": [404],
    "POST http://lab/v1/control/list-runs HTTP/1.0": [404],
    "CONNECT lab:9092 HTTP/1.1": [404],
    "OPTIONS * HTTP/1.1": [404],
    "TRACE /health HTTP/1.1": [404],
    "GET /v1/control/stream-logs HTTP/1.1\r\nupgrade: websocket\r\nconnection: upgrade": [404],
    "GET /health HTTP/1.1\r\nupgrade: h2c\r\nconnection: upgrade": [200],
    "GET /health HTTP/1.0": [200],
    "PRI * HTTP/2.0": [404],
    "POST /v1/fleet/push-object HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 9": [401],
    "POST /v1%2ffleet/push-object HTTP/1.1\r\ncontent-length: 9": [401],
    "POST /v1/fleet/push-object HTTP/1.1\r\ncontent-length: 9\r\ntransfer-encoding: chunked": [411],
    "POST /v1/fleet/push-object HTTP/1.1\r\ntransfer-encoding: identity": [400],
    "POST /v1/fleet/push-object HTTP/1.1\r\ncontent-length: 9\r\ncontent-length: 8": [400],
    "POST /v1/fleet/push-object HTTP/1.1\r\ncontent-length: +9": [400],
    "POST /v1/fleet/push-object HTTP/1.1\r\ncontent-length : 9": [400],
    # What is inside another request's body, or behind one that is refused, is nobody's request.
    "GET /health HTTP/1.1\r\nhost: lab\r\ncontent-length: 500\r\n\r\nGET /health HTTP/1.1": [413],
    "GET /health HTTP/1.1\r\nhost: lab\r\n\r\nPOST /v1/control/list-runs HTTP/1.1\r\n"
    "host: lab\r\n\r\nGET /health HTTP/1.1": [200, 404],
}


@pytest.fixture(scope="module")
def answers(certs: Path) -> dict[str, list[int]]:
    """The statuses that each of these gets at the port."""

    def visit(client: Callable[..., Client]) -> dict[str, list[int]]:
        found = {}
        for text in SPELLINGS:
            asker = client()
            asker.socket.sendall(f"{text}\r\nhost: lab\r\n\r\n".encode())
            said = b""
            with suppress(OSError):
                while more := asker.socket.recv(65536):
                    said += more
            found[text] = [int(each) for each in re.findall(rb"^HTTP/1.1 (\d+)", said, re.M)]
        return found

    with opened(certs, Doors(silence=2.0)) as entered:
        answered: dict[str, list[int]] = entered(visit)
    return answered


@pytest.mark.parametrize("text", SPELLINGS)
def test_no_spelling_of_a_request_gets_further(text: str, answers: dict[str, list[int]]) -> None:
    assert answers[text] == SPELLINGS[text]


def test_silence_and_endless_headers_end(certs: Path) -> None:
    def visit(client: Callable[..., Client]) -> None:
        before, silent, after = client(tls=False), client(), client()
        assert after.ask() == 200
        assert before.ended()
        assert silent.ended()
        assert after.ended()
        endless = client()
        with suppress(OSError):
            endless.socket.sendall(b"GET /health HTTP/1.1\r\n")
            while True:
                endless.socket.sendall(b"x: " + b"y" * 1000 + b"\r\n")

    with opened(certs, Doors(handshake=0.5, silence=0.5)) as entered:
        entered(visit)


class EarlyTransport:
    """A TLS transport that was closed twice, as in Python 3.11.2."""

    _ssl_protocol: Any = None

    def abort(self) -> None:
        self._ssl_protocol._abort()


def test_a_connection_that_has_ended_twice_ends_without_a_word() -> None:
    async def run() -> None:
        gate = Gate(socket.socket(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), echo)
        visit = Visit(gate._config, gate._state, 15.0)
        visit.transport = EarlyTransport()  # type: ignore[assignment]
        visit.end()
        gate._place.close()

    asyncio.run(run())


def test_an_idle_connection_ends_by_its_silence_and_no_sooner() -> None:
    gates = [
        Gate(socket.socket(), ssl.create_default_context(), echo, Doors(silence=silence))
        for silence in (0.5, 15.0, 600.0)
    ]
    for gate, silence in zip(gates, (0.5, 15.0, 600.0), strict=True):
        # uvicorn has a limit of its own, of five seconds.
        assert gate._config.timeout_keep_alive > silence
        gate._place.close()


@pytest.mark.parametrize("tls", [True, False], ids=["after-the-handshake", "before-it"])
def test_many_strangers_shut_no_owner_out(certs: Path, tls: bool) -> None:
    def visit(client: Callable[..., Client]) -> None:
        owner = client()
        assert owner.ask(PIECES, "POST", content_length="0", **signed()) == 200
        strangers = [client(tls=tls) for _ in range(40)]
        assert owner.ask(PIECES, "POST", content_length="0", **signed()) == 200
        late = client()
        assert late.ask(PIECES, "POST", content_length="0", **signed()) == 200
        # Of 40 the first 35 at least have made room, long before their time was over.
        assert all(each.ended() for each in strangers[:35])

    with opened(certs, Doors(strangers=4, handshake=600, silence=600)) as entered:
        entered(visit)


# The sockets and what lies beside them.


def test_the_private_socket_is_its_users_alone_and_of_one_superlink(tmp_path: Path) -> None:
    place = tmp_path / "link" / "api.sock"
    place.parent.mkdir(mode=0o777)
    place.touch()  # as a SuperLink that was killed leaves it
    with private_socket(place):
        assert (place.stat().st_mode & 0o777, place.parent.stat().st_mode & 0o777) == (0o600, 0o700)
        with (
            pytest.raises(InputError, match=r"serves .* already; end that first"),
            private_socket(place),
        ):
            pass
        assert place.exists()
    assert not place.exists()
    with private_socket(place):
        pass
    with (
        pytest.raises(InputError, match=r"has .* bytes, that of a socket at most 107"),
        private_socket(tmp_path / ("x" * 100) / "api.sock"),
    ):
        pass


def test_what_lies_there_from_before_becomes_private(tmp_path: Path) -> None:
    import os

    before = os.umask(0o022)
    try:
        (tmp_path / "old").mkdir()
        (tmp_path / "old" / "state.db").write_text("")
        keep_private(tmp_path / "old")
        (tmp_path / "old" / "new").write_text("")
    finally:
        os.umask(before)
    assert (tmp_path / "old").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "old").iterdir()} == {0o600}


def test_a_port_listens_at_the_address_that_was_asked_for_and_no_other(certs: Path) -> None:
    keys = str(certs / "server.crt"), str(certs / "server.key")
    port = PublicPort.at("127.0.0.1", 0, *keys)
    number = port.place.getsockname()[1]
    assert port.place.getsockname()[0] == "127.0.0.1"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", number), timeout=5)
    with pytest.raises(InputError, match=r"cannot listen at 127.0.0.1:\d+: Address already in use"):
        PublicPort.at("127.0.0.1", number, *keys)
    port.place.close()
    with pytest.raises(InputError, match=r"cannot listen at 203\.0\.113\.7:9092"):
        PublicPort.at("203.0.113.7", 9092, *keys)
    with pytest.raises(InputError, match="cannot be read"):
        PublicPort.at("127.0.0.1", 0, str(certs / "none"), keys[1])
