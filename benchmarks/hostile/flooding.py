"""Floods beside the one that attacks: started, counted and ended."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.hostile.stage import Owner, environment

PROGRAM = Path(__file__).with_name("flood.py")


@dataclass
class Flood:
    """Attackers that run; `got` is filled in by `ended`: answers by status."""

    processes: list[subprocess.Popen[str]]
    got: Counter[int] = field(default_factory=Counter)

    @property
    def goes_on(self) -> bool:
        """Whether any of them still sends."""
        return any(each.poll() is None for each in self.processes)

    def ended(self, seconds: float) -> None:
        """Wait for their end, at most so long; whoever still sends then is stopped."""
        deadline = time.monotonic() + seconds
        for each in self.processes:
            try:
                said, _ = each.communicate(timeout=max(0.1, deadline - time.monotonic()))
                self.got.update({int(key): n for key, n in json.loads(said).items()})
            except subprocess.TimeoutExpired:
                each.kill()
                each.communicate()


@contextmanager
def flooded(owner: Owner, kinds: Sequence[str], count: int) -> Iterator[Flood]:
    """One attacker for each kind, `count` requests each, for as long as the block lasts."""
    key = owner.stage.folder / "rival.key"
    if not key.exists():
        owner.stage.rival.save(key)
    flood = Flood([
        subprocess.Popen(
            [sys.executable, str(PROGRAM), str(owner.socket), owner.name, str(key), kind, str(count)],
            env=environment(), stdout=subprocess.PIPE, text=True,
        )
        for kind in kinds
    ])  # fmt: skip
    try:
        yield flood
    finally:
        for each in flood.processes:
            if each.poll() is None:
                each.kill()
                each.communicate()


@dataclass(frozen=True)
class Asked:
    """An honest trainer's requests: how many, how many were answered, and the median seconds."""

    asked: int
    answered: int
    median: float


def honest(owner: Owner, times: int, first_seed: int, seconds: float = 20.0) -> Asked:
    """Ask as the trainer `lab`, one example at a time, each request another."""
    took, answered = [], 0
    for seed in range(first_seed, first_seed + times):
        began = time.monotonic()
        status, _ = owner.ask(owner.stage.request(seed=seed), seconds=seconds)
        took.append(time.monotonic() - began)
        answered += status == 1
    return Asked(times, answered, statistics.median(took))
