"""Texts in files of their own, in a folder or zip by class; every flaw names its file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from mycroft_fl.claims import check_bytes
from mycroft_fl.data.formats.encoded import decoded
from mycroft_fl.data.formats.files import LabelledRows, named_labels
from mycroft_fl.data.formats.folders import class_of
from mycroft_fl.data.formats.said import say, say_changed
from mycroft_fl.errors import DataError
from mycroft_fl.texts import as_bytes


def read_text_files(
    path: Path, files: Sequence[tuple[str, Callable[[], bytes]]], longest: int, encoding: str = ""
) -> LabelledRows:
    """Read texts by class: a text's class is the folder that its file lies in.

    Without `encoding` they are UTF-8; a mark counts more than either. Empty files are left out and counted.
    Raises `DataError`.

    Args:
        path: the folder or zip, for errors.
        files: the name of each file in it, and how to read its bytes.
        longest: bytes of a text, see `texts.as_bytes`.
        encoding: of all files.
    """
    texts, names, empty, size = [], [], 0, 0
    for name, read in files:
        text = decoded(f"{path.name}: {name}", read(), encoding).strip()
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
    say_changed(path.name, texts, cut, x.shape[1])
    labels, classes = named_labels(np.array(names))
    return LabelledRows(x, labels, classes)
