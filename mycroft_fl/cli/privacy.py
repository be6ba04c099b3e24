"""`ledger` and `audit`: what was released, and whether the mechanisms keep their claims."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mycroft_fl.cli.common import print_rows, say
from mycroft_fl.errors import InputError, RunFailed

if TYPE_CHECKING:
    from mycroft_fl.privacy.audits.bounds import Finding

if TYPE_CHECKING:
    from mycroft_fl.privacy.spending.ledger import PrivacyLedger


@click.command("ledger")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--head", type=click.Path(path_type=Path), help="The chain's head; else beside FILE.")
def show_ledger(file: Path, head: Path | None) -> None:
    """Show what an owner's ledger FILE says was released to whom, and what is left."""
    from mycroft_fl.privacy.spending.overview import open_ledger

    show_book(open_ledger(file, head))


def show_book(book: PrivacyLedger) -> None:
    """Print a ledger. `RunFailed` where it does not add up."""
    from mycroft_fl.privacy.spending.overview import left, releases

    print_rows(*releases(book.rows()))
    for line in left(book):
        say(line)
    if problems := book.problems():
        raise RunFailed("the ledger does not add up: " + "; ".join(problems))
    say("the chain is whole")


@click.command("audit")
@click.option("--mode", metavar="MODE", help="One mode only.")
@click.option(
    "--attacks", is_flag=True, help="Attack what leaves: membership, reconstruction, probing."
)
@click.option("--bugs", is_flag=True, help="Plant known bugs instead: every one must be caught.")
def run_audit(mode: str | None, attacks: bool, bugs: bool) -> None:
    """Run the privacy mechanisms many times and compare what shows with what is claimed."""
    if bugs:
        _plant_bugs()
        return
    found = _findings(mode, attacks)
    print_rows(
        ["mode", "audit", "measured", "found", "claimed", "holds"],
        [
            [each.mode, each.audit, each.measure, f"{each.found:.3f}", f"{each.claimed:.3f}",
             "yes" if each.holds else "NO"]
            for each in found
        ],
    )  # fmt: skip
    if not all(each.holds for each in found):
        raise RunFailed(
            "a mechanism does not keep its claim, or an audit cannot see whether it does"
        )


def _findings(mode: str | None, attacks: bool) -> list[Finding]:
    from mycroft_fl.privacy.attacks import findings
    from mycroft_fl.privacy.audits import catalogue as audits

    known = findings.ATTACKS if attacks else audits.audits_by_name()
    if mode is not None and mode not in known:
        raise InputError(
            f"mode '{mode}' has no {'attack' if attacks else 'audit'}; choose from {sorted(known)}"
        )
    return findings.attacked(mode) if attacks else audits.findings(mode)


def _plant_bugs() -> None:
    from mycroft_fl.privacy.audits.seeded_bugs import BUGS, caught

    rows = [[name, "caught" if caught(name) else "MISSED"] for name in BUGS]
    print_rows(["bug", "audit"], rows)
    missed = [name for name, verdict in rows if verdict == "MISSED"]
    if missed:
        raise RunFailed(f"the audits are blind to: {', '.join(missed)}")
