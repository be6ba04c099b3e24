"""The encoding of a file's text: by its mark, by a setting, or UTF-8."""

from __future__ import annotations

import codecs

from mycroft_fl.errors import DataError

MARKS = {
    codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16",
}  # fmt: skip
"""Marks and what they say, longer ones first: that of UTF-16 begins that of UTF-32."""
ZERO_BYTES = (
    'it holds zero bytes, so it is no such text; if it is UTF-16, set encoding = "utf-16-le"'
)


def marked_encoding(begins: bytes) -> str:
    """Return the encoding that a file's first four bytes name; "" where they name none.

    >>> marked_encoding(b"\\xff\\xfea\\x00"), marked_encoding(b"text")
    ('utf-16', '')
    """
    return next((name for mark, name in MARKS.items() if begins.startswith(mark)), "")


def decoded(place: str, raw: bytes, encoding: str = "") -> str:
    """Return a file's text. A mark is certain, whatever `encoding` says; without either it is UTF-8.

    Raises `DataError`, which begins with `place`, where the bytes are no such text.
    """
    marked = marked_encoding(raw[:4])
    try:
        text = raw.decode(marked or encoding or "utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{place}: {not_so_encoded(error, marked, encoding)}") from error
    if "\0" in text:
        raise DataError(f"{place}: {ZERO_BYTES}")
    return text


def not_so_encoded(error: UnicodeDecodeError, marked: str, encoding: str) -> str:
    """Say which byte is not of the encoding that a mark or a setting named, and what to set."""
    found = f"byte 0x{error.object[error.start]:02x}"
    if marked:
        return f"it begins as {marked} but goes on as something else ({found}); save it anew"
    if encoding:
        return f"it is not {encoding} ({found}); set encoding as it was saved"
    return f'it is not UTF-8 ({found}); set encoding = "cp1252" (Windows), "latin-1" or as it was saved'
