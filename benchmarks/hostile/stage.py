"""Where the attacks take place: a trainer, its task, and data owners with vaults as real processes.

All of it is made by the public commands, in one folder that is gone afterwards.
"""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w

from clients.serving.socket_protocol import SELECT, ask
from mycroft_fl.cli.main import cli
from mycroft_fl.errors import BadMessage
from mycroft_fl.examples import Examples
from mycroft_fl.files import write_whole
from mycroft_fl.protocol.envelope import SignedTerms, sign_request
from mycroft_fl.protocol.keys import KeyPair
from mycroft_fl.protocol.messages import Request
from mycroft_fl.protocol.signed import as_bytes
from mycroft_fl.protocol.wire import pack_request
from mycroft_fl.tasks.file import TaskFile, load_task

MYCROFT = [sys.executable, "-m", "mycroft_fl"]
WARDS = ("east", "north", "west")
DATA = {"label": "outcome", "unit-id": "patient", "shareable": "consented"}
RECORDS = 400
NO_ANSWER = 0
"""The status of a request that got no answer at all."""
UP = 120.0  # seconds for a vault to open; on an idle machine it takes 5


def patients(n: int, seed: int) -> str:
    """A table of patients; the label follows from two of the numbers."""
    rng = np.random.default_rng(seed)
    rows = ["age,pressure,ward,patient,consented,outcome"]
    for place in range(n):
        age, pressure = rng.normal(50, 15), rng.normal(120, 20)
        outcome = "ill" if age + pressure + rng.normal(0, 5) > 170 else "well"
        rows.append(
            f"{age:.6f},{pressure:.6f},{WARDS[place % 3]},patient-{seed}-{place},yes,{outcome}"
        )
    return "\n".join(rows) + "\n"


def environment() -> dict[str, str]:
    """This process's environment, one thread for each process, and Flower's commands on the path."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    quiet = {"NO_COLOR": "1", "FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1"}
    return {**os.environ, "OMP_NUM_THREADS": "1", "PATH": path, **quiet}


def mycroft(*words: str | Path) -> str:
    """What a command of ours prints; its own error where it fails.

    In this process: what is attacked are servers, and a new process for each command that sets them
    up would take most of the time.
    """
    with redirect_stdout(io.StringIO()) as said, redirect_stderr(io.StringIO()):
        cli.main([str(each) for each in words], prog_name="mycroft-fl", standalone_mode=False)
    return said.getvalue()


@dataclass(frozen=True)
class Stage:
    """A folder with a trainer's folder `lab`, its task, and keys of others who ask.

    `size` is how large attacks are, as a share of what they are in `make attack`.
    """

    folder: Path
    port: int
    size: float
    rival: KeyPair
    stranger: KeyPair

    @classmethod
    def made(cls, folder: Path, port: int, size: float = 1.0) -> Stage:
        """Set up a trainer and a task of two classes in an empty folder."""
        folder.mkdir(exist_ok=True)
        for name, seed in (("train", 1), ("validation", 2)):
            (folder / f"{name}.csv").write_text(patients(120, seed))
        part = {"label": "outcome", "drop": ["patient", "consented"]}
        task = {
            "train": {"path": "train.csv", **part},
            "validation": {"path": "validation.csv", **part},
            "model": "mlp",
        }
        (folder / "task.toml").write_text(tomli_w.dumps(task))
        mycroft(
            "trainer", "init", folder / "lab", "--host", "localhost", "--port", str(port),
            "--listen", "127.0.0.1",
        )  # fmt: skip
        mycroft("trainer", "describe", folder / "lab", folder / "task.toml")
        made = cls(folder, port, size, KeyPair.generate(), KeyPair.generate())
        (folder / "rival.pub").write_text(made.rival.public.text("rival") + "\n")
        return made

    def number(self, whole: int) -> int:
        """How many times to try what `make attack` tries `whole` times; at least once."""
        return max(1, round(whole * self.size))

    @cached_property
    def task(self) -> TaskFile:
        """The trainer's task."""
        return load_task(self.folder / "task.toml")

    @cached_property
    def lab(self) -> KeyPair:
        """The trainer's own key."""
        return KeyPair.load(self.folder / "lab" / "trainer.key")

    @property
    def hard(self) -> Examples:
        """What the trainer's hard set could be."""
        return self.task.validation[np.arange(6)]

    def request(self, **changed: Any) -> Request:
        """A plain request for one example, which every vault here answers."""
        plain: dict[str, Any] = {
            "server_round": 1, "method": "features", "k": 1, "hard": self.hard, "num_classes": 2,
            "model": "mlp", "weights": None, "feature_space": "standardised", "owner_epochs": 1,
            "seed": 0,
        }  # fmt: skip
        return Request(**(plain | changed))

    def owner(
        self,
        name: str,
        *more: str,
        policy: Mapping[str, Any] | None = None,
        vault: Mapping[str, Any] | None = None,
        table: str | None = None,
    ) -> Owner:
        """A data owner who lists `lab` and `rival`; `policy` and `vault` go into its owner.toml."""
        data = self.folder / f"{name}.csv"
        data.write_text(table or patients(RECORDS, seed=sum(name.encode())))
        folder = self.folder / name
        columns = [word for key, value in DATA.items() for word in (f"--{key}", value)]
        mycroft(
            "owner", "init", folder, "--name", name, "--data", data, *columns,
            "--task", self.folder / "lab" / "task.json",
            "--trainer", f"lab={self.folder / 'lab' / 'trainer.pub'}",
            "--trainer", f"rival={self.folder / 'rival.pub'}",
            *(more or ("--mode", "raw", "--max-records", "300", "--no-approval")),
        )  # fmt: skip
        made = Owner(self, name, folder)
        with made.file() as content:
            content["policy"] |= dict(policy or {})
            content["vault"] |= dict(vault or {})
        return made


