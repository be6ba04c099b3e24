"""What an attack tried, how often it got what it wanted, and the figures that were seen."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from mycroft_fl.files import write_whole

MEGABYTE = 1 << 20


@dataclass(frozen=True)
class Finding:
    """One attack: `succeeded` of the `tried` got what they may not get. `figure`: what was seen."""

    section: str
    attack: str
    tried: int
    succeeded: int
    figure: str

    @property
    def line(self) -> str:
        """The finding as one line of a terminal."""
        verdict = "HELD" if self.succeeded == 0 else "OPEN"
        return (
            f"{verdict}  {self.section:9} {self.attack:58} {self.succeeded:>6} of {self.tried:<7} "
            f"{self.figure}"
        )


def write_findings(findings: Iterable[Finding], path: Path) -> None:
    """Write findings as JSON, whole or not at all."""
    write_whole(path, json.dumps([asdict(each) for each in findings], indent=1))


def megabytes(size: float) -> str:
    """A number of bytes, in MB."""
    return f"{size / MEGABYTE:.1f} MB"
