"""A stranger on the network: the SuperLink's address, its ca.crt, and nothing else."""

from __future__ import annotations

import http.client
import importlib
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import tomli_w

from benchmarks.hostile.findings import Finding, megabytes
from benchmarks.hostile.measured import Watch, ended, tree
from benchmarks.hostile.stage import MYCROFT, Stage, environment

LARGE = 600 << 20
GROWS_AT_MOST = 96 << 20
SILENT_CONNECTIONS = 300
CLOSED = frozenset({403, 404, 405, 421})
"""What a port may say of a path that it does not pass on. Anything else was said by Flower itself."""
PRIVATE_ROUTERS = {
    "Control": ("flwr.superlink.routers.control.router", "router"),
    "Runtime": ("flwr.supercore.routers.runtime.router", "router"),
    "Runtime's responses": ("flwr.supercore.routers.runtime.responses", "router"),
}
FLEET = ("flwr.superlink.routers.fleet.router", "router")
OTHERS = ("/docs", "/openapi.json", "/docs/oauth2-redirect")


class Port:
    """The public port, spoken to by HTTPS."""

    def __init__(self, port: int, authority: Path) -> None:
        self.port = port
        self._context = ssl.create_default_context(cafile=str(authority))

    def connection(self) -> http.client.HTTPSConnection:
        """A new connection."""
        return http.client.HTTPSConnection(
            "localhost", self.port, timeout=20, context=self._context
        )

    def status(self, method: str, path: str, body: bytes = b"") -> int:
        """The status of an answer; 0 where the connection was closed instead."""
        connection = self.connection()
        try:
            head = {"Content-Type": "application/protobuf", "Accept": "application/protobuf"}
            connection.request(method, path, body, head)
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return 0
        finally:
            connection.close()


def public_port(stage: Stage) -> Iterator[Finding]:
    """Every path of the APIs that are not for owners, a foreign app, large bodies, idle connections."""
    lab = stage.folder / "lab"
    port = Port(stage.port, lab / "certs" / "ca.crt")
    with _served(stage, port) as link:
        yield from (_paths(port, name) for name in PRIVATE_ROUTERS)
        yield _other_paths(port)
        yield _foreign_app(stage)
        yield _register(stage)
        yield _large_body(port, link)
        yield _idle(port)
        alive = link.poll() is None and port.status("GET", "/health") == 200
        yield Finding("port", "the SuperLink is gone afterwards", 1, int(not alive), "")
        yield _elsewhere(stage, link)


