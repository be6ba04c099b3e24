"""Checks of an answer before it is taken: its form, and whose examples it holds."""

from __future__ import annotations

import logging
from functools import cached_property

import numpy as np
from flwr.app import RecordDict
from jaxtyping import Bool, Float

from mycroft_fl.errors import BadMessage
from mycroft_fl.examples import Examples
from mycroft_fl.protocol.messages import Expected, Failure, OwnerReport
from mycroft_fl.protocol.wire import unpack_report
from strategies.rounds.owner_record import OwnerRecord
from strategies.training.trainer import Trainer

log = logging.getLogger(__name__)

VALUES_BEYOND_OWN = 100

COPIES_TOLERATED = 0.1
"""Share of an answer that may be near-copies of the hard set; a few may be so by chance."""

NEAR = 1 / 3
"""Radius of a copy, as a share of the way from a hard example to the nearest other that the trainer
holds. No owner with up to fifteen times its examples was wrongly refused; at 1/2 it was 1 in 30
(8x8 digits)."""


class AnswerChecks:
    """Checks answers by what the trainer knows of its task and holds itself."""

    def __init__(self, trainer: Trainer) -> None:
        self._trainer, self._task = trainer, trainer.task

    def of(
        self, content: RecordDict, giver: OwnerRecord, expected: Expected
    ) -> OwnerReport | Failure:
        """Unpack the answer of an owner; the code of what is wrong with it, if anything is."""
        try:
            answer = unpack_report(content, expected)
        except BadMessage as error:
            log.warning("the answer of %s is malformed: %s", giver.owner, error)
            return "malformed"
        if answer.disclosed is None:
            return answer
        if not self.could_be_real(answer.disclosed):
            log.warning(
                "the answer of %s holds rows that no table of the task can have", giver.owner
            )
            return "malformed"
        sold_again = giver.holds_again(answer.disclosed)
        return "duplicate" if sold_again or self.has_copied(answer.disclosed) else answer

    def expected(self, *, k: int, values: int) -> Expected:
        """Describe the answer to a request for `k` examples, or for a statistic of so many `values`."""
        task = self._task
        return Expected(task.shape, task.dtype, task.num_classes, k, self.largest_value, values)

    @cached_property
    def largest_value(self) -> float:
        """Largest value that an owner's example may have: far beyond the trainer's own, but finite."""
        return VALUES_BEYOND_OWN * float(np.abs(self._trainer.train.x).max())

    def could_be_real(self, answer: Examples) -> bool:
        """Check whether rows of the task's table could be these vectors; noise put on names shows."""
        table = self._task.table
        return table is None or bool(table.could_hold(answer.x).all())

    def has_copied(self, answer: Examples) -> bool:
        """Check whether an owner sends the hard set back instead of examples of its own."""
        return is_copying(answer, self._trainer.hard_set.sent, self._copy_radii)

    @cached_property
    def _copy_radii(self) -> Float[np.ndarray, " h"]:
        hard, splits = self._trainer.hard_set.sent, self._trainer.splits
        if self._task.table is not None or self._task.holds_texts:
            # Rows of tables lie close by nature (a flood of like packets): only equal ones are copies.
            # Between the bytes of two texts a distance says nothing.
            return np.zeros(len(hard))
        parts = [self._trainer.train, splits.selection, splits.scoring, splits.tuning]
        return copy_radii(hard, Examples.concatenate(parts))


def copy_radii(hard: Examples, others: Examples) -> Float[np.ndarray, " h"]:
    """Compute how near to each hard example an example must lie to be a copy of it.

    `others` are what else the trainer holds: they show how near natural neighbours come. The
    hard examples alone would not: few of them lie far apart.
    """
    apart = _distances(Examples.concatenate([hard, others]), hard)
    apart[apart == 0] = np.inf
    nearest = apart.min(axis=0)
    return np.where(np.isfinite(nearest), NEAR * nearest, 0.0)


def hard_set_copies(
    answer: Examples, hard: Examples, radii: Float[np.ndarray, " h"]
) -> Bool[np.ndarray, " n"]:
    """Find which examples of an answer are the hard set sent back, exactly or slightly changed."""
    if len(answer) == 0:
        return np.zeros(0, dtype=bool)
    near = (_distances(answer, hard) < radii).any(axis=1)
    copies: np.ndarray = np.isin(answer.ids, hard.ids) | near
    return copies


def is_copying(answer: Examples, hard: Examples, radii: Float[np.ndarray, " h"]) -> bool:
    """Check whether too much of an answer is the hard set sent back."""
    copies = hard_set_copies(answer, hard, radii)
    return bool(len(answer)) and float(copies.mean()) > COPIES_TOLERATED


def _distances(a: Examples, b: Examples) -> np.ndarray:
    """Compute Euclidean distances, by differences: the near-zero ones are those that count."""
    left = a.x.reshape(len(a), -1).astype(np.float64)
    right = b.x.reshape(len(b), -1).astype(np.float64)
    return np.stack([np.linalg.norm(left - row, axis=1) for row in right], axis=1)
