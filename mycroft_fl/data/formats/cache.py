"""A cache of parsed files, as npz: slow formats are parsed once for all processes."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mycroft_fl import claims
from mycroft_fl.data.formats.files import UNREADABLE, LabelledRows
from mycroft_fl.data.formats.folders import files_under
from mycroft_fl.files import private_folder, written_whole

logger = logging.getLogger(__name__)
LAYOUT = "1"  # of the kept files; another number, and old ones are left alone


def cache_folder() -> Path:
    """Return the folder of what was parsed: $XDG_CACHE_HOME/mycroft-fl, else ~/.cache/mycroft-fl."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mycroft-fl"


def fingerprint(*parts: str | Path) -> str:
    """Digest texts and files: a file's name, size and time; all files of a folder."""
    digest = hashlib.blake2b(LAYOUT.encode(), digest_size=8)
    for part in parts:
        if isinstance(part, str):
            digest.update(f"{part}\n".encode())
            continue
        for file in [each for _, each in files_under(part)] if part.is_dir() else [part]:
            status = file.stat()
            digest.update(f"{file}|{status.st_size}|{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def kept(name: str, key: str, parse: Callable[[], LabelledRows]) -> LabelledRows:
    """Return `parse()`, or what an earlier process kept of it under the same name and key.

    Many processes may do so at once: a file appears whole or not at all. A cache that
    cannot be written is done without.
    """
    path = cache_folder() / f"{name}-{key}.npz"
    found = _find(path)
    if found is not None:
        return found
    rows = parse()
    try:
        _keep(path, rows)
    except OSError as error:
        logger.warning("cannot keep %s for the next time: %s", path, error)
    return rows


def _find(path: Path) -> LabelledRows | None:
    if not path.is_file():
        return None
    try:
        file = claims.read_npz(path)
        return LabelledRows(file["x"], file["y"], tuple(str(name) for name in file["classes"]))
    except (*UNREADABLE, KeyError):
        logger.warning("%s is damaged and is made anew", path)
        return None


def _keep(path: Path, rows: LabelledRows) -> None:
    with written_whole(private_folder(path.parent) / path.name) as file:
        np.savez(file, x=rows.x, y=rows.y, classes=np.array(rows.classes))
