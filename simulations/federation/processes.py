"""A federation of real processes on this machine: a SuperLink, and for each owner a vault and a SuperNode.

    mycroft-fl trainer link        TLS, SuperNodes by their keys
    for each owner
    ├── mycroft-fl owner serve     the vault, on a Unix socket
    └── flower-supernode           starts the ClientApp, which asks the vault

`mycroft-fl federation SCENARIO` tries it. All of it lies in one folder under /tmp, and is taken
down by pid, folder and all, whatever happens.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from socket import socket
from typing import Any

import psutil

from clients.owner.setup import SUPERNODE_KEY, NewOwner, set_up
from mycroft_fl.errors import EngineFailed, MycroftError
from mycroft_fl.tasks.description import write_task
from mycroft_fl.tasks.file import load_task
from simulations.engines.processes import MARKER, answering, clear_up, ended_by, start, watched
from simulations.setup.export import TASK, export
from simulations.setup.simulation import Simulation
from strategies.deployment.certificates import CA_CERTIFICATE
from strategies.deployment.flower_commands import flower_environment
from strategies.deployment.superlink import admit, presence
from strategies.deployment.trainer_folder import PUBLIC, TrainerFolder, make_trainer

DEADLINE = 180.0  # seconds for a process to be up; on an idle machine it takes 5
TRAINER = "lab"
MYCROFT = (sys.executable, "-m", "mycroft_fl")


@dataclass
class Federation:
    """The processes of a federation by name, and where each keeps what it has."""

    folder: Path
    trainer: TrainerFolder
    owners: tuple[str, ...]
    processes: dict[str, Any] = field(default_factory=dict)

    @property
    def task(self) -> Path:
        """The trainer's task file."""
        return self.folder / "data" / "trainer" / TASK

    def owner(self, name: str) -> Path:
        """Return the folder of an owner's vault."""
        return self.folder / "owners" / name

    def log(self, process: str) -> str:
        """Return all that a process has printed."""
        path = self.folder / "logs" / f"{process}.log"
        return path.read_text(errors="replace") if path.is_file() else ""

    def environment(self, process: str) -> dict[str, str]:
        """Return this process's environment, with Flower's own folder for that one."""
        home = self.folder / "flower" / process
        home.mkdir(parents=True, exist_ok=True)
        return {
            **flower_environment(home),
            **dict.fromkeys((MARKER, "TMPDIR"), str(self.folder)),
            "PYTHONPATH": os.pathsep.join(filter(None, [_sources(), os.environ.get("PYTHONPATH")])),
        }

    def launch(self, process: str, command: list[str]) -> None:
        """Start a process; its output goes to a log of its own."""
        log = self.folder / "logs" / f"{process}.log"
        with log.open("a") as output:
            self.processes[process] = start(command, self.environment(process), output)

    def kill(self, process: str) -> None:
        """Kill a process and what it has started, as a failing machine would."""
        found = self.processes.pop(process)
        tree = [*psutil.Process(found.pid).children(recursive=True), psutil.Process(found.pid)]
        for each in tree:
            each.kill()
        psutil.wait_procs(tree, timeout=10)
        found.wait()

    def start_link(self) -> None:
        """Start the SuperLink and wait until it answers."""
        self.launch("link", [*MYCROFT, "trainer", "link", str(self.trainer.path)])
        self.wait("link", lambda: _answers(self.trainer))

    def start_vaults(self, *owners: str) -> None:
        """Open owners' vaults, and wait until they are."""
        opened = {owner: self._times_opened(owner) for owner in owners}
        for owner in owners:
            command = [*MYCROFT, "owner", "serve", str(self.owner(owner))]
            self.launch(f"vault-{owner}", command)
        for owner in owners:
            self.wait(f"vault-{owner}", partial(self._opened_again, owner, opened[owner]))

    def start_supernode(self, owner: str, **changed: str) -> None:
        """Start an owner's SuperNode; `changed` takes the place of options by name."""
        options = {
            "superlink": f"{self.trainer.host}:{self.trainer.port}",
            "root-certificates": str(self.trainer.certs / CA_CERTIFICATE),
            "auth-supernode-private-key": str(self.owner(owner) / SUPERNODE_KEY),
            "port": str(free_port()),
            "node-config": f'vault="{self.owner(owner) / "vault.sock"}"',
        } | {key.replace("_", "-"): value for key, value in changed.items()}
        command = ["flower-supernode"]
        for key, value in options.items():
            command += [f"--{key}", value]
        self.launch(f"supernode-{owner}", command)

    def _times_opened(self, owner: str) -> int:
        return self.log(f"vault-{owner}").count(" is open at ")

    def _opened_again(self, owner: str, times: int) -> bool:
        return self._times_opened(owner) > times

    def wait_online(self, *owners: str) -> None:
        """Wait until the SuperLink hears these owners' SuperNodes."""

        def all_there() -> bool:
            there = {each.owner for each in presence(self.trainer) if each.status == "online"}
            return set(owners) <= there

        self.wait(f"supernode-{owners[0]}", all_there)

    def wait(self, process: str, condition: Callable[[], bool]) -> None:
        """Wait for a condition that a process is to bring about. `EngineFailed` where it does not."""
        deadline = time.monotonic() + DEADLINE
        while not condition():
            ended = self.processes[process].poll() is not None
            if ended or time.monotonic() > deadline:
                last = "\n".join(self.log(process).splitlines()[-3:])
                how = "ended" if ended else f"is not up after {DEADLINE:g} s"
                raise EngineFailed(f"{process} {how}: {last}")
            time.sleep(0.5)


