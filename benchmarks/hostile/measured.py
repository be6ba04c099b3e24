"""Memory and seconds of other processes: what an attack cost the one that it was made on."""

from __future__ import annotations

import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

EVERY = 0.02  # seconds between two looks at a tree of processes


def tree(pid: int) -> list[psutil.Process]:
    """A process and all that it has started; none where it has ended."""
    try:
        first = psutil.Process(pid)
        return [first, *first.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def resident(pid: int) -> int:
    """Bytes of memory that a tree of processes holds."""
    held = 0
    for each in tree(pid):
        with suppress(psutil.NoSuchProcess):
            held += each.memory_info().rss
    return held


class Watch:
    """Inside `with`, the most memory that a tree of processes held above what it held before.

    Looks every 20 ms, since the process that holds the data may be ended and opened anew.
    """

    def __init__(self, pid: int) -> None:
        self._pid, self._over = pid, threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.before = self.peak = 0
        self.seconds = 0.0

    def __enter__(self) -> Watch:
        self.before = self.peak = resident(self._pid)
        self._began = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.monotonic() - self._began
        self._over.set()
        self._thread.join()

    @property
    def grown(self) -> int:
        """Bytes between the start and the peak."""
        return max(0, self.peak - self.before)

    def _look(self) -> None:
        while not self._over.wait(EVERY):
            self.peak = max(self.peak, resident(self._pid))


@dataclass(frozen=True)
class Ended:
    """How a command ended: `code` is negative for a signal, None where it was stopped for its time."""

    code: int | None
    said: str
    peak: int
    seconds: float


def ended(
    command: Sequence[str], seconds: float, before: Callable[[], None] | None = None, **more: object
) -> Ended:
    """Run a command for at most `seconds`; what it said, and the most memory that it held.

    The kernel keeps that peak, so that no spike is missed but in the last hundredth of a second. What it
    tells of a process that has ended counts its parent's memory too. `before` is called in the new process.
    """
    began, late = time.monotonic(), threading.Event()
    with tempfile.TemporaryFile("w+", errors="replace") as said:
        process = subprocess.Popen(
            list(command), stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT,
            preexec_fn=before, start_new_session=True, **more,
        )  # fmt: skip

        def stop() -> None:
            late.set()
            with suppress(ProcessLookupError):
                os.killpg(process.pid, 9)

        timer = threading.Timer(seconds, stop)
        timer.start()
        peak = 0
        while process.poll() is None:
            peak = max(peak, _high_water(process.pid))
            time.sleep(0.01)
        timer.cancel()
        said.seek(0)
        text = said.read()
    code = None if late.is_set() else process.returncode
    return Ended(code, text, peak, time.monotonic() - began)


def _high_water(pid: int) -> int:
    """The most memory that a process has held since its program began, in bytes; 0 once it has ended."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) << 10
    return 0


def size_of(path: Path) -> int:
    """Bytes of a file with all that lies beside it under its name and a suffix (rotated logs)."""
    return sum(each.stat().st_size for each in path.parent.glob(path.name + "*"))
