"""The smallest gain that a validation set can tell from chance."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

from mycroft_fl.settings.run_config import RunConfig

POWER = 0.8
ONE_IN_TEN = 0.1


@dataclass(frozen=True)
class Detectable:
    """Gains in accuracy, as shares, that show beyond doubt four times in five.

    at_best   every prediction that changes becomes right
    usual     one prediction in ten changes, for better or worse; None where no gain within a tenth shows
    """

    examples: int
    at_best: float
    usual: float | None


def detectable(examples: int, confidence: float = 0.95, power: float = POWER) -> Detectable:
    """Return the smallest gains that so many examples tell from chance, as scores are judged.

    Two models are compared on the same examples. Each differs by 1, 0 or -1, so a gain g where a share
    d of predictions changes has a standard error of sqrt((d - g^2) / n); it shows where it is
    z(confidence) + z(power) times as large (McNemar's comparison, Lachin 1992).

    >>> found = detectable(400)
    >>> round(100 * found.at_best, 1), round(100 * found.usual, 1)
    (1.9, 4.4)

    Args:
        examples: that judge.
        confidence: of a score's interval.
        power: how often the gain is to show.
    """
    normal = NormalDist()
    k = normal.inv_cdf((1 + confidence) / 2) + normal.inv_cdf(power)
    at_best = k * k / (examples + k * k)
    usual = k * sqrt(ONE_IN_TEN / (examples + k * k))
    return Detectable(examples, at_best, usual if usual < ONE_IN_TEN else None)


def power_lines(validation: int) -> list[str]:
    """Return what a validation set of so many examples can tell, for a person.

    By default, four in five of them judge scores; the others tune.
    """
    config = RunConfig()
    judging = round(validation * (config.split_selection + config.split_scoring))
    found = detectable(max(judging, 1), config.scoring_confidence)
    usual = (
        f"{_points(found.usual)} points show if one prediction in ten changes"
        if found.usual is not None
        else "no gain shows if only one prediction in ten changes"
    )
    return [
        f"of {validation} validation examples {judging} judge: a gain in accuracy of "
        f"{_points(found.at_best)} points shows if every changed prediction becomes right;",
        f"{usual} (four times in five, at {100 * config.scoring_confidence:.0f} %)",
    ]


def _points(share: float) -> str:
    return f"{max(100 * share, 0.1):.1f}"
