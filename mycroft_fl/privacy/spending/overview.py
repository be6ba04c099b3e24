"""A ledger as its owner reads it: what was released to whom, and what is left."""

from __future__ import annotations

import json
from pathlib import Path

from mycroft_fl.errors import InputError
from mycroft_fl.privacy.noise.accounting import Spend, epsilon_of
from mycroft_fl.privacy.spending.budget import Budget
from mycroft_fl.privacy.spending.chain import Row
from mycroft_fl.privacy.spending.ledger import PrivacyLedger

Table = tuple[list[str], list[list[str]]]


def open_ledger(path: Path, head: Path | None = None) -> PrivacyLedger:
    """Open the ledger in an existing file. `InputError` if there is no such file."""
    if not path.is_file():
        raise InputError(f"there is no ledger at {path}; give the file, such as ledger.sqlite")
    return PrivacyLedger(path, head, examined=False)


def releases(rows: list[Row]) -> Table:
    """Return every charge: when, to whom, what and at which price."""
    head = ["entry", "at (UTC)", "trainer", "mode", "records", "rho", "epsilon-minus", "request"]
    return head, [
        [
            str(row.seq),
            row.at[:19].replace("T", " "),
            row.peer,
            row.mode,
            str(row.records),
            f"{row.rho:.4g}" if not row.sgd else "DP-SGD",
            f"{row.epsilon_minus:.4g}",
            row.digest[:12],
        ]
        for row in rows
    ]


def left(ledger: PrivacyLedger) -> list[str]:
    """Return what was spent and what is left of the limits that were last in force."""
    spends = [row.spend for row in ledger.rows()]
    noted = ledger.limits()
    limits = Budget() if noted is None else Budget.from_json(json.loads(noted))
    charged = sum(each.records for each in spends)
    lines = [
        f"records charged: {charged} of {_of(limits.records)} ({len(ledger.disclosed())} handed over)",
        f"requests answered: {len(spends)} of {_of(limits.requests)}",
    ]
    if limits.privacy is None:
        lines.append("epsilon: none was set, so nothing noised may leave")
    else:
        lines.append(_epsilon_line(spends, limits))
    minus = sum(each.epsilon_minus for each in spends)
    lines.append(
        f"epsilon-minus of drawn examples: {minus:.4g} of {_of(limits.epsilon_minus, '0')}"
    )
    if any(row.mode == "raw" for row in ledger.rows()):
        lines.append("examples were chosen without noise: of the others, too, something is known")
    return lines


def _epsilon_line(spends: list[Spend], limits: Budget) -> str:
    privacy = limits.privacy
    assert privacy is not None
    spent = privacy.spent(spends)
    reached = epsilon_of(spends, privacy.delta)
    return (
        f"epsilon: {reached:.3g} reached, {privacy.epsilon:g} at most, at delta {privacy.delta:g}, "
        f"add or remove one unit; {max(0.0, 1 - spent / privacy.limit):.0%} of the budget is left"
    )


def _of(limit: float | None, none: str = "any number") -> str:
    return none if limit is None else f"{limit:g}"
