"""Columns of text: the distinct texts of a file's column, and which of them each row has.

Whatever a text means is worked out for each distinct text alone. So no row of a file decides how
another row is read, and two files that write a value alike are read alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Int32, Int64, Shaped


@dataclass(frozen=True, eq=False)
class TextColumn:
    """One column: `names[codes[i]]` is the text of row i; a code of -1 says that it is missing."""

    codes: Int32[np.ndarray, " n"]
    names: tuple[str, ...]

    @classmethod
    def of(cls, texts: Iterable[str | None]) -> TextColumn:
        """Return the column of these texts."""
        known: dict[str, int] = {}
        codes = [-1 if text is None else known.setdefault(text, len(known)) for text in texts]
        return cls(np.array(codes, dtype=np.int32), tuple(known))

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, rows: np.ndarray) -> TextColumn:
        return TextColumn(self.codes[rows], self.names)

    def text(self, row: int) -> str | None:
        """Return one row's text."""
        code = int(self.codes[row])
        return None if code < 0 else self.names[code]

    @property
    def texts(self) -> Shaped[np.ndarray, " n"]:
        """All texts, row by row; None where it is missing."""
        return self.each(lambda text: text, object, None)

    @property
    def missing(self) -> Bool[np.ndarray, " n"]:
        """Which rows have no text."""
        return self.codes < 0

    @property
    def counts(self) -> Int64[np.ndarray, " m"]:
        """How many rows have each of the distinct texts."""
        return np.bincount(self.codes[self.codes >= 0], minlength=len(self.names))

    def used(self) -> TextColumn:
        """Return the column without texts that stand in other rows alone, in their order in it.

        >>> TextColumn.of(["a", "b", None, "c"])[np.array([3, 2, 1])].used().names
        ('c', 'b')
        """
        found, first = np.unique(self.codes, return_index=True)
        found = found[np.argsort(first)]
        found = found[found >= 0]
        place = np.full(len(self.names) + 1, -1, dtype=np.int32)
        place[found] = np.arange(len(found), dtype=np.int32)
        return TextColumn(place[self.codes], tuple(self.names[code] for code in found))

    def each(self, meaning: Callable[[str], Any], dtype: Any, missing: Any) -> np.ndarray:
        """Return what each row's text means; `missing` for a row without one."""
        values = np.empty(len(self.names) + 1, dtype=dtype)
        for place, name in enumerate(self.names):
            values[place] = meaning(name)
        values[-1] = missing  # where a code of -1 points to
        return np.asarray(values[self.codes])

    def renamed(self, name_of: Callable[[str], str | None]) -> TextColumn:
        """Return the column with other texts in their place, or none."""
        known: dict[str, int] = {}
        codes = np.empty(len(self.names) + 1, dtype=np.int32)
        for place, name in enumerate(map(name_of, self.names)):
            codes[place] = -1 if name is None else known.setdefault(name, len(known))
        codes[-1] = -1
        return TextColumn(codes[self.codes], tuple(known))


def joined(first: TextColumn, second: TextColumn) -> TextColumn:
    """Return the rows of both, one after the other."""
    place = {name: code for code, name in enumerate(first.names)}
    moved = second.each(lambda name: place.setdefault(name, len(place)), np.int32, -1)
    return TextColumn(np.concatenate([first.codes, moved]), tuple(place))
