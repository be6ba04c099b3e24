"""The print of what owners show of their data before they are asked for anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mycroft_fl.cli.common import print_rows, say

NO_WORD = {
    "refused": "shows nothing",
    "timeout": "said nothing in time",
    "malformed": "sent what cannot be read",
    "error": "failed; its own log says why",
}
MOST_SHOWN = 30
"""Classes and columns of one owner on a screen; --json has all that came."""


def show_looks(found: Sequence[Mapping[str, Any]]) -> None:
    """Print what each owner shows: counts by class with their noise, and each mock table once.

    Args:
        found: as `strategies.rounds.looking.looks_as_json` gives it.
    """
    print_rows(["owner", "shows", "noise", "epsilon"], [_line(each) for each in found])
    for each in found:
        for line in each.get("differences", ()):
            say(f"{each['owner']} serves another task: {line}")
        if each.get("counts") is not None:
            _show_counts(each)
    mocks: dict[str, list[Mapping[str, Any]]] = {}
    for each in found:
        if "description" in each:
            # Not by the task's digest: whoever claims another's would show its own rows as that one's.
            mocks.setdefault(repr(each["description"]), []).append(each)
    for same in mocks.values():
        _show_mock(", ".join(each["owner"] for each in same), same[0]["description"])


def _line(look: Mapping[str, Any]) -> list[str]:
    if look["status"] != "described":
        return [look["owner"], NO_WORD.get(look["status"], look["status"]), "", ""]
    if look["counts"] is None:
        return [look["owner"], "schema", "", ""]
    epsilon = look["card"]["epsilon"]
    shown = "none is promised" if not epsilon else f"{epsilon:.3g}"
    return [look["owner"], "schema and counts", f"{look['sigma']:.3g}", shown]


def _show_counts(look: Mapping[str, Any]) -> None:
    names, unit = look["description"]["classes"], look["card"]["unit"]
    noise = look["sigma"]
    rows = [
        [name, _whole(count), f"{_whole(count - 2 * noise)} to {_whole(count + 2 * noise)}"]
        for name, count in list(zip(names, look["counts"], strict=False))[:MOST_SHOWN]
    ]
    say(f"{look['owner']}: {unit}s by class, each with noise of {noise:.3g}")
    print_rows(["class", "count", "within two deviations"], rows)
    for taint in look["card"]["taints"]:
        say(f"{look['owner']}: {taint}")


def _whole(count: float) -> str:
    """Round a noised count; what noise brought below 0 is shown as 0."""
    return f"{max(0.0, count):.0f}"


def _show_mock(owners: str, description: Mapping[str, Any]) -> None:
    columns = description["columns"][:MOST_SHOWN]
    size = " x ".join(map(str, description["shape"]))
    if columns:  # a vector's length would count each category as a column
        size = f"{description['num_columns']} columns"
    say(f"{owners}: {description['form']} of {size}, {description['num_classes']} classes")
    if not columns:
        return
    label = description["label"] or "class"
    head = [f"{name} ({kind})" for name, kind in columns] + [f"{label} (class)"]
    rows = [[*row[: len(columns)], row[-1]] for row in description["rows"]]
    say("made-up rows, from the task alone; nobody holds them")
    print_rows(head, rows)
    if (more := description["num_columns"] - len(columns)) > 0:
        say(f"{more} columns more; --json names {len(description['columns'])}")