@dataclass(frozen=True)
class Owner:
    """One data owner's folder, with what it takes to serve and to ask its vault."""

    stage: Stage
    name: str
    folder: Path

    @property
    def socket(self) -> Path:
        """Where the vault listens."""
        return self.folder / "vault.sock"

    @property
    def log(self) -> Path:
        """The owner's log."""
        return self.folder / "owner.log"

    @contextmanager
    def file(self) -> Iterator[dict[str, Any]]:
        """The content of owner.toml, written back at the end of the block, in one step."""
        path = self.folder / "owner.toml"
        content = tomllib.loads(path.read_text())
        yield content
        write_whole(path, tomli_w.dumps(content))

    @contextmanager
    def served(self, *flags: str) -> Iterator[subprocess.Popen[str]]:
        """The vault, open for as long as the block lasts."""
        process = self.opened(*flags)
        try:
            yield process
        finally:
            close(process)

    def opened(self, *flags: str) -> subprocess.Popen[str]:
        """The vault as a process, once it is open. `RuntimeError` where it does not open."""
        process = subprocess.Popen(
            [*MYCROFT, "owner", "serve", str(self.folder), *flags], env=environment(),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        assert process.stdout is not None
        said = ""
        for line in process.stdout:
            said += line
            if "is open at" in line:
                return process
        close(process)
        raise RuntimeError(f"the vault of {self.name} does not open: {said}")

    def terms(self, within: float = 60.0, **changed: Any) -> SignedTerms:
        """Fresh terms for this owner's vault."""
        return replace(SignedTerms.fresh("run-1", self.name, 1, within), **changed)

    def signed(
        self, request: Request | bytes, key: KeyPair | None = None, terms: SignedTerms | None = None
    ) -> bytes:
        """A request in its envelope, by the trainer `lab` if no other key is given."""
        content = request if isinstance(request, bytes) else as_bytes(pack_request(request))
        return sign_request(content, terms or self.terms(), key or self.stage.lab)

    def ask(
        self, request: Request | bytes, key: KeyPair | None = None, seconds: float = 60.0
    ) -> tuple[int, bytes]:
        """The status and the sealed answer; `NO_ANSWER` where the vault says nothing."""
        return self.send(self.signed(request, key, self.terms(seconds)), seconds)

    def send(self, envelope: bytes, seconds: float = 60.0) -> tuple[int, bytes]:
        """What the socket says to an envelope; `NO_ANSWER` where it says nothing."""
        try:
            return ask(self.socket, SELECT, envelope, seconds)
        except (OSError, BadMessage):
            return NO_ANSWER, b""


def close(process: subprocess.Popen[str]) -> None:
    """End a vault as an owner would, and by force where it does not listen."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()
