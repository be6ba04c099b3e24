"""Three Unix users: a trainer, an owner, and a stranger on the same machine who has ca.crt.

The stranger gets nothing from the SuperLink, neither at its port nor at its socket, while the
trainer's run goes on and ends with its outcome.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import socket
import ssl
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import psutil
import pytest

from clients.owner.setup import SUPERNODE_KEY
from mycroft_fl.report.run.files import OUTCOME
from simulations.engines.processes import MARKER, clear_up, stop_processes, watched
from simulations.federation.processes import Federation, free_port, laid_out
from simulations.setup.simulation import Simulation
from strategies.deployment.flower_commands import ENVIRONMENT, write_app
from strategies.link.front import ENTRY, FLEET, HEALTH, PIECES
from strategies.link.private import SOCKET

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent
DIGITS = (ROOT / "tests" / "scenarios" / "digits.toml").read_text()
SCENARIO = (
    DIGITS
    + """
[[owners]]
name = "a"
holds = { rotated = 60, upright = 40 }
[run]
budget = 12
num-rounds = 2
pilot-per-owner = 6
stop-early = false
fit.epochs = 6
fine-tune.steps = 20
scoring.repeats = 2
timeout = 300.0
[policy]
max-records = 40
"""
)
HUGE = 600 << 20
MOST = 100 << 20
"""Bytes by which the SuperLink's memory may have grown when strangers have sent what they like."""

FOREIGN = """
from pathlib import Path
from flwr.serverapp import ServerApp

app = ServerApp()

@app.main()
def main(grid, context):
    Path(str(context.run_config["proof"])).write_text("was here")
"""
# What a stranger tries: every path at every port, and the trainer's files and socket.
TRIES = """
import http.client, json, socket, ssl, sys
paths, ports, files, place, certificate = json.loads(sys.stdin.read())
found = {}
for file in files:
    try:
        found[file] = repr(open(file, "rb").read(1))
    except OSError as error:
        found[file] = type(error).__name__
try:
    socket.socket(socket.AF_UNIX).connect(place)
    found["connect"] = "connected"
except OSError as error:
    found["connect"] = type(error).__name__
context = ssl.create_default_context(cafile=certificate)
for port in ports:
    for method, path in paths:
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=60, context=context)
        try:
            connection.request(method, path, b"", {"content-type": "application/protobuf"})
            found[f"{port} {method} {path}"] = connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            found[f"{port} {method} {path}"] = type(error).__name__
        finally:
            connection.close()
print(json.dumps(found))
"""


@dataclass
class Machine:
    """A federation whose trainer and owner are users of their own; `name` says who somebody is."""

    made: Federation
    python: str
    names: dict[str, str]
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        return self.made.folder

    def environment(self, who: str) -> dict[str, str]:
        """What that user's processes find: our packages, Flower's commands, a home of its own."""
        packages = [str(ROOT), sysconfig.get_paths()["purelib"]]
        return {
            **ENVIRONMENT, MARKER: str(self.folder), "OMP_NUM_THREADS": "1",
            "PATH": os.pathsep.join([str(self.folder / "commands"), os.defpath]),
            "PYTHONPATH": os.pathsep.join(packages), "TMPDIR": str(self.folder / "home" / who),
            "HOME": str(self.folder / "home" / who), "FLWR_HOME": str(self.folder / "home" / who),
        }  # fmt: skip

    def popen(self, who: str) -> dict[str, Any]:
        user = self.names[who]
        return {
            "user": user, "group": user, "extra_groups": [], "env": self.environment(who),
            "cwd": self.folder / "empty", "text": True,
        }  # fmt: skip

    def ours(self, *words: object) -> list[str]:
        return [self.python, "-P", "-m", "mycroft_fl", *map(str, words)]

    def run(self, who: str, command: list[str], ran: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, input=ran, capture_output=True, timeout=600, check=False, **self.popen(who)
        )

    def start(self, who: str, name: str, command: list[str]) -> subprocess.Popen[str]:
        with (self.folder / "logs" / f"{name}.log").open("w") as output:
            self.processes.append(
                subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                    start_new_session=True, **self.popen(who),
                )
            )  # fmt: skip
        return self.processes[-1]

    def trainer(self, verb: str, *words: object) -> str:
        """What `mycroft-fl trainer VERB` says to the trainer's user."""
        command = self.ours("trainer", verb, self.made.trainer.path, *words)
        done = self.run("trainer", command)
        return done.stdout if done.returncode == 0 else f"failed: {done.stderr}"

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 600
        while not condition():
            logs = "".join(each.read_text() for each in (self.folder / "logs").iterdir())
            assert time.monotonic() < deadline, logs[-4000:]
            assert all(each.poll() is None for each in self.processes), logs[-4000:]
            time.sleep(1)


