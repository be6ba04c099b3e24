"""The process that holds an owner's data and keys, and the handle by which the server asks it.

The server, which talks to strangers, holds neither. A request that takes too long ends with its
process, and a fresh one opens the data again: what was charged by then stays charged.
"""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import os
import resource
import signal
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

from clients.serving.socket_protocol import ANSWERED, FAILED, REFUSED, SILENT
from mycroft_fl.errors import InputError
from mycroft_fl.protocol.envelope import Opened, SignedTerms
from mycroft_fl.protocol.keys import PublicKey

if TYPE_CHECKING:
    from clients.serving.service import VaultService

READY = b"ready"
PATIENCE = 3600.0  # seconds that a data set may take to be read


class VaultProcess:
    """An owner's vault in a process of its own, one request at a time."""

    def __init__(self, owner_file: Path) -> None:
        self._owner_file = owner_file
        self._process: multiprocessing.process.BaseProcess | None = None
        self._pipe: Connection | None = None
        self._over = False

    def open(self) -> None:
        """Have the data read. `InputError` with the process's own words where that fails."""
        if self._over:
            raise InputError("the vault is closed")
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=run, args=(str(self._owner_file), theirs), daemon=True, name="vault"
        )
        self._process.start()
        theirs.close()
        try:
            said = (
                self._pipe.recv_bytes() if self._pipe.poll(PATIENCE) else b"the data takes too long"
            )
        except EOFError:
            said = b"the process that reads the data ended at once"
        if said != READY:
            self.close()
            raise InputError(said.decode("utf-8", "replace"))

    def answer(self, request: Opened, seconds: float) -> tuple[int, bytes]:
        """Fetch the status and the sealed answer; a failure where it takes longer than `seconds`."""
        # Twice: a process that has died since the last question shows it only once asked. What the
        # first had charged by then is the second's stored answer.
        for _ in range(2):
            try:
                said = self._said(request, seconds)
            except (OSError, EOFError):
                self.close()
                continue
            if said and said[0] in (ANSWERED, REFUSED, FAILED, SILENT):
                return said[0], said[1:]
            # Whatever it might still say would be taken for the answer to the next question.
            self.close()
            break
        return FAILED, b""

    def _said(self, request: Opened, seconds: float) -> bytes:
        """Say what the process says to a request; nothing where it takes too long."""
        if self._pipe is None:
            self.open()
        assert self._pipe is not None
        self._pipe.send_bytes(json.dumps(dataclasses.asdict(request.terms)).encode())
        self._pipe.send_bytes(request.signer.raw)
        self._pipe.send_bytes(request.content)
        return self._pipe.recv_bytes() if self._pipe.poll(seconds) else b""

    def end(self) -> None:
        """End it at once and for good."""
        self._over = True
        self.close()

    def close(self) -> None:
        """End it at once, whatever it is doing."""
        process, pipe = self._process, self._pipe
        self._process = self._pipe = None
        if process is not None:
            process.kill()
            process.join()
        if pipe is not None:
            pipe.close()


def run(owner_file: str, pipe: Connection) -> None:
    """Run the process: open the vault, say so, then answer until the pipe is closed."""
    # The server ends this process itself; a Ctrl-C at a terminal reaches both.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The data it holds in memory must not end up in a file when it crashes.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.umask(0o077)
    try:
        vault = _opened(Path(owner_file))
    except InputError as error:
        pipe.send_bytes(str(error).encode())
        return
    except Exception as error:
        pipe.send_bytes(f"{type(error).__name__}: {error}".encode())
        return
    pipe.send_bytes(READY)
    while True:
        try:
            terms = SignedTerms(**json.loads(pipe.recv_bytes()))
            signer, content = PublicKey(pipe.recv_bytes()), pipe.recv_bytes()
        except (EOFError, OSError):
            return
        status, sealed = vault.answer(Opened(terms, signer, content))
        pipe.send_bytes(bytes([status]) + sealed)


def _opened(owner_file: Path) -> VaultService:
    import torch

    from clients.owner.file import load_owner_file
    from clients.serving.service import VaultService

    file = load_owner_file(owner_file)
    # Sums in another order are other sums: with equal counts a deployment picks as a simulation.
    torch.set_num_threads(file.vault.threads)
    return VaultService(file)
