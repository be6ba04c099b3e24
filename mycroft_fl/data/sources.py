"""From a data set's name or path to examples in memory."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from mycroft_fl.config import suggestion
from mycroft_fl.data.cache import cache_folder
from mycroft_fl.data.files import Rows, read_images, read_npz
from mycroft_fl.data.known import KNOWN
from mycroft_fl.errors import DataError
from mycroft_fl.examples import Examples


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set's distinct examples, in the order of their file. Shared by all: read-only.

    `classes[label]` is a class's name; `duplicates` counts the rows that were dropped because
    one before them had the same content.
    """

    examples: Examples
    classes: tuple[str, ...]
    duplicates: int


def load_dataset(name: str, base: Path) -> Dataset:
    """The known data set of that name, else the npz, zip or folder at that path.

    A relative path is taken from `base`. Images are uint8 (n c h w), vectors float32 (n d).
    Loaded once per process. Raises `DataError`.
    """
    if name in KNOWN:
        return _load_known(name, os.environ.get("MYCROFT_DATA"), cache_folder())
    path = (base / Path(name).expanduser()).absolute()
    try:
        changed = path.stat().st_mtime_ns
    except (OSError, ValueError) as error:
        raise DataError(
            f"no data set '{name}', and nothing at {path}{suggestion(name, list(KNOWN))} (or "
            "give a path to an npz file, or to a folder or zip of images by class)"
        ) from error
    return _load_file(path, changed)


# Environment and time of change belong to the key: another folder or file is another data set.
@lru_cache(maxsize=8)
def _load_known(name: str, data_folder: str | None, cache: Path) -> Dataset:
    return distinct(KNOWN[name]())


@lru_cache(maxsize=8)
def _load_file(path: Path, changed: int) -> Dataset:
    if path.is_dir() or path.suffix.lower() == ".zip":
        return distinct(read_images(path))
    if path.suffix.lower() == ".npz":
        return distinct(read_npz(path))
    raise DataError(
        f"{path} is not a data set; give an npz file, or a folder or zip of images by class"
    )


def distinct(rows: Rows) -> Dataset:
    """The data set without the rows whose content stood there already; the first are kept."""
    examples = Examples(rows.x, rows.y)
    _, first = np.unique(examples.ids, return_index=True)
    if len(first) < len(examples):
        examples = examples[np.sort(first)]
    examples.x.flags.writeable = examples.y.flags.writeable = False
    return Dataset(examples, rows.classes, len(rows.y) - len(first))