@pytest.fixture(scope="module")
def users() -> Iterator[dict[str, str]]:
    if os.geteuid() != 0 or not shutil.which("useradd"):
        pytest.skip("needs root and useradd, to make three users")
    names = {who: f"myc-{who}-{os.getpid() % 10000}" for who in ("trainer", "owner", "stranger")}
    try:
        for name in names.values():
            command = ["useradd", "--no-create-home", "--user-group", name]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                pytest.skip(f"useradd does not work here: {done.stderr.strip()}")
        yield names
    finally:
        for name in names.values():
            subprocess.run(["userdel", name], capture_output=True, check=False)


def python_for(user: str) -> str:
    """A Python of this version that this user can run with the environment's packages."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    path = os.pathsep.join([str(ROOT), sysconfig.get_paths()["purelib"]])
    for python in (sys.executable, f"/usr/bin/{version}", f"/usr/local/bin/{version}"):
        with suppress(OSError):
            command = [python, "-c", "import torch, nacl, flwr, mycroft_fl"]
            tried = subprocess.run(
                command, env={"PYTHONPATH": path, "HOME": "/nonexistent"}, cwd="/", user=user,
                group=user, extra_groups=[], check=False, capture_output=True,
            )  # fmt: skip
            if tried.returncode == 0:
                return python
    pytest.skip(f"other users cannot run {version} with this environment's packages")


def write_commands(folder: Path, python: str) -> None:
    """Flower's commands for users who cannot run those of this environment."""
    folder.mkdir()
    for each in distribution("flwr").entry_points.select(group="console_scripts"):
        code = f"import sys; from {each.module} import {each.attr}; sys.exit({each.attr}())"
        call = shlex.join([python, "-P", "-c", code])
        (folder / each.name).write_text(f'#!/bin/sh\nexec {call} "$@"\n')
        (folder / each.name).chmod(0o755)


@pytest.fixture(scope="module")
def machine(users: dict[str, str]) -> Iterator[Machine]:
    python = python_for(users["trainer"])
    folder = Path(tempfile.mkdtemp(prefix="mycroft-", dir="/tmp")).resolve()
    try:
        folder.chmod(0o755)
        (folder / "small.toml").write_text(SCENARIO)
        simulation = Simulation.load(
            str(folder / "small.toml"), {}, folder / "unused", engine="in-process"
        )
        made = Machine(laid_out(simulation, folder), python, users)
        write_commands(folder / "commands", python)
        for who in users:
            (folder / "home" / who).mkdir(parents=True, mode=0o700)
            shutil.chown(folder / "home" / who, users[who], users[who])
        shutil.copy(made.made.trainer.certs / "ca.crt", folder / "ca.crt")
        for place, who in (
            (made.made.trainer.path, "trainer"), (folder / "data" / "trainer", "trainer"),
            (folder / "owners", "owner"), (folder / "data" / "owners", "owner"),
        ):  # fmt: skip
            for each in (place, *place.rglob("*")):
                shutil.chown(each, users[who], users[who])
        with watched(folder, {**os.environ, MARKER: str(folder), "PYTHONPATH": str(ROOT)}):
            yield made
            stop_processes(folder)
        for each in made.processes:
            each.wait(30)
    finally:
        clear_up(folder)


@pytest.fixture(scope="module")
def link(machine: Machine) -> psutil.Process:
    """The trainer's SuperLink, with its one owner online."""
    made = machine.made
    process = machine.start("trainer", "link", machine.ours("trainer", "link", made.trainer.path))
    machine.until(lambda: not machine.trainer("owners").startswith("failed"))
    keys = machine.folder / "keys"
    keys.mkdir()
    for name in ("vault.pub", f"{SUPERNODE_KEY}.pub"):
        shutil.copy(made.owner("a") / name, keys)
        (keys / name).chmod(0o644)
    said = machine.trainer(
        "admit", "a", "--supernode", keys / f"{SUPERNODE_KEY}.pub", "--vault", keys / "vault.pub"
    )
    assert "a may take part" in said
    machine.start("owner", "vault", machine.ours("owner", "serve", made.owner("a")))
    supernode = {
        "superlink": f"127.0.0.1:{made.trainer.port}",
        "root-certificates": str(machine.folder / "ca.crt"),
        "auth-supernode-private-key": str(made.owner("a") / SUPERNODE_KEY),
        "port": str(free_port()),
        "node-config": f'vault="{made.owner("a") / "vault.sock"}"',
    }
    command = ["flower-supernode"]
    for key, value in supernode.items():
        command += [f"--{key}", value]
    command[0] = str(machine.folder / "commands" / command[0])
    machine.start("owner", "supernode", command)
    machine.until(lambda: "online" in machine.trainer("owners"))
    return psutil.Process(process.pid)


def paths() -> list[tuple[str, str]]:
    """Every path of Flower's own app, with each of its methods, so of a newer Flower's too."""
    from fastapi.routing import iter_route_contexts
    from flwr.superlink.main import create_app

    found = set()
    for each in iter_route_contexts(create_app().routes):
        path = str(getattr(each, "path", None) or getattr(each.route, "path", ""))
        found |= {(method, path) for method in getattr(each.route, "methods", None) or {"GET"}}
    assert sum(path.startswith(("/v1/control/", "/v1/runtime/")) for _, path in found) > 50
    return sorted(found)


