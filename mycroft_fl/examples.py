"""Labelled examples in memory, and the hard ones among them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int, Int64, UInt8

from mycroft_fl.errors import DataError
from mycroft_fl.texts import Texts, content, is_text

Images = UInt8[np.ndarray, "n channels height width"]
Vectors = Float[np.ndarray, "n d"]
FloatImages = Float[np.ndarray, "n channels height width"]
"""Images between bytes: an attack's probes and reconstructions."""


@dataclass(frozen=True, eq=False)
class Examples:
    """Labelled examples in memory.

    `x` holds images (uint8, n x channels x height x width), vectors (float32, n x d) or texts
    (uint8, n x width, see `texts`); `y` holds labels (int64, n). An example's identity is its content,
    see `ids`.

    Example:
        >>> some = Examples(np.eye(3, dtype=np.float32), np.array([0, 1, 1]))
        >>> len(some[some.y == 1])
        2
    """

    x: Images | Vectors | FloatImages | Texts
    y: Int64[np.ndarray, " n"]

    def __post_init__(self) -> None:
        if len(self.x) != len(self.y):
            raise DataError(
                f"{len(self.x)} examples but {len(self.y)} labels; give one label per example"
            )

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(
        self, index: Int[np.ndarray, " k"] | Bool[np.ndarray, " n"] | slice
    ) -> Examples:
        chosen = Examples(self.x[index], self.y[index])
        if "ids" in vars(self):  # digests of a large set take longer than all else: once is enough
            vars(chosen)["ids"] = self.ids[index]
        return chosen

    @cached_property
    def ids(self) -> Int64[np.ndarray, " n"]:
        """A 64-bit digest of each example's x. The label is left out: redrawing it changes nobody.

        A text's is of the text alone, whatever the width of its row.
        """
        rows = np.ascontiguousarray(self.x)
        contents = map(content, rows) if is_text(rows) else (row.tobytes() for row in rows)
        digests = (hashlib.blake2b(each, digest_size=8).digest() for each in contents)
        return np.frombuffer(b"".join(digests), dtype=np.int64)

    def read_only(self) -> Examples:
        """Return the same examples, in the same memory, for whoever is to read and never to write."""
        views = self.x.view(), self.y.view()
        for view in views:
            view.flags.writeable = False
        shown = Examples(*views)
        if "ids" in vars(self):
            vars(shown)["ids"] = self.ids
        return shown

    @staticmethod
    def concatenate(parts: list[Examples]) -> Examples:
        """Return one set that holds all `parts`, in order."""
        joined = Examples(
            np.concatenate([part.x for part in parts]), np.concatenate([part.y for part in parts])
        )
        if all("ids" in vars(part) for part in parts):
            vars(joined)["ids"] = np.concatenate([part.ids for part in parts])
        return joined


def hard_classes(hard: Examples) -> Int64[np.ndarray, " K"]:
    """Return the classes of hard examples, ascending: in this order stand the sums of a score by class."""
    classes: np.ndarray = np.unique(hard.y)
    return classes
