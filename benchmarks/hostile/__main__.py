"""Attacks of strangers, listed trainers and handed-over files on real processes of this machine.

    python -m benchmarks.hostile              all of them, about five minutes on two cores
    python -m benchmarks.hostile port files   some of them

Prints a line for each attack: whether it HELD or is OPEN, how often it was tried and how often it
got what it may not get, and the figures that were seen. Exits with 1 if any attack succeeded.
docs/threat-model.md says who these attackers are and what else they may try.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.hostile.findings import Finding, write_findings

if TYPE_CHECKING:
    from benchmarks.hostile.stage import Stage

SECTIONS: dict[str, str] = {
    "stranger": "sockets.stranger",
    "flood": "sockets.flooding_trainer",
    "held": "sockets.holding_trainer",
    "bounds": "bounds.much_asked",
    "kills": "kills.killed",
    "port": "ports.public_port",
    "files": "handed.files",
    "privileges": "handed.privileges",
    "revoked": "revoked.revocation",
    "dp-sgd": "steps.distinguished",
}
"""Each by the module and the function of `hostile` that carries it out, loaded once it is asked for."""


def carried_out(section: str, stage: Stage) -> Iterator[Finding]:
    """The findings of a section, one by one."""
    module, _, name = SECTIONS[section].partition(".")
    attack: Callable[[Stage], Iterator[Finding]]
    attack = getattr(importlib.import_module(f"benchmarks.hostile.{module}"), name)
    yield from attack(stage)


def attacked(stage: Stage, sections: list[str]) -> list[Finding]:
    """Run these sections, one after the other, printing each finding as it comes.

    A section that cannot be carried out is a finding too: what was not tried has not held.
    """
    found = []
    for name in sections:
        began = time.monotonic()
        try:
            for finding in carried_out(name, stage):
                print(finding.line, flush=True)
                found.append(finding)
        except Exception as error:
            output = " ".join(str(error).split())[:300]
            broken = Finding(
                name, "could not be carried out", 1, 1, f"{type(error).__name__}: {output}"
            )
            print(broken.line, flush=True)
            found.append(broken)
        print(f"      {name}: {time.monotonic() - began:.0f} s", flush=True)
    return found


def main() -> None:
    """Attack, then say how many attacks held."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("sections", nargs="*", help=f"of {', '.join(SECTIONS)}; all if left out")
    parser.add_argument("--size", type=float, default=1.0, help="how often to try, as a share")
    parser.add_argument("--out", type=Path, help="write the findings there, as JSON")
    given = parser.parse_args()
    if unknown := set(given.sections) - set(SECTIONS):
        parser.error(f"no section {sorted(unknown)}; choose from {list(SECTIONS)}")
    from benchmarks.hostile.stage import Stage
    from simulations.federation.processes import free_port

    with tempfile.TemporaryDirectory(prefix="mycroft-") as folder:
        stage = Stage.made(Path(folder), free_port(), given.size)
        found = attacked(stage, given.sections or list(SECTIONS))
    if given.out:
        write_findings(found, given.out)
    open_ones = [each for each in found if each.succeeded]
    tries = sum(each.tried for each in found)
    print(f"{len(found) - len(open_ones)} of {len(found)} attacks held, {tries} tries in all")
    sys.exit(1 if open_ones else 0)


if __name__ == "__main__":
    main()
