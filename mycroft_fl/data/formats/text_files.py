"""Texts in files of their own, in a folder or zip by class; every flaw names its file."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from mycroft_fl.claims import check_bytes
from mycroft_fl.data.formats.files import LabelledRows, named_labels
from mycroft_fl.data.formats.folders import class_of
from mycroft_fl.data.formats.said import say
from mycroft_fl.errors import DataError
from mycroft_fl.texts import as_bytes


def read_text_files(
    path: Path, files: Sequence[tuple[str, Callable[[], bytes]]], longest: int, encoding: str = ""
) -> LabelledRows:
    """Read texts by class: a text's class is the folder that its file lies in.

    Without `encoding` they are UTF-8, or UTF-16 with its mark. Empty files are left out and counted.
    Raises `DataError`.

    Args:
        path: the folder or zip, for errors.
        files: the name of each file in it, and how to read its bytes.
        longest: bytes of a text, see `texts.as_bytes`.
        encoding: of all files.
    """
    texts, names, empty, size = [], [], 0, 0
    for name, read in files:
        text = _decoded(f"{path.name}: {name}", read(), encoding).strip()
        if not text:
            empty += 1
            continue
        size += len(text)
        check_bytes(size, "all texts up to this one together")
        texts.append(text)
        names.append(class_of(path, name))
    if not texts:
        raise DataError(f"{path} holds no text by class; put texts at <class>/<name>.txt")
    if empty:
        say(f"{path.name}: {empty} of {len(files)} texts are empty, and left out")
    x, cut = as_bytes(texts, longest)
    if cut:
        say(
            f"{path.name}: {cut} texts are longer than {x.shape[1]} bytes, and are cut; set longest"
        )
    labels, classes = named_labels(np.array(names))
    return LabelledRows(x, labels, classes)


def _decoded(place: str, raw: bytes, encoding: str) -> str:
    marked = raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return raw.decode("utf-16" if marked else encoding or "utf-8-sig")
    except UnicodeDecodeError as error:
        found = f"byte 0x{error.object[error.start]:02x}"
        raise DataError(
            f'{place} is not {encoding or "UTF-8"} ({found}); set encoding = "cp1252" (Windows), '
            '"latin-1" or as it was saved'
        ) from error
