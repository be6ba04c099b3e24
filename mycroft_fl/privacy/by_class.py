"""How relevant each record is to the hard examples of its own class, for a score by class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64
from torch import nn

from mycroft_fl.errors import BadMessage
from mycroft_fl.examples import Examples
from mycroft_fl.exchange import Request, hard_classes
from mycroft_fl.models.networks import Classifier
from mycroft_fl.privacy.relevance import Seen, Target


@dataclass(frozen=True, eq=False)
class ClassTargets:
    """For each class that hard examples have, what a ranking aligns the records of that class with.

    None where the hard examples of a class do not agree: nothing is relevant to them. All of it
    comes from the request; how many there are is never a question of the owner's data.
    """

    classes: Int64[np.ndarray, " K"]
    targets: tuple[Target | None, ...]

    @classmethod
    def asked(cls, model: Classifier, request: Request) -> ClassTargets:
        """Those of a request. `BadMessage` where it brings a target, which stands for all classes."""
        if request.target is not None:
            raise BadMessage("a score by class needs hard examples, and a target came instead")
        return cls.of(model, request.hard)

    @classmethod
    def of(cls, model: Classifier, hard: Examples) -> ClassTargets:
        """The targets of hard examples, class by class."""
        classes = hard_classes(hard)
        each = (hard[np.flatnonzero(hard.y == label)] for label in classes)
        return cls(classes, tuple(_target(model, some) for some in each))

    def relevances(self, head: nn.Linear, seen: Seen) -> Float64[np.ndarray, "n K"]:
        """Each record's relevance in the column of its class, as `Target.for_ranking` sees it; else 0.

        All 0 where there are no hard examples of the record's class. Not finite where its gradient
        is not.
        """
        found = np.zeros((len(seen.labels), len(self.classes)))
        for place, (label, target) in enumerate(zip(self.classes, self.targets, strict=True)):
            of_class = np.flatnonzero(seen.labels == label)
            if target is not None:
                found[of_class, place] = seen[of_class].relevances(head, target)
        return found


def _target(model: Classifier, hard: Examples) -> Target | None:
    try:
        return Target.of(model, hard).for_ranking(model, hard)
    except BadMessage:
        return None
