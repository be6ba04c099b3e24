"""What is looked at in an answer before it is taken: its form, and whose examples it holds."""

from __future__ import annotations

import logging
from functools import cached_property

import numpy as np
from flwr.app import RecordDict
from jaxtyping import Float

from mycroft_fl.errors import BadMessage
from mycroft_fl.examples import Examples
from mycroft_fl.protocol.messages import Expected, Failure, OwnerReport
from mycroft_fl.protocol.wire import unpack_report
from strategies.rounds.copies import copy_radii, is_copying
from strategies.rounds.owner_record import OwnerRecord
from strategies.training.trainer import Trainer

log = logging.getLogger(__name__)

VALUES_BEYOND_OWN = 100


class AnswerChecks:
    """Looks at answers with what the trainer knows of its task and holds itself."""

    def __init__(self, trainer: Trainer) -> None:
        self._trainer, self._task = trainer, trainer.task

    def of(
        self, content: RecordDict, giver: OwnerRecord, *, k: int, values: int
    ) -> OwnerReport | Failure:
        """The answer of an owner, or the code of what is wrong with it.

        It was asked for `k` examples, or for a noised statistic of that many `values`.
        """
        try:
            answer = unpack_report(content, self.expected(k=k, values=values))
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
        """What the answer of an owner must be that was asked for `k` examples, or so many `values`."""
        task = self._task
        return Expected(task.shape, task.dtype, task.num_classes, k, self.largest_value, values)

    @cached_property
    def largest_value(self) -> float:
        """How large a value of an owner's example may be: far beyond the trainer's own, but finite."""
        return VALUES_BEYOND_OWN * float(np.abs(self._trainer.train.x).max())

    def could_be_real(self, answer: Examples) -> bool:
        """Whether rows of the task's table could have become these vectors; noise put on names shows."""
        table = self._task.table
        return table is None or bool(table.could_hold(answer.x).all())

    def has_copied(self, answer: Examples) -> bool:
        """Whether an owner sends the hard set back instead of examples of its own."""
        return is_copying(answer, self._trainer.hard_set.sent, self._copy_radii)

    @cached_property
    def _copy_radii(self) -> Float[np.ndarray, " h"]:
        hard, splits = self._trainer.hard_set.sent, self._trainer.splits
        if self._task.table is not None:
            # Rows of tables lie close by nature (a flood of like packets): only equal ones are copies.
            return np.zeros(len(hard))
        parts = [self._trainer.train, splits.selection, splits.scoring, splits.tuning]
        return copy_radii(hard, Examples.concatenate(parts))