@contextmanager
def federation(simulation: Simulation, *, started: bool = True) -> Iterator[Federation]:
    """Bring a scenario's federation up inside `with`; nothing of it is left afterwards.

    With `started` false only its folders and keys are there.
    """
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="mycroft-", dir="/tmp")).resolve()
        processes: dict[str, Any] = {}
        stack.callback(_cleared, folder, processes)
        # Not before: while it is cleared up, signals are ignored.
        stack.enter_context(ended_by(signal.SIGTERM, signal.SIGHUP))
        made = laid_out(simulation, folder)
        made.processes = processes
        stack.enter_context(watched(folder, made.environment("watch")))
        if started:
            bring_up(made)
        yield made


def laid_out(simulation: Simulation, folder: Path) -> Federation:
    """Make everybody's folders, files and keys, as the commands of docs/deployment.md do."""
    for each in ("empty", "logs"):
        (folder / each).mkdir()
    export(simulation, folder / "data")
    trainer = make_trainer(
        folder / "trainer", TRAINER, "127.0.0.1", port=free_port(), listen="127.0.0.1"
    )
    names = tuple(owner.name for owner in simulation.scenario.owners)
    made = Federation(folder, trainer, names)
    write_task(load_task(made.task).task, trainer.path / "task.json")
    for name in names:
        data = folder / "data" / "owners" / name
        policy = tomllib.loads((data / "policy.toml").read_text(encoding="utf-8"))
        set_up(
            made.owner(name),
            NewOwner(
                name, {"path": str(data / "data.npz")}, trainer.path / "task.json",
                {TRAINER: trainer.path / PUBLIC}, policy,
            ),
        )  # fmt: skip
    return made


def bring_up(made: Federation) -> None:
    """Start all processes: the SuperLink first, since owners are admitted by it."""
    made.start_link()
    for name in made.owners:
        admit(
            made.trainer,
            name,
            made.owner(name) / f"{SUPERNODE_KEY}.pub",
            made.owner(name) / "vault.pub",
        )
        made.start_supernode(name)
    made.start_vaults(*made.owners)
    made.wait_online(*made.owners)


def free_port() -> int:
    """Find a port of this machine that nobody listens at."""
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _answers(trainer: TrainerFolder) -> bool:
    try:
        presence(trainer)
    except MycroftError:
        return False
    return True


def _sources() -> str:
    """Return where other processes find the same packages as this one."""
    return str(Path(__file__).resolve().parents[2])


def _cleared(folder: Path, processes: Mapping[str, Any]) -> None:
    with answering(signal.SIG_IGN, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        clear_up(folder)
        for each in processes.values():
            each.poll()  # they have ended; Python warns of one that nobody has asked
        shutil.rmtree(folder, ignore_errors=True)
