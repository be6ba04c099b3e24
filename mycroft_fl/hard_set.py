"""The hard set: what the model gets wrong. A part is sent, a part is kept to score with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64, Int, Int64

from mycroft_fl.errors import DataError
from mycroft_fl.examples import Examples, hard_classes

LEAST_LOST = 1e-9
"""A class whose hard examples take nothing from the metric gives its own behind all others."""


@dataclass(frozen=True)
class Splits:
    """The trainer's validation examples, split once.

    `selection` gives the hard set, `scoring` judges owners and never leaves, `tuning` chooses
    epochs and weights.
    """

    selection: Examples
    scoring: Examples
    tuning: Examples

    @property
    def not_tuning(self) -> Examples:
        """All that models may be trained on once nobody is scored any more."""
        return Examples.concatenate([self.selection, self.scoring])


@dataclass(frozen=True)
class HardSet:
    """Hard examples: `sent` to the owners, and the labels of all that the selection split had."""

    sent: Examples
    labels: Int64[np.ndarray, " f"]
    """The labels of all that were found, sent or not."""

    @property
    def found(self) -> int:
        """How many the selection split had."""
        return len(self.labels)

    @property
    def shares(self) -> Float64[np.ndarray, " K"]:
        """Each class's share of those found, over the classes sent, ascending; they add up to 1.

        Those sent are balanced over classes and say nothing of it.
        """
        counts = [np.count_nonzero(self.labels == label) for label in hard_classes(self.sent)]
        shares: np.ndarray = np.array(counts) / sum(counts)
        return shares


def split_validation(
    validation: Examples, *, selection: float, scoring: float, seed: int
) -> Splits:
    """Split at random by the shares `selection` and `scoring`; the rest is for tuning.

    Args:
        validation: the trainer's own examples.
        selection: share that hard examples are found in.
        scoring: share that owners are scored by.
        seed: of the split.
    """
    n = len(validation)
    first, second = round(selection * n), round((selection + scoring) * n)
    if not 0 < first < second < n:
        raise DataError(
            f"{n} validation examples are too few for shares {selection} and {scoring}; "
            "give at least a few dozen"
        )
    order = np.random.default_rng(seed).permutation(n)
    parts = np.split(order, [first, second])
    return Splits(*(validation[part] for part in parts))


def find_hard_set(
    selection: Examples,
    *,
    correct: Bool[np.ndarray, " n"],
    loss: Float[np.ndarray, " n"],
    rule: str,
    sent: int,
    classes: frozenset[int] = frozenset(),
    lost: Float64[np.ndarray, " n"] | None = None,
) -> HardSet:
    """Return the hard examples of the selection split, `sent` of them, spread over classes.

    All classes give alike, or in proportion to what their hard examples take from the metric.

    Within a class the hardest go first: they are the furthest from being solved by chance.

    Args:
        selection: the selection split.
        correct: which of it the model gets right.
        loss: the model's, a number each.
        rule: "misclassified" (failures) or "highest-loss" (whatever the model loses most on, where
            failures are too few).
        sent: how many at most.
        classes: the only ones that may be hard; empty for all.
        lost: what each example takes from the metric; None where all classes are to give alike.
    """
    eligible = np.isin(selection.y, list(classes)) if classes else np.ones(len(selection), bool)
    if not eligible.any():
        raise DataError(
            f"none of {len(selection)} validation examples is of the classes that may be hard; "
            "name others in hard-set.classes or give validation examples of these"
        )
    candidates = np.flatnonzero(eligible if rule == "highest-loss" else eligible & ~correct)
    hardest_first = candidates[np.argsort(-loss[candidates], kind="stable")]
    if rule == "highest-loss":
        # All examples are candidates, but only the hardest few of the whole are worth balancing.
        hardest_first = hardest_first[: 4 * sent]
    if len(candidates) == 0:
        raise DataError(
            f"the model gets none of {int(eligible.sum())} eligible validation examples wrong, so there "
            'is no hard set; give harder validation examples or set hard-set.rule = "highest-loss"'
        )
    chosen = _spread(hardest_first, selection.y, sent, lost)
    return HardSet(selection[chosen], labels=selection.y[hardest_first])


def _spread(
    candidates: Int[np.ndarray, " c"],
    y: Int64[np.ndarray, " n"],
    count: int,
    lost: Float64[np.ndarray, " n"] | None,
) -> Int[np.ndarray, " k"]:
    """Return `count` candidates, the first of each class, classes in proportion to what they lose.

    Where all lose alike, every class gives one in turn, as far as it goes. (Sainte-Lague's method:
    the j-th of a class has its turn at (j - 1/2) / loss.)
    """
    turn = np.empty(len(candidates))
    for label in np.unique(y[candidates]):
        of_class = y[candidates] == label
        weight = 1.0 if lost is None else max(float(lost[candidates[of_class]].sum()), LEAST_LOST)
        turn[of_class] = (np.arange(of_class.sum()) + 0.5) / weight
    return candidates[np.argsort(turn, kind="stable")][:count]
