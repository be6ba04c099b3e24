"""A hospital with a table of patients, its vault as a real process, and a trainer that asks it."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clients.serving.socket_protocol import SELECT, ask
from mycroft_fl.data.formats.spec import DatasetSpec
from mycroft_fl.data.sources import load_dataset
from mycroft_fl.data.tables.fit import fit_schema
from mycroft_fl.data.task import Task
from mycroft_fl.examples import Examples
from mycroft_fl.protocol.envelope import SignedTerms, sign_request
from mycroft_fl.protocol.keys import KeyPair
from mycroft_fl.protocol.messages import Expected, OwnerReport, Request
from mycroft_fl.protocol.signed import as_bytes, carry, pack_signed, unpack_sealed
from mycroft_fl.protocol.wire import pack_request, unpack_report
from mycroft_fl.tasks.description import write_task

ROOT = Path(__file__).parents[2]
COMMAND = ["-c", "from mycroft_fl.cli.main import main; main()"]
SECRET = "Bartholomew"
"""Stands in every row of the owner's data, and may stand nowhere else."""
WARDS = ("east", "north", "west")


def patients(n: int, seed: int) -> str:
    """A table of patients; the label follows from two of the numbers."""
    rng = np.random.default_rng(seed)
    rows = ["age,pressure,ward,patient,consented,outcome"]
    for place in range(n):
        age, pressure = rng.normal(50, 15), rng.normal(120, 20)
        outcome = "ill" if age + pressure + rng.normal(0, 5) > 170 else "well"
        patient = f"{SECRET}-{seed}-{place // 2}"
        consented = "no" if place % 5 == 0 else "yes"
        rows.append(f"{age:.6f},{pressure:.6f},{WARDS[place % 3]},{patient},{consented},{outcome}")
    return "\n".join(rows) + "\n"


TRAINERS = DatasetSpec("trainer.csv", label="outcome", drop=("patient", "consented"))


@dataclass
class Hospital:
    """An owner's folder with all it takes to ask its vault. `ask` answers in plain records."""

    base: Path
    policy: dict[str, Any]
    dataset: dict[str, Any]
    vault: dict[str, Any] = field(default_factory=dict)
    trainer: KeyPair = field(default_factory=KeyPair.generate)
    python: str = sys.executable

    def __post_init__(self) -> None:
        from clients.owner.setup import NewOwner, set_up

        self.base.mkdir(parents=True, exist_ok=True)
        (self.base / "trainer.csv").write_text(patients(90, seed=1))
        (self.base / "patients.csv").write_text(patients(120, seed=2))
        own = load_dataset(TRAINERS, self.base)
        assert own.table is not None
        schema = fit_schema(own.table, TRAINERS)
        self.task = Task(own.classes, (schema.width,), np.dtype(np.float32), "mlp", schema)
        self.hard = Examples(schema.encode(own.table), own.y)[np.arange(6)]
        write_task(self.task, self.base / "task.json")
        (self.base / "lab.pub").write_text(self.trainer.public.text("lab"))
        self.folder = self.base / "hospital"
        dataset = {"path": str(self.base / "patients.csv"), "label": "outcome", **self.dataset}
        self.file = set_up(
            self.folder,
            NewOwner(
                "hospital", dataset, self.base / "task.json", {"lab": self.base / "lab.pub"},
                self.policy, self.vault,
            ),
        )  # fmt: skip

    def request(self, **changed: Any) -> Request:
        """A request that this vault answers."""
        plain: dict[str, Any] = {
            "server_round": 1, "method": "features", "k": 4, "hard": self.hard, "num_classes": 2,
            "model": "mlp", "weights": None, "feature_space": "standardised", "owner_epochs": 1,
            "seed": 0,
        }  # fmt: skip
        return Request(**(plain | changed))

    def terms(self, within: float = 30.0, **changed: Any) -> SignedTerms:
        return dataclasses.replace(SignedTerms.fresh("run-1", "hospital", 1, within), **changed)

    def envelope(self, request: Request, terms: SignedTerms, key: KeyPair | None = None) -> bytes:
        return sign_request(as_bytes(pack_request(request)), terms, key or self.trainer)

    def send(self, envelope: bytes, timeout: float = 120.0) -> tuple[int, bytes]:
        """What the socket answers to an envelope."""
        return ask(self.file.vault.socket, SELECT, envelope, timeout)

    def ask(self, request: Request | None = None, **terms: Any) -> tuple[int, OwnerReport | None]:
        """Ask as the trainer does, and open what comes back."""
        request, output = request or self.request(), self.terms(**terms)
        output = dataclasses.replace(output, server_round=request.server_round)
        status, sealed = self.send(self.envelope(request, output))
        return status, None if not sealed else self.opened(request, output, sealed)

    def opened(self, request: Request, terms: SignedTerms, sealed: bytes) -> OwnerReport:
        content, _ = unpack_sealed(carry(sealed, "answered"), terms, self.trainer)
        values = {"score": 4}.get(request.mode, 0)
        expected = Expected(self.task.shape, self.task.dtype, 2, request.k, values=values)
        return unpack_report(content, expected)

    def message(self, request: Request, terms: SignedTerms) -> Any:
        """The request as it travels through Flower."""
        return pack_signed(pack_request(request), terms, self.trainer)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`mycroft-fl owner VERB DIR ...`."""
        verb, *rest = arguments
        return subprocess.run(
            [self.python, *COMMAND, "owner", verb, str(self.folder), *rest],
            env=environment(), capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip

    @contextmanager
    def served(self, *flags: str, **popen: Any) -> Iterator[subprocess.Popen[str]]:
        """Its vault, open for as long as the block lasts."""
        process = subprocess.Popen(
            [self.python, *COMMAND, "owner", "serve", str(self.folder), *flags],
            env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **popen,
        )  # fmt: skip
        assert process.stdout is not None
        said = ""
        try:
            for line in process.stdout:
                said += line
                if "is open at" in line:
                    break
            else:
                raise AssertionError(f"the vault does not open: {said}")
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)
            process.stdout.close()

    @property
    def log(self) -> str:
        return (self.folder / "owner.log").read_text()

    def ledger_rows(self) -> list[Any]:
        from mycroft_fl.privacy.spending.ledger import PrivacyLedger

        return PrivacyLedger(self.file.ledger).rows()


def environment() -> dict[str, str]:
    # With the packages, for a Python that is not of this environment.
    packages = sysconfig.get_paths()["purelib"]
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH"), packages]))
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


OPEN = {"modes": ["raw", "score"], "max-records": 60, "epsilon": 1.0, "answers": 4}
MARKED = {"unit-id": "patient", "shareable": "consented"}


@pytest.fixture(scope="session")
def make_hospital(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Hospital]:
    """Makes a hospital; by default it hands over up to 60 examples without asking a person."""

    def make(
        policy: dict[str, Any] | None = None,
        dataset: dict[str, Any] | None = None,
        base: Path | None = None,
        **vault: Any,
    ) -> Hospital:
        return Hospital(
            base or tmp_path_factory.mktemp("owner"),
            {**OPEN, **(policy or {})},
            dataset or MARKED,
            vault,
        )

    return make
