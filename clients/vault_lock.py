"""Who serves an owner's vault, and how it is stopped at once and stays so."""

from __future__ import annotations

import fcntl
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from clients.owner_file import OwnerFile
from mycroft_fl.errors import InputError

STOPPED, LOCK = "stopped", "vault.lock"


def stop(file: OwnerFile, patience: float = 5.0) -> bool:
    """No further answer, at once: whether a vault was being served.

    The mark comes first: from then on no answer is written, and no vault opened by accident.
    """
    (file.folder / STOPPED).touch(mode=0o600)
    pid = served_by(file)
    if pid is None:
        return False
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if served_by(file) is None:
                return True
            time.sleep(0.05)
    raise InputError(f"process {pid} serves the vault and cannot be ended; end it yourself")


def served_by(file: OwnerFile) -> int | None:
    """The process that serves this vault; None where there is none."""
    path = file.folder / LOCK
    try:
        lock = path.open("r+")
    except FileNotFoundError:
        return None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return int(lock.read() or 0) or None
    return None


@contextmanager
def alone(file: OwnerFile) -> Iterator[None]:
    """Hold the lock that says who serves this vault; it goes with the process, however that ends."""
    with (file.folder / LOCK).open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(f"process {served_by(file)} serves this vault already") from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield
