"""The relevance of each record to the hard examples of its own class, for a score by class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64
from torch import nn

from mycroft_fl.errors import BadMessage
from mycroft_fl.examples import Examples, hard_classes
from mycroft_fl.models.networks import Classifier
from mycroft_fl.privacy.relevance.hard_set_target import RecordView, Target
from mycroft_fl.protocol.messages import Request

MAX_CLASSES = 256
"""Classes that a score may be by: each record has a number for each of them in memory."""


@dataclass(frozen=True, eq=False)
class ClassTargets:
    """For each class that hard examples have, what a ranking aligns the records of that class with.

    All of it comes from the request; how many there are is never a question of the owner's data.
    """

    model: Classifier
    hard: Examples

    @classmethod
    def asked(cls, model: Classifier, request: Request) -> ClassTargets:
        """Make those of a request.

        `BadMessage` where it brings a target, which stands for all classes, or more than `MAX_CLASSES`.
        """
        if request.target is not None:
            raise BadMessage("a score by class needs hard examples, and a target came instead")
        found = cls(model, request.hard)
        if len(found.classes) > MAX_CLASSES:
            raise BadMessage(f"a score by {len(found.classes)} classes; at most {MAX_CLASSES}")
        return found

    @property
    def classes(self) -> Int64[np.ndarray, " K"]:
        """The classes that hard examples have."""
        return hard_classes(self.hard)

    def target(self, label: int) -> Target | None:
        """Say what records of a class are aligned with.

        None where its hard examples do not agree: nothing is relevant to them.
        """
        hard = self.hard[np.flatnonzero(self.hard.y == label)]
        try:
            return Target.of(self.model, hard).for_ranking(self.model, hard)
        except BadMessage:
            return None

    def relevances(self, head: nn.Linear, seen: RecordView) -> Float64[np.ndarray, "n K"]:
        """Give each record's relevance in the column of its class, as `Target.for_ranking` sees it; else 0.

        All 0 where there are no hard examples of the record's class. Not finite where its gradient
        is not.
        """
        found = np.zeros((len(seen.labels), len(self.classes)))
        for place, label in enumerate(self.classes.tolist()):
            of_class = np.flatnonzero(seen.labels == label)
            # One target at a time: a stranger says how many there are, and how large.
            if (target := self.target(label)) is not None:
                found[of_class, place] = seen[of_class].relevances(head, target)
        return found
