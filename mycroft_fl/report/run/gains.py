"""The gain of a run's final model over its rivals, and what a point of it cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mycroft_fl.report.run.judged import judged_by

Result = Mapping[str, Any]


@dataclass(frozen=True)
class Gain:
    """What is gained over a rival, in points: accuracy on the failures, or the run's metric.

    No interval in older results.
    """

    points: float
    low: float | None
    high: float | None

    @property
    def is_sure(self) -> bool:
        """Whether the interval, where there is one, leaves out zero and all below."""
        return self.points > 0 and (self.low is None or self.low > 0)

    @property
    def is_loss(self) -> bool:
        """Whether the interval leaves out zero and all above; not where there is none."""
        return self.high is not None and self.high < 0

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return f"{self.points:+.1f}"
        return f"{self.points:+.1f} [{self.low:+.1f}, {self.high:+.1f}]"


def rival_of(result: Result) -> str:
    """Name the field of the strongest model without any owner; results of 0.1 know no better one."""
    return "free" if "free" in result else "own_hard_set"


RIVAL_WORDS = {"free": "free model", "own_hard_set": "own hard set"}
"""The rival in words, as in "over the free model"."""


def gain_over(result: Result, rival: str, at: str | None = None) -> Gain | None:
    """Compute what the final model gains over `rival`; None where that is not known.

    By what the verdict goes by, or `at` a key of the models' figures, such as "test".
    """
    at = at or judged_by(result).key
    final, other = (result.get(key, {}).get(at) for key in ("final", rival))
    if final is None or other is None:
        return None
    known = result.get("gains", {}).get(rival, {}).get(at)
    if known is None:
        return Gain(100 * (final - other), None, None)
    return Gain(*(100 * known[key] for key in ("gain", "low", "high")))


def cost_per_point(result: Result, gain: Gain) -> tuple[float, float | None, float | None] | None:
    """Count the examples disclosed for each point over the rival: at the gain, and at its bounds."""
    if not result["disclosed"] or not gain.is_sure:
        return None
    paid = result["disclosed"]
    if gain.low is None or gain.high is None:
        return paid / gain.points, None, None
    return paid / gain.points, paid / max(gain.high, gain.points), paid / min(gain.low, gain.points)


def price_of(result: Mapping[str, Any]) -> tuple[float, float] | None:
    """Work out the final model's own price from its accuracies; None where these are not known."""
    final, tested = result.get("final"), result.get("tested")
    if not final or not tested or final["hard"] is None or tested["test"] == tested["hard"]:
        return None
    right = tested["test"] - tested["hard"]
    kept = (final["test"] * tested["test"] - final["hard"] * tested["hard"]) / right
    return 100 * (1 - kept), 100 * final["hard"]
