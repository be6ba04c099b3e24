"""A study's rows as a table for a terminal: means over seeds."""

from __future__ import annotations

from collections.abc import Sequence

from mycroft_fl.report.study.folder import DONE, PART, Axis, Row, as_field
from mycroft_fl.statistics import over_seeds

SHOWN = (("failures", "hard"), ("own hard set", "own_hard_set_hard"), ("whole test", "test"))


def summary_rows(rows: Sequence[Row], axes: Sequence[Axis]) -> tuple[list[str], list[list[str]]]:
    """Head and rows: each combination's accuracies in per cent, with 95 % intervals over seeds."""
    varying = {part: _varying(rows, axes, part) for part in dict.fromkeys(r[PART] for r in rows)}
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        # A key that is nothing to a cell, as epsilon to plain examples, is left out.
        shown = [f"{key} {said}" for key in varying[row[PART]] if (said := as_field(row[key]))]
        groups.setdefault((row[PART], ", ".join(shown)), []).append(row)
    places = {part: place for place, part in enumerate(varying)}
    table = []
    for (part, what), some in sorted(groups.items(), key=lambda each: places[each[0][0]]):
        done = [row for row in some if row["status"] == DONE]
        shares = [_mean([row[column] for row in done], per_cent=True) for _, column in SHOWN]
        disclosed = _mean([row["disclosed"] for row in done])
        counts = [str(len(done)), str(len(some) - len(done))]
        table.append([part, what, *shares, disclosed, *counts])
    head = ["part", "cell", *(label for label, _ in SHOWN), "disclosed", "seeds", "failed"]
    if not any(varying):
        return head[1:], [row[1:] for row in table]
    return head, table


def _varying(rows: Sequence[Row], axes: Sequence[Axis], part: str) -> list[str]:
    """The keys that tell the rows of a part apart; the first axis where none does."""
    of_part = [row for row in rows if row[PART] == part]
    keys = [axis.key for axis in axes]
    return [key for key in keys if len({as_field(row[key]) for row in of_part}) > 1] or keys[:1]


def _mean(values: Sequence[float | None], *, per_cent: bool = False) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    found = over_seeds(known)
    if not per_cent:
        return f"{found.mean:.0f}"
    width = f" ± {100 * found.half_width:.1f}" if len(known) > 1 else ""
    return f"{100 * found.mean:.1f}{width}"