@contextmanager
def _served(stage: Stage, port: Port) -> Iterator[subprocess.Popen[bytes]]:
    """The trainer's SuperLink, once /health answers."""
    log = stage.folder / "link.log"
    with log.open("wb") as out:
        link = subprocess.Popen(
            [*MYCROFT, "trainer", "link", str(stage.folder / "lab")], env=environment(),
            stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 120
        while port.status("GET", "/health") != 200:
            if link.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the SuperLink is not up: {log.read_text()[-2000:]}")
            time.sleep(0.3)
        yield link
    finally:
        for each in reversed(tree(link.pid)):
            with suppress(Exception):
                each.kill()
        link.wait()


def _routes(router: tuple[str, str]) -> list[tuple[str, str]]:
    """Methods and paths of one of Flower's routers, as it mounts them."""
    found: Any = getattr(importlib.import_module(router[0]), router[1])
    return [
        (method, route.path)
        for route in found.routes
        for method in sorted(route.methods or {"POST"})
    ]


def _paths(port: Port, name: str) -> Finding:
    """Every path of an API, called with an empty message: nothing of Flower may answer."""
    routes = _routes(PRIVATE_ROUTERS[name])
    statuses = [port.status(method, path) for method, path in routes]
    reached = [status for status in statuses if status not in CLOSED]
    figure = f"statuses {dict(sorted({s: statuses.count(s) for s in statuses}.items()))}"
    return Finding("port", f"paths of the {name} API", len(routes), len(reached), figure)


def _other_paths(port: Port) -> Finding:
    """Pages about the API, and ways to write a private path that a filter could overlook."""
    _, path = _routes(PRIVATE_ROUTERS["Control"])[1]
    tricks = [
        f"/{path}", f"{path}/", f"{path}?x", f"/v1/fleet/..{path}", path.replace("control", "%63ontrol"),
        path.upper(), path.replace("/", "//"), f"/v1/fleet/%2e%2e/{path.removeprefix('/v1/')}",
        f"https://localhost{path}",
    ]  # fmt: skip
    statuses = [port.status("GET", each) for each in OTHERS]
    statuses += [port.status("POST", each) for each in tricks]
    # A redirect to where nothing is lets nobody in.
    reached = [each for each in statuses if each not in CLOSED | {0, 307, 400}]
    return Finding("port", "other paths and spellings", len(statuses), len(reached), f"{statuses}")


def _strangers_home(stage: Stage, folder: Path) -> dict[str, str]:
    """Flower's commands for somebody who has the address and ca.crt."""
    address = {
        "address": f"localhost:{stage.port}",
        "root-certificates": str(stage.folder / "lab" / "certs" / "ca.crt"),
    }
    (folder / "config.toml").write_text(
        tomli_w.dumps({"superlink": {"default": "victim", "victim": address}})
    )
    return {**environment(), "FLWR_HOME": str(folder)}


def _foreign_app(stage: Stage) -> Finding:
    """`flwr run` of an app that writes down who it runs as, and whether it reads the trainer's key."""
    with tempfile.TemporaryDirectory(prefix="mycroft-") as name:
        folder, mark = Path(name), Path(name) / "mark"
        app = folder / "app"
        app.mkdir()
        key = stage.folder / "lab" / "trainer.key"
        (app / "foreign_app.py").write_text(
            "from pathlib import Path\nfrom flwr.serverapp import ServerApp\n"
            "from flwr.clientapp import ClientApp\n"
            f"Path({str(mark)!r}).write_bytes(Path({str(key)!r}).read_bytes()[:20])\n"
            "app = ServerApp()\nclient = ClientApp()\n\n"
            "@app.main()\ndef main(grid, context):\n    pass\n"
        )
        components = {"serverapp": "foreign_app:app", "clientapp": "foreign_app:client"}
        project = {"name": "foreign", "version": "1", "description": "", "license": ""}
        about = {"publisher": "stranger", "components": components, "config": {}}
        (app / "pyproject.toml").write_text(
            tomli_w.dumps({"project": project, "tool": {"flwr": {"app": about}}})
        )
        output = ended(["flwr", "run", str(app), "victim"], 60, env=_strangers_home(stage, folder))
        _wait(mark.exists, 30 if output.code == 0 else 1)
        read = mark.exists() and len(mark.read_bytes()) > 0
    started = "started run" in output.said.lower()
    figure = (
        f"run {'started' if started else 'refused'}, trainer.key {'read' if read else 'not read'}"
    )
    return Finding("port", "flwr run of a foreign app", 1, int(started or read), figure)


def _register(stage: Stage) -> Finding:
    """Flower's own commands that list runs and nodes and let a node in."""
    from clients.owner.setup import write_supernode_key

    with tempfile.TemporaryDirectory(prefix="mycroft-") as name:
        folder = Path(name)
        write_supernode_key(folder / "key", "stranger")
        environment = _strangers_home(stage, folder)
        commands = [
            ["flwr", "supernode", "register", str(folder / "key.pub"), "victim"],
            ["flwr", "supernode", "list", "victim"],
            ["flwr", "list", "victim"],
        ]
        output = [ended([*each, "--format", "json"], 60, env=environment) for each in commands]
    done = sum(each.code == 0 and '"success": true' in each.said for each in output)
    return Finding("port", "flwr supernode register, list; flwr list", len(output), done, "")


def _large_body(port: Port, link: subprocess.Popen[bytes]) -> Finding:
    """600 MB to a path that owners use, and to one that there is not, without any credentials."""
    _, path = _routes(FLEET)[0]
    sent = []
    with Watch(link.pid) as watch:
        for each, chunked in ((path, False), (path, True), ("/v1/fleet/nothing", True)):
            sent.append(_posted(port, each, chunked=chunked))
    got = int(watch.grown > GROWS_AT_MOST)
    figure = f"{megabytes(watch.grown)} held of {megabytes(3 * LARGE)}; taken {[megabytes(s) for s in sent]}"
    return Finding("port", "POST of 600 MB without credentials", len(sent), got, figure)


def _posted(port: Port, path: str, *, chunked: bool) -> int:
    """Bytes of a large body that were taken before the connection was closed."""
    connection, piece, sent = port.connection(), bytes(1 << 20), 0
    try:
        connection.putrequest("POST", path)
        connection.putheader("Content-Type", "application/protobuf")
        if chunked:
            connection.putheader("Transfer-Encoding", "chunked")
        else:
            connection.putheader("Content-Length", str(LARGE))
        connection.endheaders()
        while sent < LARGE:
            connection.send(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
            sent += len(piece)
        connection.getresponse()
    except (OSError, http.client.HTTPException):
        return sent
    finally:
        connection.close()
    return sent


def _idle(port: Port) -> Finding:
    """Connections that say half a request and wait, and an honest one beside them."""
    held = []
    try:
        for _ in range(SILENT_CONNECTIONS):
            with suppress(OSError):
                connection = port.connection()
                connection.connect()
                connection.sock.sendall(b"POST /v1/fleet/register-node HTTP/1.1\r\nHost: a\r\n")
                held.append(connection)
        answered = sum(port.status("GET", "/health") == 200 for _ in range(3))
    finally:
        for each in held:
            each.close()
    figure = f"{len(held)} held, {answered} of 3 answered"
    return Finding("port", "half requests shut out an owner", 3, 3 - answered, figure)


def _elsewhere(stage: Stage, link: subprocess.Popen[bytes]) -> Finding:
    """Other sockets of the SuperLink's processes: no wider than asked, none that any local user can use."""
    listening = {
        (each.laddr.ip, each.laddr.port)
        for process in tree(link.pid)
        for each in _connections(process)
        if each.status == "LISTEN"
    } - {("127.0.0.1", stage.port)}
    _, path = _routes(PRIVATE_ROUTERS["Control"])[1]
    open_ones = [
        (ip, port)
        for ip, port in listening
        if not ip.startswith(("127.", "::1")) or _speaks(stage, port, path)
    ]
    figure = f"also at {sorted(listening)}" if listening else "one socket, as asked"
    tried = max(1, len(listening))
    return Finding(
        "port", "sockets beside the one that was asked for", tried, len(open_ones), figure
    )


def _speaks(stage: Stage, port: int, path: str) -> bool:
    """Whether a local port answers a private path to somebody without a secret."""
    plain = http.client.HTTPConnection("localhost", port, timeout=5)
    try:
        plain.request("POST", path, b"", {"Content-Type": "application/protobuf"})
        said = plain.getresponse().status
    except (OSError, http.client.HTTPException):
        said = Port(port, stage.folder / "lab" / "certs" / "ca.crt").status("POST", path)
    finally:
        plain.close()
    return said not in CLOSED | {0, 401}


def _connections(process: Any) -> list[Any]:
    with suppress(Exception):
        return list(process.net_connections(kind="tcp"))
    return []


def _wait(condition: Any, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.2)
