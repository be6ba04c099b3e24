"""Texts as arrays: one row of bytes a text, in UTF-8, zeros behind its end.

An example of a text is the text itself and no vector of it. As rows of bytes texts go wherever
images go: over the wire, into a vault, a checkpoint or an archive, without pickle.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Bool, Shaped, UInt8

Texts = UInt8[np.ndarray, "_n _width"]
LONGEST = 4096
"""Bytes of a text, where a data set does not say."""
STEP = 32
"""Widths are multiples of it, so that one more letter does not make another task."""
CONTINUES = 0x80
"""The upper two bits of a byte that goes on with a character of UTF-8 are 10."""


def is_text(x: np.ndarray) -> bool:
    """Return whether an array holds texts: rows of bytes."""
    return x.dtype == np.uint8 and x.ndim == 2


def as_bytes(texts: Sequence[str], longest: int = 0) -> tuple[Texts, int]:
    """Return texts as rows of bytes, and how many of them were longer than `longest` bytes and are cut.

    The width is `longest`, or without it what the longest text needs, up to `LONGEST`. Zero bytes
    and halves of characters, which are no text, become a '?'.

    >>> x, cut = as_bytes(["yes", "no"])
    >>> x.shape, cut, as_texts(x)
    ((2, 32), 0, ['yes', 'no'])
    """
    encoded = [text.replace("\0", "?").encode("utf-8", "replace") for text in texts]
    needed = max(map(len, encoded), default=1)
    width = longest or min(LONGEST, max(1, -(-needed // STEP)) * STEP)
    x = np.zeros((len(encoded), width), dtype=np.uint8)
    for row, each in enumerate(encoded):
        part = each if len(each) <= width else whole_characters(each[:width])
        x[row, : len(part)] = np.frombuffer(part, dtype=np.uint8)
    return x, sum(len(each) > width for each in encoded)


def as_texts(x: Texts) -> list[str]:
    """Return rows of bytes as texts; what is no UTF-8 shows as a mark for it."""
    return [content(row).decode("utf-8", "replace") for row in x]


def content(row: Shaped[np.ndarray, " width"]) -> bytes:
    """Return the bytes of one text, without the zeros behind it."""
    return row.tobytes().rstrip(b"\0")


def fitted_width(x: Texts, width: int) -> tuple[Texts, int]:
    """Return the same texts as rows of `width` bytes, and how many had to be cut for it."""
    if x.shape[1] <= width:
        return np.pad(x, ((0, 0), (0, width - x.shape[1]))), 0
    long = np.flatnonzero(x[:, width] != 0)
    fitted = np.array(x[:, :width])
    for row in long:
        part = whole_characters(fitted[row].tobytes())
        fitted[row, len(part) :] = 0
    return fitted, len(long)


def whole_characters(cut: bytes) -> bytes:
    """Return bytes that were cut anywhere without a last character of which only a part is there."""
    end = len(cut)
    while end and cut[end - 1] & 0xC0 == CONTINUES:
        end -= 1
    last = cut[end - 1 :] if end else b""
    try:
        last.decode("utf-8")
    except UnicodeDecodeError:
        return cut[: end - 1]
    return cut


def are_well_formed(x: Texts) -> Bool[np.ndarray, " n"]:
    """Return which rows are one text each: UTF-8, not empty, with zeros behind its end alone."""
    return np.fromiter((_is_well_formed(content(row)) for row in x), dtype=bool, count=len(x))


def _is_well_formed(text: bytes) -> bool:
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return bool(text) and b"\0" not in text


def joined_widths(parts: Iterable[Texts]) -> list[Texts]:
    """Return arrays of texts, all as wide as the widest."""
    given = list(parts)
    width = max(part.shape[1] for part in given)
    return [fitted_width(part, width)[0] for part in given]
