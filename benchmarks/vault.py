"""What a warm vault saves: the time of one message to an owner, from a fresh client process on.

    python -m benchmarks.vault [--repeats 10]

Flower starts a client process for every message. Three kinds of it, each started --repeats times,
one after the other, on an owner with scikit-learn's 1,797 digits that is asked for 10 of them by
`omp` through a multilayer perceptron:

    empty     imports Flower's ClientApp and ends
    warm      imports clients.deployed_app and carries a signed request to a vault that is up
    cold      does all of it itself: imports torch, reads the data, selects

Medians and ranges, in seconds; so much of a round is the owner's, all else is Flower's.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from benchmarks.tables import row, rule
from clients.owner.setup import NewOwner, set_up
from mycroft_fl.data.task import Task
from mycroft_fl.examples import Examples
from mycroft_fl.models.networks import build
from mycroft_fl.models.weights import flat_weights
from mycroft_fl.protocol.envelope import SignedTerms, sign_request
from mycroft_fl.protocol.keys import KeyPair
from mycroft_fl.protocol.messages import Request
from mycroft_fl.protocol.signed import as_bytes
from mycroft_fl.protocol.wire import pack_request
from mycroft_fl.tasks.description import write_task

TASK = Task(tuple(map(str, range(10))), (1, 8, 8), np.dtype(np.uint8), "mlp")
EMPTY = "from flwr.clientapp import ClientApp; ClientApp()"
WARM = """
import sys
from pathlib import Path
import clients.deployed_app
from clients.serving.socket_protocol import ANSWERED, SELECT, ask
status, _ = ask(Path(sys.argv[1]) / "vault.sock", SELECT, sys.stdin.buffer.read())
assert status == ANSWERED
"""
COLD = """
import sys
from pathlib import Path
import torch
import clients.client_app
from clients.serving.service import VaultService
from clients.owner.file import load_owner_file
from clients.serving.socket_protocol import ANSWERED
from mycroft_fl.protocol.envelope import open_request
torch.set_num_threads(1)
file = load_owner_file(Path(sys.argv[1]) / "owner.toml")
keys = [each.key for each in file.policy.trainers]
status, _ = VaultService(file).answer(open_request(sys.stdin.buffer.read(), file.name, keys))
assert status == ANSWERED
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=10)
    repeats = parser.parse_args().repeats
    trainer = KeyPair.generate()
    with tempfile.TemporaryDirectory() as base:
        folder = owner(Path(base), trainer)
        vault = served(folder)
        try:
            envelopes = asking(trainer)
            kinds = {"empty": EMPTY, "warm": WARM, "cold": COLD}
            print(row(["process", "median", "from", "to"]))
            print(rule(4))
            for name, code in kinds.items():
                taken = sorted(seconds(code, folder, envelopes()) for _ in range(repeats))
                output = [np.median(taken), taken[0], taken[-1]]
                print(row([name, *(f"{each:.2f}" for each in output)]))
        finally:
            vault.send_signal(signal.SIGTERM)
            vault.wait()


def owner(base: Path, trainer: KeyPair) -> Path:
    """An owner's folder whose vault answers without asking a person."""
    digits = load_digits()
    np.savez(
        base / "digits.npz", x=digits.images.astype(np.uint8) * 15, y=digits.target.astype(str)
    )
    write_task(TASK, base / "task.json")
    (base / "lab.pub").write_text(trainer.public.text("lab"))
    new = NewOwner(
        "owner", {"path": str(base / "digits.npz")}, base / "task.json",
        {"lab": base / "lab.pub"}, {"modes": ["raw"]},
    )  # fmt: skip
    return set_up(base / "owner", new).folder


def served(folder: Path) -> subprocess.Popen[str]:
    """The vault, once it is open."""
    code = "from mycroft_fl.cli.main import main; main()"
    command = [sys.executable, "-c", code, "owner", "serve", str(folder)]
    vault = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=one_thread())
    assert vault.stdout is not None
    assert any("is open at" in line for line in vault.stdout)
    return vault


def asking(trainer: KeyPair) -> Callable[[], bytes]:
    """Signed requests, each of them new to the ledger."""
    digits = load_digits()
    weights = flat_weights(build(TASK.model, TASK.shape, 10, seed=0))
    hard = Examples(digits.images[:16, None].astype(np.uint8), digits.target[:16].astype(np.int64))
    numbers = iter(range(1_000_000))

    def envelope() -> bytes:
        request = Request(
            server_round=1,
            method="omp",
            k=10,
            hard=hard,
            num_classes=10,
            model=TASK.model,
            weights=weights,
            seed=next(numbers),
        )
        terms = SignedTerms.fresh("benchmark", "owner", 1, within=600)
        return sign_request(as_bytes(pack_request(request)), terms, trainer)

    return envelope


def seconds(code: str, folder: Path, envelope: bytes) -> float:
    """How long a fresh process takes, from its start to its end."""
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", code, str(folder)], input=envelope, check=True, env=one_thread()
    )
    return time.perf_counter() - began


def one_thread() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


if __name__ == "__main__":
    main()
