"""Attacks of strangers, listed trainers and handed-over files on real processes of this machine.

    python benchmarks/under_attack.py              all of them, about five minutes on two cores
    python benchmarks/under_attack.py port files   some of them

Prints a line for each attack: whether it HELD or is OPEN, how often it was tried and how often it
got what it may not get, and the figures that were seen. Exits with 1 if any attack succeeded.
docs/threat-model.md says who these attackers are and what else they may try.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from hostile.bounds import much_asked
from hostile.findings import Finding, write_findings
from hostile.handed import files, privileges
from hostile.kills import killed
from hostile.ports import public_port
from hostile.revoked import revocation
from hostile.sockets import flooding_trainer, holding_trainer, stranger
from hostile.stage import Stage
from hostile.steps import distinguished

from simulations.federation import free_port

SECTIONS: dict[str, Callable[[Stage], Iterator[Finding]]] = {
    "stranger": stranger,
    "flood": flooding_trainer,
    "held": holding_trainer,
    "bounds": much_asked,
    "kills": killed,
    "port": public_port,
    "files": files,
    "privileges": privileges,
    "revoked": revocation,
    "dp-sgd": distinguished,
}


def attacked(stage: Stage, sections: list[str]) -> list[Finding]:
    """Run these sections, one after the other, printing each finding as it comes.

    A section that cannot be carried out is a finding too: what was not tried has not held.
    """
    found = []
    for name in sections:
        began = time.monotonic()
        try:
            for finding in SECTIONS[name](stage):
                print(finding.line, flush=True)
                found.append(finding)
        except Exception as error:
            told = " ".join(str(error).split())[:300]
            broken = Finding(
                name, "could not be carried out", 1, 1, f"{type(error).__name__}: {told}"
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
