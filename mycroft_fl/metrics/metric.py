"""The metric: what a good model is judged by, and how far each example counts for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Float64, Int64, Shaped

from mycroft_fl.errors import DataError, SettingError, suggestion
from mycroft_fl.metrics.costs import read_costs
from mycroft_fl.metrics.names import (
    ACCURACY,
    AUC,
    AUTO,
    BALANCED,
    COST,
    F1,
    RECALL,
    WORST_GROUP,
    check_metric,
    cost_file,
    parted,
)
from mycroft_fl.metrics.values import Valued, macro_auc, macro_f1, shares_of, worst_share
from mycroft_fl.scoring import Draws, weighted_gains

Probabilities = Float[np.ndarray, "n C"]
CLEARLY = 4
"""Classes are clearly unequal where the rarest holds less than this part of an equal share, ..."""
ENOUGH = 16
"""... and an equal share is so many examples: below, luck could have made it so."""
A_BLOCK = 1 << 18
"""Numbers of one temporary array of a bootstrap that recomputes the metric."""


@dataclass(frozen=True, eq=False)
class Metric:
    """A metric of a task with `classes`: `kind` as in `metrics.names`, larger values being better.

    `label` is the class that recall is of. `costs` has a row for each true class and a column for
    each answer, in units of the largest. `reason` says why the setting `auto` took it.
    """

    kind: str
    label: int | None = None
    costs: Float64[np.ndarray, "C C"] | None = None
    name: str = ""
    reason: str = ""

    @classmethod
    def of(cls, text: str, classes: Sequence[str]) -> Metric:
        """Make the metric of that name, other than `auto`. `SettingError` or `DataError` if there is none."""
        check_metric(text)
        kind, argument = parted(text)
        if kind == RECALL:
            if argument not in classes:
                hint = suggestion(argument, list(classes))
                raise SettingError(f"metric names the unknown class '{argument}'{hint}")
            return cls(kind, label=classes.index(argument), name=text)
        if kind == COST:
            path = cost_file(text)
            assert path is not None
            costs = read_costs(path, classes)
            return cls(kind, costs=costs / costs.max(), name=text)
        return cls(kind, name=text)

    @classmethod
    def chosen(cls, text: str, classes: Sequence[str], y: Int64[np.ndarray, " n"]) -> Metric:
        """Make the metric of that name, or for `auto` the one that suits the labels `y`.

        `DataError` where it is the recall of a class that `y` lacks.
        """
        if text != AUTO:
            found = cls.of(text, classes)
            if found.label is not None and found.label not in y:
                raise DataError(
                    f"metric is '{text}', and none of {len(y)} validation examples is of that class; give "
                    "some, or choose another metric"
                )
            return found
        labels, counts = np.unique(y, return_counts=True)
        equal = len(y) / max(1, len(labels))
        rarest = int(counts.argmin()) if len(counts) else 0
        if len(labels) < 2 or equal < ENOUGH or counts[rarest] * CLEARLY >= equal:
            return cls(ACCURACY, name=ACCURACY)
        return cls(
            BALANCED,
            name=BALANCED,
            reason=f"class '{classes[labels[rarest]]}' has {counts[rarest]} of {len(y)} validation "
            f"examples, less than a quarter of an equal share ({equal:.0f})",
        )

    @property
    def is_accuracy(self) -> bool:
        """Whether every example counts alike."""
        return self.kind == ACCURACY

    def value(
        self,
        y: Int64[np.ndarray, " n"],
        probabilities: Probabilities,
        groups: Shaped[np.ndarray, " n"] | None = None,
    ) -> float:
        """Compute the metric of a model that gives these probabilities; its answers are the likeliest.

        From 0 to 1, of costs from -1 to 0. `groups` count for the worst group alone; without them
        that is the worst class.
        """
        return self.on(y, groups).value(probabilities)

    def on(
        self, y: Int64[np.ndarray, " n"], groups: Shaped[np.ndarray, " n"] | None = None
    ) -> OnExamples:
        """Hold the metric against examples of these labels, and groups where they are known."""
        return OnExamples(
            self, y, None if groups is None else np.unique(groups, return_inverse=True)[1]
        )

    def lost(
        self, y: Int64[np.ndarray, " n"], answers: Int64[np.ndarray, " n"]
    ) -> Float64[np.ndarray, " n"]:
        """Say how much each wrong answer takes from the metric, in a unit of its own; 0 where it is right.

        An example of a rare class counts for more in all metrics that take classes alike.
        """
        if self.costs is not None:
            return np.asarray(self.costs[y, answers] - self.costs[y, y])
        wrong = np.asarray(answers != y, dtype=np.float64)
        if self.kind == ACCURACY:
            return wrong
        strata = y if self.label is None else np.where(y == self.label, 0, -1)
        return np.asarray(wrong * len(y) / shares_of(np.ones((1, len(y)), np.int64), strata)[0])


def check_metric_of(text: str, classes: Sequence[str]) -> None:
    """Raise `SettingError` or `DataError` where a task of these classes has no such metric."""
    if text != AUTO:
        Metric.of(text, classes)


ACCURATE = Metric(ACCURACY, name=ACCURACY)


@dataclass(frozen=True, eq=False)
class OnExamples:
    """A metric on given examples; `groups` are numbers, one an example, where they are known."""

    metric: Metric
    y: Int64[np.ndarray, " n"]
    groups: Int64[np.ndarray, " n"] | None = None

    def value(self, probabilities: Probabilities) -> float:
        """Compute the metric of a model that gives these probabilities."""
        if self._valued is None:
            found = float((self._each(probabilities) * self._weights).mean())
        else:
            found = float(self._valued(probabilities.astype(np.float64), self._once)[0])
        return min(max(found, -1.0), 1.0)  # sums of rounded shares may pass a range's end

    def gains(
        self,
        with_subset: Float[np.ndarray, "repeats n C"],
        without: Float[np.ndarray, "repeats n C"],
        drawn: Draws,
    ) -> tuple[float, Float64[np.ndarray, " b"]]:
        """Compute the gain in the metric: its mean over repeats, and that of each resample.

        A mean over examples weighs each one's gain; what is no mean is computed anew for each resample.
        """
        if self._valued is None:
            gained = [
                self._each(a) - self._each(b) for a, b in zip(with_subset, without, strict=True)
            ]
            weights = drawn.counts / shares_of(drawn.counts, self._strata)
            return weighted_gains(np.stack(gained), self._weights, drawn, weights)
        whole = [self.value(a) - self.value(b) for a, b in zip(with_subset, without, strict=True)]
        resampled = np.stack(
            [self._resampled(a, drawn) - self._resampled(b, drawn)
             for a, b in zip(with_subset, without, strict=True)], axis=1,
        )  # fmt: skip
        return float(np.mean(whole)), (drawn.of_repeats * resampled).sum(axis=1)

    def _resampled(self, probabilities: Probabilities, drawn: Draws) -> Float64[np.ndarray, " b"]:
        assert self._valued is not None
        step = max(1, A_BLOCK // max(1, len(self.y)))
        blocks = range(0, len(drawn.counts), step)
        exact = probabilities.astype(np.float64)
        return np.concatenate([self._valued(exact, drawn.counts[at : at + step]) for at in blocks])

    def _each(self, probabilities: Probabilities) -> Float64[np.ndarray, " n"]:
        """Say what each answer is worth: 1 if right and 0 if wrong, or minus its cost."""
        answers = probabilities.argmax(axis=1)
        if self.metric.costs is not None:
            return np.asarray(-self.metric.costs[self.y, answers])
        return np.asarray(answers == self.y, dtype=np.float64)

    @cached_property
    def _valued(self) -> Valued | None:
        """How a metric that is no mean over examples is computed; None for one that is."""
        if self.metric.kind == WORST_GROUP:
            return worst_share(self.y if self.groups is None else self.groups, self.y)
        makes = {F1: macro_f1, AUC: macro_auc}.get(self.metric.kind)
        return makes(self.y) if makes else None

    @cached_property
    def _strata(self) -> Int64[np.ndarray, " n"]:
        """Examples whose mean counts as one: all of them, those of a class, or those of one class alone."""
        if self.metric.kind == BALANCED:
            return self.y
        if self.metric.label is not None:
            return np.where(self.y == self.metric.label, 0, -1)
        return np.zeros_like(self.y)

    @property
    def _once(self) -> Int64[np.ndarray, "1 n"]:
        return np.ones((1, len(self.y)), np.int64)

    @cached_property
    def _weights(self) -> Float64[np.ndarray, " n"]:
        """What each example weighs, so that a weighted mean over all is the metric; 1 for accuracy."""
        return np.asarray(len(self.y) / shares_of(self._once, self._strata)[0])
