"""The free rival: the strongest model that a trainer can have without any owner."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mycroft_fl.examples import Examples
from mycroft_fl.models.fitting import AnyModel, accuracy, correct

SHARES = (0.15, 0.3, 0.45)
"""What all own failures may weigh in a batch."""


@dataclass(frozen=True)
class FreeRival:
    """A model made of a trainer's own data, and the name of the candidate that it is."""

    name: str
    model: AnyModel


@dataclass(frozen=True)
class Known:
    """Everything that a trainer holds but what it tunes on: own data, and failures of its baseline.

    Validation examples that the baseline gets right join the own data.
    """

    own: Examples
    failures: Examples

    @classmethod
    def of(cls, baseline: AnyModel, train: Examples, *validation: Examples) -> Known:
        """Sort validation examples by whether the baseline gets them right."""
        seen = Examples.concatenate(list(validation))
        right = correct(baseline, seen)
        return cls(Examples.concatenate([train, seen[right]]), seen[~right])


def free_rival(
    others: Mapping[str, AnyModel],
    with_all: Callable[[float], AnyModel],
    tuning: Examples,
) -> FreeRival:
    """Choose, on the tuning split, the best model that no owner has any part in.

    Args:
        others: Models that use less than all that is known, by name.
        with_all: Makes a model of all that is known, its failures at a share of each batch.
        tuning: Examples that no candidate was trained on.

    Returns:
        The best of them. Of equals the last one, which has seen more.
    """
    candidates = {
        **others,
        **{f"all failures, share {share:g}": with_all(share) for share in SHARES},
    }
    reached = {name: accuracy(model, tuning) for name, model in candidates.items()}
    best = max(reached.values())
    name = [each for each, value in reached.items() if value == best][-1]
    return FreeRival(name, candidates[name])
