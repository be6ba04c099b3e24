"""Scores by class, for people: which classes an owner helps with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

TextRows = list[list[str]]
Classes = Mapping[str, Mapping[str, float]]
"""Class -> score, low and high; as `by_class` in a result file, empty where a score was not by class."""

SHOWN_CLASSES = 5
MEANING = (
    "Relevance of an average record of the owner to the hard examples of a class, %, by noised sums: "
    "the classes whose whole interval lies above zero. In the score each counts by its share of the "
    "failures. Nearly every record of a class is a little like its hard examples: compare owners with "
    "each other, not with zero."
)


def clearest(classes: Classes) -> list[str]:
    """List the classes whose whole interval lies above zero, by their lower bound."""
    clear = [name for name, each in classes.items() if each["low"] > 0]
    return sorted(clear, key=lambda name: (-classes[name]["low"], name))


def classes_text(classes: Classes) -> str:
    """Write the clearest classes with their intervals, in per cent; `-` without any."""
    names = clearest(classes)
    shown = [f"{name} {_percent(classes[name])}" for name in names[:SHOWN_CLASSES]]
    if len(names) > SHOWN_CLASSES:
        shown.append(f"and {len(names) - SHOWN_CLASSES} more")
    return "; ".join(shown) or "-"


def class_rows(result: Mapping[str, Any]) -> tuple[list[str], TextRows]:
    """List what each owner helps with: head and rows. No rows where no score was by class."""
    asked = [each for each in result["owners"] if each.get("by_class")]
    return ["owner", "helps with"], [
        [each["owner"], classes_text(each["by_class"])] for each in asked
    ]


def class_lines(result: Mapping[str, Any]) -> list[str]:
    """Write the same in Markdown, a line for each owner; empty where no score was by class."""
    lines = [f"- {owner}: {classes}" for owner, classes in class_rows(result)[1]]
    return [MEANING, "", *lines] if lines else []


def _percent(each: Mapping[str, float]) -> str:
    score, low, high = (100 * each[key] for key in ("score", "low", "high"))
    return f"{score:+.1f} [{low:+.1f}, {high:+.1f}]"


def clear_of_the_last(
    sure: Sequence[Mapping[str, Any]], owners: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """Keep those of `sure` whose interval lies above that of the last of `owners`.

    Only scores by class are compared so; of others all are kept.

    By class nearly every record is a little like the hard examples, so that zero tells nobody apart.
    """
    highs = [each["high"] for each in owners if each["high"] is not None]
    if len(highs) < 2 or not _by_class(owners):
        return list(sure)
    least = min(highs)
    return [each for each in sure if each["low"] > least]


def how_like(owners: Sequence[Mapping[str, Any]]) -> str:
    """Say how owners that are sure to help are like the failures."""
    if not _by_class(owners):
        return "like your failures"
    return "more like your failures than what the last in the ranking holds"


def yardstick(owners: Sequence[Mapping[str, Any]]) -> str:
    """Name what an owner's relevance is held against."""
    return "that of the last in the ranking" if _by_class(owners) else "zero"


def _by_class(owners: Sequence[Mapping[str, Any]]) -> bool:
    return any(each.get("by_class") for each in owners)
