"""Two Unix users: the SuperNode's, which runs what a trainer ships, reads nothing of the vault's."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

Hospital = Any

# What a hostile ClientApp may try, as the SuperNode's user.
HOSTILE = """
import json, os, signal, sys
from pathlib import Path
from clients.serving.socket_protocol import INTRODUCE, SELECT, ask

def tried(act):
    try:
        return repr(act())
    except OSError as error:
        return type(error).__name__

places, pids, at = json.loads(sys.argv[1])
found = {place: tried(lambda: open(place, "rb").read(10)) for place in places}
found |= {f"write {place}": tried(lambda: open(place, "ab").write(b"x")) for place in places}
found |= {f"list {place}": tried(lambda: os.listdir(Path(place).parent)) for place in places}
for pid in pids:
    found[f"memory of {pid}"] = tried(lambda: open(f"/proc/{pid}/mem", "rb").read(1))
    found[f"environment of {pid}"] = tried(lambda: open(f"/proc/{pid}/environ", "rb").read(1))
    found[f"end {pid}"] = tried(lambda: os.kill(pid, signal.SIGTERM))
found["remove the socket"] = tried(lambda: os.unlink(at))
found["introduce"] = tried(lambda: ask(Path(at), INTRODUCE, timeout=60))
found["ask"] = tried(lambda: ask(Path(at), SELECT, sys.stdin.buffer.read(), 60)[0])
print(json.dumps(found))
"""


@dataclass(frozen=True)
class Users:
    """Two users and the group that the second one reaches the socket by."""

    vault: str
    node: str
    group: str
    python: str = sys.executable

    def popen(self, user: str, *groups: str) -> dict[str, Any]:
        """What makes a process that user's, in these groups and no other."""
        return {"user": user, "group": user, "extra_groups": list(groups)}


def python_for(users: Users) -> str:
    """A Python of this version that the two users can run; the environment's may lie in root's home."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for python in (sys.executable, f"/usr/bin/{version}", f"/usr/local/bin/{version}"):
        with suppress(OSError):
            tried = subprocess.run(
                [python, "-c", "import torch, nacl, mycroft_fl"], env=environment(), cwd="/",
                **users.popen(users.vault), check=False,
            )  # fmt: skip
            if tried.returncode == 0:
                return python
    pytest.skip(f"other users cannot run {version} with this environment's packages")


def environment() -> dict[str, str]:
    path = os.pathsep.join([str(Path(__file__).parents[3]), sysconfig.get_paths()["purelib"]])
    return {**os.environ, "PYTHONPATH": path, "HOME": "/nonexistent"}


@pytest.fixture(scope="module")
def users() -> Iterator[Users]:
    if os.geteuid() != 0:
        pytest.skip("needs root, to make two users")
    if not (shutil.which("useradd") and shutil.which("groupadd")):
        pytest.skip("needs useradd and groupadd")
    names = Users(*(f"myc-{kind}-{os.getpid() % 100000}" for kind in ("vault", "node", "ask")))
    made: list[list[str]] = []

    def system(command: list[str], undo: list[str]) -> None:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"{command[0]} does not work here: {done.stderr.strip()}")
        made.append(undo)

    try:
        system(["groupadd", names.group], ["groupdel", names.group])
        for user in (names.vault, names.node):
            system(["useradd", "--no-create-home", "--user-group", user], ["userdel", user])
        yield replace(names, python=python_for(names))
    finally:
        for undo in reversed(made):
            subprocess.run(undo, capture_output=True, check=False)


@pytest.fixture(scope="module")
def guarded(
    users: Users, make_hospital: Callable[..., Hospital]
) -> Iterator[tuple[Hospital, subprocess.Popen[str]]]:
    # Not below pytest's folder, which is root's alone.
    base = Path(tempfile.mkdtemp(prefix="mycroft-users-"))
    try:
        base.chmod(0o755)
        at, home = base / "run" / "vault.sock", base / "vault-home"
        hospital = make_hospital(base=home, socket=str(at), group=users.group)
        home.chmod(0o700)
        (home / "patients.csv").chmod(0o644)  # The folder above it must be enough.
        at.parent.mkdir()
        shutil.chown(at.parent, users.vault, users.group)
        at.parent.chmod(0o750)
        for place in (home, *home.rglob("*")):
            shutil.chown(place, users.vault, users.vault)
        hospital.python = users.python
        with hospital.served(**users.popen(users.vault, users.group), cwd="/") as process:
            yield hospital, process
    finally:
        shutil.rmtree(base, ignore_errors=True)


def tried(guarded: tuple[Hospital, subprocess.Popen[str]], **popen: Any) -> dict[str, str]:
    """What that user gets of all it tries."""
    import psutil

    hospital, process = guarded
    places = [str(each) for each in (hospital.base / "patients.csv", *hospital.folder.iterdir())]
    pids = [process.pid, *(each.pid for each in psutil.Process(process.pid).children())]
    envelope = hospital.envelope(hospital.request(), hospital.terms())
    done = subprocess.run(
        [hospital.python, "-c", HOSTILE, json.dumps([places, pids, str(hospital.file.vault.socket)])],
        input=envelope, capture_output=True, timeout=120, check=True, cwd="/", **popen,
        env=environment(),
    )  # fmt: skip
    ran: dict[str, str] = json.loads(done.stdout)
    return ran


@pytest.mark.slow
def test_the_supernodes_user_reads_nothing_and_is_answered_by_the_protocol_alone(
    users: Users, guarded: tuple[Hospital, subprocess.Popen[str]]
) -> None:
    output = tried(guarded, **users.popen(users.node, users.group))
    assert (output.pop("introduce"), output.pop("ask")) == ("(1, b'hospital')", "1")
    assert len(output) > 30
    assert set(output.values()) == {"PermissionError"}, output
    assert any("patients.csv" in each for each in output)
    assert any("vault.key" in each for each in output)


@pytest.mark.slow
def test_a_user_outside_the_group_does_not_even_reach_the_socket(
    users: Users, guarded: tuple[Hospital, subprocess.Popen[str]]
) -> None:
    output = tried(guarded, **users.popen(users.node))
    assert set(output.values()) == {"PermissionError"}, output


@pytest.mark.slow
def test_a_group_that_the_vaults_user_is_not_in_is_said(
    users: Users, guarded: tuple[Hospital, subprocess.Popen[str]]
) -> None:
    hospital, process = guarded
    process.send_signal(signal.SIGTERM)
    process.wait(30)
    with (
        pytest.raises(
            AssertionError, match=f"vault.group is '{users.group}', of which the vault's"
        ),
        hospital.served(**users.popen(users.vault), cwd="/"),
    ):
        pass
