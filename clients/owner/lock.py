"""The lock of an owner's vault: who serves it, and how it is stopped at once and stays so.

Two files say it. `vault.lock` is locked by whoever serves, for as long as it lives. `stopped` keeps
a vault closed: it is looked at and taken away by whoever holds the lock, and `stop` ends only once
it holds the lock itself, so that nobody serves at that moment and nobody can begin afterwards.
A third, `leaving.lock`, is held while a piece of an answer leaves, and while somebody is revoked.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from clients.owner.file import OwnerFile
from mycroft_fl.errors import InputError
from mycroft_fl.files import locked

STOPPED, LOCK, LEAVING = "stopped", "vault.lock", "leaving.lock"
PAUSE = 0.02


def stop(file: OwnerFile, patience: float = 5.0) -> bool:
    """Let no further answer out, at once; say whether a vault was being served.

    The mark comes first: from then on no answer is written, and no vault opened by accident. When
    this returns, nobody serves, and the mark is there whatever was done meanwhile.
    """
    mark = file.folder / STOPPED
    mark.touch(mode=0o600)
    last, began = 0, time.monotonic()
    was_served = False
    while (lock := _taken(file)) is None:
        was_served = True
        pid = served_by(file)
        if time.monotonic() - began > 2 * patience:
            raise InputError(f"process {pid} serves the vault and cannot be ended; end it yourself")
        # Seen twice in a row: a lock just taken still holds the number of whoever had it before.
        if pid is not None and pid == last:
            late = time.monotonic() - began > patience
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL if late else signal.SIGTERM)
        last = pid or 0
        time.sleep(PAUSE)
    with lock:
        # A vault that was opened with --after-stop meanwhile has taken it away.
        mark.touch(mode=0o600)
    return was_served


def served_by(file: OwnerFile) -> int | None:
    """Find the process that serves this vault; None where there is none, or it has just begun to."""
    lock = _taken(file)
    if lock is not None:
        lock.close()
        return None
    with suppress(ValueError, FileNotFoundError):
        return int((file.folder / LOCK).read_text(encoding="ascii"))
    return None


@contextmanager
def alone(file: OwnerFile, *, after_stop: bool = False) -> Iterator[None]:
    """Hold the lock that says who serves this vault; it goes with the process, however that ends.

    `InputError` where it is served already, or was stopped, unless `after_stop`.
    """
    lock = _taken(file)
    if lock is None:
        raise InputError(f"process {served_by(file) or '?'} serves this vault already")
    with lock:
        # Under the lock: whoever stops the vault from here on waits for it.
        stopped = file.folder / STOPPED
        if after_stop:
            stopped.unlink(missing_ok=True)
        elif stopped.exists():
            raise InputError(
                "this vault was stopped by `owner stop`; to open it again, serve it with --after-stop"
            )
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        try:
            yield
        finally:
            lock.truncate(0)


def is_stopped(folder: Path) -> bool:
    """Say whether nothing may leave any more."""
    return (folder / STOPPED).exists()


def leaving(folder: Path, *, shut: bool = False) -> IO[str]:
    """Lock while something leaves; or, `shut`, while nothing does and somebody says that less may.

    Both hold it for moments: looking whether an answer may leave and handing it on are one step.
    """
    return locked(folder / LEAVING, shared=not shut)


def _taken(file: OwnerFile) -> IO[str] | None:
    """Take the lock, held until it is closed; None where somebody else holds it."""
    try:
        return locked(file.folder / LOCK, wait=False)
    except BlockingIOError:
        return None
