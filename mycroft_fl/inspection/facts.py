"""The facts of one column: its kind, what is missing, how many different values, and from where to where."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float64, Int64

from mycroft_fl.data.tables.cells import TextColumn
from mycroft_fl.data.tables.values import Spelling, number_of

SHOWN, LONGEST = 4, 24


@dataclass(frozen=True, eq=False)
class Facts:
    """One column of a table.

    name      as the header has it
    kind      "number", "category", "date", "id" or "ignore"; "text" for the texts, "label" for the class
    cells     its texts, missing ones found
    spelling  how the file writes numbers and dates
    declared  whether the data set, or the task, says what it holds
    """

    name: str
    kind: str
    cells: TextColumn
    spelling: Spelling
    declared: bool = False

    @cached_property
    def counts(self) -> Int64[np.ndarray, " m"]:
        """How many rows have each text."""
        return self.cells.counts

    @property
    def filled(self) -> int:
        """Rows that have a value."""
        return int(self.counts.sum())

    @property
    def missing(self) -> int:
        """Rows that have none."""
        return len(self.cells) - self.filled

    @cached_property
    def distinct(self) -> int:
        """Different texts."""
        return int((self.counts > 0).sum())

    @cached_property
    def values(self) -> Float64[np.ndarray, " m"]:
        """The number that each text writes; NaN where it writes none."""
        return np.array([number_of(each, self.spelling) for each in self.cells.names], np.float64)

    @property
    def codes(self) -> Int64[np.ndarray, " n"]:
        """A number for each row, equal where a model would see the same: 1 and 1.0 are one number."""
        codes = np.arange(len(self.cells.names))
        if self.kind == "number" and len(codes):
            codes = np.unique(self.values, return_inverse=True, equal_nan=False)[1]
        return np.asarray(np.append(codes, -1)[self.cells.codes], dtype=np.int64)

    @property
    def holds(self) -> str:
        """A line for a person: the range of numbers, or the most frequent texts."""
        finite = self.values[np.isfinite(self.values)] if self.kind == "number" else np.empty(0)
        if len(finite):
            return f"{finite.min():g} to {finite.max():g}"
        often = np.argsort(-self.counts, kind="stable")[:SHOWN]
        texts = [self.cells.names[place][:LONGEST] for place in often if self.counts[place]]
        return ", ".join(texts) + (", ..." if self.distinct > len(texts) else "")
