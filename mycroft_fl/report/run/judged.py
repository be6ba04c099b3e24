"""The metric of a result: what its models were chosen, scored and compared by, in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mycroft_fl.foreign_text import cleaned
from mycroft_fl.metrics.names import (
    ACCURACY,
    AUC,
    BALANCED,
    COST,
    F1,
    RECALL,
    WORST_GROUP,
    parted,
)

Result = Mapping[str, Any]
MODELS = ("baseline", "control", "own_hard_set", "free", "random", "final")
LONGEST = 60
WORDS = {
    ACCURACY: "accuracy",
    BALANCED: "balanced accuracy",
    F1: "macro F1",
    AUC: "AUC",
    WORST_GROUP: "accuracy of the worst group",
    COST: "minus the mean cost",
}


@dataclass(frozen=True)
class Judged:
    """What a result's verdict goes by: a key of its models' figures, and of its gains.

    `words` name the metric. `where` says on which test examples the figure is.
    """

    key: str
    words: str
    where: str

    @property
    def is_accuracy(self) -> bool:
        """Whether the verdict goes by accuracy on what the baseline gets wrong."""
        return self.key == "hard"


ON_FAILURES = Judged("hard", "accuracy", "on the failures")


def judged_by(result: Result) -> Judged:
    """Find what a result's verdict goes by: accuracy where a model's figure in the metric is missing."""
    name = result.get("metric", ACCURACY)
    models = (result[key] for key in MODELS if key in result)
    if name == ACCURACY or not all("metric" in each for each in models):
        return ON_FAILURES
    return Judged("metric", metric_words(name), "on the whole test")


def metric_words(name: str) -> str:
    """Name a metric in words."""
    kind, argument = parted(name)
    if kind == RECALL:
        return f"recall of {cleaned(argument, LONGEST)}"
    return WORDS.get(kind, cleaned(name, LONGEST))
