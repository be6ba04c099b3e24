"""The paper's figures beside those of the packaged study `paper`, row by row, and what differs."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from mycroft_fl.report.study.cells import written
from mycroft_fl.report.study.folder import DONE, Row, Study, as_field
from mycroft_fl.statistics import Estimate, over_seeds

HEAD = ("of whom", "on what", "first, %", "second, %", "difference, points")
NEITHER = "Not part of this study."


@dataclass(frozen=True)
class PaperClaim:
    """A claim of the paper: its figures as printed, and which of our cells answer it.

    Ours are the cells of `part` in which `axis` is `first` against those in which it is `second`,
    all else equal. `expected` is what the paper finds: `more`, `less`, `alike` (within `near`
    points), `reaches` (no more than `near` points below), or `open` where it gives nothing to
    compare with. `measure` is the column compared, a share.
    """

    claim: str
    source: str
    part: str
    axis: str
    first: Any
    second: Any
    expected: str
    why: str
    near: float = 5.0
    measure: str = "hard"
    paper: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True)
class Ours:
    """One pair of ours: means over seeds, and their paired difference."""

    on: str
    first: Estimate
    second: Estimate
    difference: Estimate


@functools.cache
def claims() -> tuple[PaperClaim, ...]:
    """Return what the paper claims, in its order."""
    text = (resources.files("mycroft_fl.report") / "paper.toml").read_text(encoding="utf-8")
    return tuple(
        PaperClaim(**{**each, "paper": tuple(tuple(row) for row in each.get("paper", ()))})
        for each in tomllib.loads(text)["claim"]
    )


def paper_rows(study: Study) -> list[dict[str, Any]]:
    """Return a table for each claim: the paper's rows, ours, and whether they point the same way."""
    return [_table(claim, ours_of(claim, study)) for claim in claims()]


def ours_of(claim: PaperClaim, study: Study) -> list[Ours]:
    """Return our pairs for a claim, one for each combination of all else that has two seeds or more."""
    rows = [r for r in study.rows if r["status"] == DONE and r.get("part", "") == claim.part]
    if not any(axis.key == claim.axis for axis in study.axes):
        return []
    others = [axis.key for axis in study.axes if axis.key != claim.axis]
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(as_field(row[key]) for key in others), []).append(row)
    varying = [key for at, key in enumerate(others) if len({said[at] for said in groups}) > 1]
    found = []
    for said, mine in groups.items():
        on = ", ".join(
            value if key == "scenario" else f"{key} {value}"
            for key, value in zip(others, said, strict=True)
            if key in varying or key == "scenario"
        )
        found += _pair(claim, on, mine)
    return found


def _pair(claim: PaperClaim, on: str, rows: Sequence[Row]) -> list[Ours]:
    one, other = (
        {
            row["seed"]: row[claim.measure]
            for row in rows
            if row[claim.axis] == value and row.get(claim.measure) is not None
        }
        for value in (claim.first, claim.second)
    )
    both = sorted(one.keys() & other.keys())
    if len(both) < 2:
        return []
    return [
        Ours(
            on,
            over_seeds([one[seed] for seed in both]),
            over_seeds([other[seed] for seed in both]),
            over_seeds([one[seed] - other[seed] for seed in both]),
        )
    ]


def verdict(claim: PaperClaim, ours: Sequence[Ours]) -> str:
    """Return whether ours point the way the paper's do."""
    if not ours:
        return NEITHER
    if claim.expected == "open":
        return "Ours alone: the paper gives nothing to compare with."
    agreeing = sum(_agrees(claim, each.difference) for each in ours)
    if agreeing == len(ours):
        return (
            "As in the paper." if len(ours) == 1 else f"As in the paper, in all {len(ours)} rows."
        )
    against = sum(_contradicts(claim, each.difference) for each in ours)
    return (
        f"As in the paper in {agreeing} of {len(ours)} rows, the other way in {against}, not clear in "
        f"{len(ours) - agreeing - against}."
    )


def _agrees(claim: PaperClaim, difference: Estimate) -> bool:
    if claim.expected == "reaches":
        return 100 * (difference.mean - difference.half_width) >= -claim.near
    if claim.expected == "alike":
        return 100 * (abs(difference.mean) + difference.half_width) <= claim.near
    sign = 1 if claim.expected == "more" else -1
    return sign * difference.mean > 0 and difference.is_clear_of_zero


def _contradicts(claim: PaperClaim, difference: Estimate) -> bool:
    if claim.expected == "reaches":
        return 100 * (difference.mean + difference.half_width) < -claim.near
    if claim.expected == "alike":
        return 100 * (abs(difference.mean) - difference.half_width) > claim.near
    sign = 1 if claim.expected == "more" else -1
    return sign * difference.mean < 0 and difference.is_clear_of_zero


def _table(claim: PaperClaim, ours: Sequence[Ours]) -> dict[str, Any]:
    printed = [
        ["the paper", on, first, second, _difference(first, second)]
        for on, first, second in claim.paper
    ]
    found = [
        [
            "ours",
            each.on,
            written(each.first),
            written(each.second),
            written(each.difference, sign=True),
        ]
        for each in ours
    ]
    head = [*HEAD[:2], f"{as_field(claim.first)}, %", f"{as_field(claim.second)}, %", HEAD[4]]
    return {
        "claim": claim.claim,
        "source": claim.source,
        "head": head,
        "rows": printed + found,
        "verdict": verdict(claim, ours),
        "why": claim.why,
    }


def _difference(first: str, second: str) -> str:
    try:
        return f"{float(first) - float(second):+.1f}"
    except ValueError:
        return "-"
