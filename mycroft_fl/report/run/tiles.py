"""The figures of a report's first screen, with what they mean."""

from __future__ import annotations

from dataclasses import dataclass

from mycroft_fl.report.run.gains import RIVAL_WORDS, Gain, Result, cost_per_point, rival_of
from mycroft_fl.report.run.judged import judged_by


@dataclass(frozen=True)
class Tile:
    """A figure of the first screen, with what it means."""

    figure: str
    meaning: str


def tiles(result: Result, gain: Gain | None) -> list[Tile]:
    """List the figures behind a verdict: what was gained, if that is known, and what it cost."""
    found = [] if gain is None else _gain_tiles(result, gain)
    found.append(Tile(str(result["disclosed"]), "examples disclosed"))
    cost = None if gain is None else cost_per_point(result, gain)
    if cost is not None:
        found.append(Tile(f"{cost[0]:.1f}", "examples for a point gained"))
    spent = largest_epsilon(result)
    if spent:
        found.append(Tile(f"{spent:.3g}", "epsilon spent by an owner, at most"))
    return found


def largest_epsilon(result: Result) -> float:
    """Find the most epsilon that an owner has spent; 0 where none promised any."""
    return max((each["epsilon_total"] or 0.0 for each in result["privacy"]), default=0.0)


def _gain_tiles(result: Result, gain: Gain) -> list[Tile]:
    rival, judged = rival_of(result), judged_by(result)
    name, without, final = RIVAL_WORDS[rival], result[rival], result["final"]
    reached = f"{100 * without[judged.key]:.1f} → {100 * final[judged.key]:.1f}"
    what = "of the failures right" if judged.is_accuracy else f"in {judged.words}"
    whole = 100 * (final["test"] - without["test"])
    accuracy = "" if judged.is_accuracy else " of accuracy"
    return [
        Tile(reached, f"% {what}: {name}, then with owners"),
        Tile(f"{gain.points:+.1f}", f"points gained{_bounds(gain)} over the {name}"),
        Tile(f"{whole:+.1f}", f"points{accuracy} on the whole test, over the {name}"),
    ]


def _bounds(gain: Gain) -> str:
    return "" if gain.low is None else f" [{gain.low:+.1f}, {gain.high:+.1f}]"
