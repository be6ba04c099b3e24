"""What an owner holds, and what its columns say of each record."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Shaped

from clients.answering.picks import first_of_each, positions
from clients.answering.policy import Policy
from mycroft_fl.errors import InputError
from mycroft_fl.examples import Examples


@dataclass(frozen=True, eq=False)
class Marks:
    """What an owner's columns say of each record, in order; None: nothing.

    `persons`: whose it is, where privacy is by person. `shareable`: whether it may ever be handed
    over as it is.
    """

    persons: Shaped[np.ndarray, " n"] | None = None
    shareable: Bool[np.ndarray, " n"] | None = None


@dataclass(frozen=True, eq=False)
class Holdings:
    """An owner's private examples with their marks."""

    examples: Examples
    marks: Marks

    @property
    def by_person(self) -> bool:
        """Whether privacy is by person, not by record."""
        return self.marks.persons is not None

    def persons(self, records: np.ndarray) -> Shaped[np.ndarray, " m"] | None:
        """Whose these records are; None where privacy is by record."""
        return None if self.marks.persons is None else self.marks.persons[records]

    def shareable(self) -> Examples:
        """The records that may be handed over as they are, each content once."""
        first = first_of_each(self.examples.ids)
        allowed = self.marks.shareable
        return self.examples[first if allowed is None else first[allowed[first]]]

    def drawable(self) -> Examples:
        """The records that may be drawn at random: shareable, and of no content with two labels.

        Where one content has two labels, taking away the first would let the second in, and one
        record's absence would count for two.
        """
        pool = self.shareable()
        by_label = np.column_stack([self.examples.ids, self.examples.y])
        contents, labels = np.unique(np.unique(by_label, axis=0)[:, 0], return_counts=True)
        return pool[np.isin(pool.ids, contents[labels == 1])]

    def found(self, ids: np.ndarray) -> Examples:
        """The examples of these ids, in this order, that are still here and may be handed over."""
        held = ids[np.isin(ids, self.shareable().ids)]
        return self.examples[positions(self.examples.ids, held)]

    def check(self, policy: Policy) -> None:
        """`InputError` where the policy allows what cannot be promised of these records."""
        if "raw-gumbel" not in policy.modes:
            return
        if self.by_person:
            raise InputError("raw-gumbel hides records, not persons; leave it out, or unit-id")
        held = len(self.drawable())
        if held < policy.records_at_least:
            raise InputError(
                f"policy.records-at-least is {policy.records_at_least}, but {held} records may "
                "be handed over; lower it"
            )
