"""The measure of owners: what ranked them in a run, in words and in units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mycroft_fl.report.run.judged import judged_by

Result = Mapping[str, Any]
Keys = tuple[str, str, str]
SCORE: Keys = ("score", "low", "high")
FALL: Keys = ("loss_fall", "loss_low", "loss_high")


@dataclass(frozen=True)
class Measure:
    """What an owner's figure is of. `keys` name it and its interval in a result, in hundredths of a unit.

    `head` is for a table's column, `axis` for a plot, `caption` says what the figure is, `below` what
    an owner does whose whole interval is below zero.
    """

    keys: Keys
    head: str
    axis: str
    caption: str
    below: str = "do harm"

    def of(self, owner: Mapping[str, Any]) -> tuple[float, float, float] | None:
        """Give an owner's figure with its interval; None where it has none."""
        values = [owner.get(key) for key in self.keys]
        if any(value is None for value in values):
            return None
        figure, low, high = (100 * float(value) for value in values if value is not None)
        return figure, low, high

    def text(self, owner: Mapping[str, Any]) -> str:
        """Write the figure with its interval; a dash where there is none."""
        found = self.of(owner)
        return "-" if found is None else "{:+.1f} [{:+.1f}, {:+.1f}]".format(*found)


def scores_are_gains(result: Result) -> bool:
    """Check whether owners were scored by fine-tuning, or by their own noised answers."""
    return result["settings"].get("mode", "raw") in ("raw", "raw-gumbel")


def by_region(result: Result) -> bool:
    """Check whether owners counted their records in a detector's region."""
    return any(each.get("stock") is not None for each in result["owners"])


def by_loss(result: Result) -> bool:
    """Check whether scores are cross-fitted, so that the fall in log-loss ranks owners."""
    return any(each.get("loss_fall") is not None for each in result["owners"])


def gain_measure(result: Result) -> Measure:
    """Give the measure of a gain in the run's metric."""
    judged = judged_by(result)
    unit = "gain, points" if judged.is_accuracy else f"gain in {judged.words}, points"
    over = "over what the trainer knows itself" if by_loss(result) else "over the own hard set"
    on = "validation" if by_loss(result) else "scoring"
    return Measure(
        SCORE, unit, f"{unit}, over no owner",
        f"The gain in {judged.words} is on the trainer's {on} examples, from each owner's examples "
        f"alone, {over}.",
    )  # fmt: skip


def measure_of(result: Result) -> Measure:
    """Find what ranked the owners of a run."""
    if scores_are_gains(result):
        return _FALL if by_loss(result) else gain_measure(result)
    return _SHARE if by_region(result) else _RELEVANCE


_FALL = Measure(
    FALL, "log-loss falls by, 1/100 nat", "fall in log-loss, 1/100 nat, over no owner",
    "The fall in log-loss is on the trainer's validation examples, each judged by a model that has not seen "
    "it, from each owner's examples alone, over what the trainer knows itself.",
)  # fmt: skip
_SHARE = Measure(
    SCORE, "useful records, %", "useful records, % of what an owner holds",
    "Useful records are those in the detector's region, by noised counts, its false alarms taken off.",
    below="hold less than false alarms would be",
)  # fmt: skip
_RELEVANCE = Measure(
    SCORE, "relevance, %", "relevance, % of a hard example's",
    "Relevance of an average record, by noised sums; a hard example has 100 %.",
)  # fmt: skip
