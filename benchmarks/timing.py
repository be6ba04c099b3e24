"""Competitors timed in turn: CPU seconds, ratios repeat by repeat, and memory at the peak."""

from __future__ import annotations

import ctypes
import gc
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Timed:
    """One competitor's CPU seconds, repeat by repeat, and its last result."""

    seconds: list[float] = field(default_factory=list)
    result: Any = None

    @property
    def median(self) -> float:
        """Over the repeats."""
        return statistics.median(self.seconds)

    def times(self, other: Timed) -> float:
        """The median of the ratios within a repeat: a slow spell of the machine slows both."""
        pairs = zip(self.seconds, other.seconds, strict=True)
        return statistics.median(mine / theirs for mine, theirs in pairs)


def in_turn(repeats: int, runs: dict[str, Callable[[], Any]]) -> dict[str, Timed]:
    """All competitors within every repeat, whoever was first in one being last in the next."""
    timed = {name: Timed() for name in runs}
    for repeat in range(repeats):
        for name in list(runs)[:: -1 if repeat % 2 else 1]:
            start = time.process_time()
            timed[name].result = runs[name]()
            timed[name].seconds.append(time.process_time() - start)
    return timed


def extra_megabytes(run: Callable[[], Any]) -> float:
    """How far the process's resident memory rises above where it stands, while `run` runs."""
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before = _status("VmRSS")
    run()
    return _status("VmHWM") - before


def peak_megabytes() -> float:
    """The most that the process ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _status(name: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"/proc/self/status has no {name}; memory is measured on Linux alone")