def most_memory(link: psutil.Process) -> int:
    """The most memory that the process has had so far, in bytes."""
    status = Path(f"/proc/{link.pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) << 10


def pour(machine: Machine, path: str, *, chunked: bool) -> int:
    """Send up to 600 MB to a path without credentials; how many bytes the other side took."""
    context = ssl.create_default_context(cafile=str(machine.folder / "ca.crt"))
    length = "transfer-encoding: chunked" if chunked else f"content-length: {HUGE}"
    piece = b"x" * (1 << 20)
    sent = 0
    with (
        socket.create_connection(("127.0.0.1", machine.made.trainer.port), timeout=30) as plain,
        suppress(OSError),
        context.wrap_socket(plain, server_hostname="localhost") as secured,
    ):
        secured.sendall(f"POST {path} HTTP/1.1\r\nhost: lab\r\n{length}\r\n\r\n".encode())
        while sent < HUGE:
            secured.sendall(b"100000\r\n" + piece + b"\r\n" if chunked else piece)
            sent += len(piece)
    return sent


def test_a_stranger_can_do_nothing_while_the_trainers_run_goes_on(
    machine: Machine, link: psutil.Process
) -> None:
    trainer = machine.made.trainer
    out = trainer.runs / "run"
    command = ["trainer", "run", trainer.path, machine.made.task, "--out", out]
    run = machine.start("trainer", "run", machine.ours(*command))
    before = most_memory(link)

    # No port of the trainer's is open but the public one, and that where it was asked for.
    tree = [link, *link.children(recursive=True)]
    open_ports = [
        each.laddr for process in tree for each in process.net_connections("tcp")
        if each.status == psutil.CONN_LISTEN
    ]  # fmt: skip
    assert [(each.ip, each.port) for each in open_ports] == [("127.0.0.1", trainer.port)]

    files = [str(each) for each in trainer.path.rglob("*")]
    assert str(trainer.door) in files
    assert str(trainer.superlink / "state.db") in files
    output = json.dumps(
        [paths(), [trainer.port], files, str(trainer.door), str(machine.folder / "ca.crt")]
    )
    done = machine.run("stranger", [machine.python, "-c", TRIES], output)
    assert done.returncode == 0, done.stderr
    tried = json.loads(done.stdout)
    for method, path in paths():
        wanted = 404
        if (path == HEALTH and method in ("GET", "HEAD")) or path in FLEET:
            wanted = {HEALTH: 200, ENTRY: 412}.get(path, 401)
        assert tried.pop(f"{trainer.port} {method} {path}") == wanted, (method, path)
    assert set(tried.values()) == {"PermissionError"}, tried

    proof = machine.folder / "home" / "trainer" / "proof"
    foreign = machine.folder / "foreign"
    write_app(foreign, {"proof": str(proof)}, ("none", "none"))
    (foreign / "mycroft_fl_serverapp.py").write_text(FOREIGN)
    (foreign / "mycroft_fl_clientapp.py").write_text(FOREIGN.replace("server", "client"))
    home = machine.folder / "home" / "stranger"
    (home / "config.toml").write_text(
        f'[superlink]\ndefault = "lab"\n[superlink.lab]\naddress = "127.0.0.1:{trainer.port}"\n'
        f'root-certificates = "{machine.folder / "ca.crt"}"\n'
    )
    flwr = str(machine.folder / "commands" / "flwr")
    private = [machine.python, "-P", "-m", "strategies.link.private", "flwr"]
    by_socket = ["env", f"{SOCKET}={trainer.door}", *private]
    for begin in ([flwr], by_socket):
        for words in (
            ["run", str(foreign), "lab"], ["list", "lab"], ["stop", "1", "lab"],
            ["supernode", "list", "lab"],
            ["supernode", "register", str(machine.folder / "keys" / f"{SUPERNODE_KEY}.pub"), "lab"],
        ):  # fmt: skip
            done = machine.run("stranger", [*begin, *words])
            assert done.returncode != 0, done.stdout
            assert "uccessfully started run" not in done.stdout
    for path in ("/v1/control/start-run", PIECES, ENTRY, HEALTH):
        for chunked in (False, True):
            # What fits into the buffers of two sockets is taken, by the kernel.
            assert pour(machine, path, chunked=chunked) < 64 << 20
    assert most_memory(link) - before < MOST

    assert run.wait(900) == 0, (machine.folder / "logs" / "run.log").read_text()
    outcome = json.loads((out / OUTCOME).read_text())
    assert [each["status"] for each in outcome["owners"]] == ["scored"]
    assert not proof.exists()
    listed = machine.trainer("owners")
    assert listed.count("online") == 1
    modes = {each.stat().st_mode & 0o077 for each in trainer.superlink.rglob("*")}
    assert modes == {0}
