"""The private records of an owner, with what its columns say of each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Shaped

from clients.answering.policy import Policy
from mycroft_fl.data.fitted import Records
from mycroft_fl.errors import InputError
from mycroft_fl.examples import Examples
from mycroft_fl.modes import MODES


@dataclass(frozen=True, eq=False)
class PrivateRecords:
    """An owner's private examples with their marks, in order; None: the owner has no such column.

    `persons`: whose each record is, where privacy is by person. `may_leave`: whether
    it may ever be handed over as it is.

    Example:
        >>> import mycroft_fl as mf, numpy as np
        >>> held = mf.Examples(np.eye(3, dtype=np.float32), np.array([0, 1, 1]))
        >>> len(PrivateRecords(held, may_leave=np.array([True, False, True])).shareable())
        2
    """

    examples: Examples
    persons: Shaped[np.ndarray, " n"] | None = None
    may_leave: Bool[np.ndarray, " n"] | None = None

    @classmethod
    def of(cls, read: Records) -> PrivateRecords:
        """Take an owner's records as they were read."""
        return cls(read.examples, read.units, read.shareable)

    @property
    def by_person(self) -> bool:
        """Whether privacy is by person, not by record."""
        return self.persons is not None

    def persons_of(self, records: np.ndarray) -> Shaped[np.ndarray, " m"] | None:
        """Say whose these records are; None where privacy is by record."""
        return None if self.persons is None else self.persons[records]

    def shareable(self) -> Examples:
        """Give the records that may be handed over as they are, each content once."""
        return self._shareable

    @cached_property
    def _shareable(self) -> Examples:
        # Copies are one example: the first of each stands for them.
        first = np.sort(np.unique(self.examples.ids, return_index=True)[1])
        allowed = self.may_leave
        found = first if allowed is None else first[allowed[first]]
        # Data of gigabytes are held once where all of them may leave. A method may be anybody's code: what
        # it wrote here would be handed over under the id of what was read.
        whole = len(found) == len(self.examples)
        return (self.examples if whole else self.examples[found]).read_only()

    def drawable(self) -> Examples:
        """Give the records that may be drawn at random: shareable, and of no content with two labels.

        Where one content has two labels, taking away the first would let the second in, and one
        record's absence would count for two.
        """
        pool = self.shareable()
        by_label = np.column_stack([self.examples.ids, self.examples.y])
        contents, labels = np.unique(np.unique(by_label, axis=0)[:, 0], return_counts=True)
        return pool[np.isin(pool.ids, contents[labels == 1])]

    def found(self, ids: np.ndarray) -> Examples:
        """Find the examples of these ids, in this order, that are still here and may be handed over."""
        held = ids[np.isin(ids, self.shareable().ids)]
        order = np.argsort(self.examples.ids, kind="stable")
        return self.examples[order[np.searchsorted(self.examples.ids, held, sorter=order)]]

    def check(self, policy: Policy) -> None:
        """Raise `InputError` where the policy allows what cannot be promised of these records."""
        drawn = [name for name in policy.modes if MODES[name].drawn]
        if not drawn:
            return
        if self.by_person:
            raise InputError(f"{drawn[0]} hides records, not persons; leave it out, or unit-id")
        held = len(self.drawable())
        if held < policy.records_at_least:
            raise InputError(
                f"policy.records-at-least is {policy.records_at_least}, but {held} records may "
                "be handed over; lower it"
            )
