"""Files of ours: written whole or not at all, for their user alone; a full disk is said in a line.

And folders of others: what leads out of one, by a link, is neither read nor written.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from mycroft_fl.errors import DiskFull, InputError

PRIVATE_FILE, PRIVATE_FOLDER = 0o600, 0o700
OTHERS = 0o077
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
SAID_WHEN_FULL = ("No space left on device", "disk is full", "Disk quota exceeded")
"""By SQLite, by safetensors, by archives: they keep no number of the error."""


def keep_private() -> Callable[[], object]:
    """Let nobody else read what this process, and any that it starts, will write.

    Returns what takes that back.
    """
    before = os.umask(OTHERS)
    os.umask(before | OTHERS)
    return lambda: os.umask(before)


def private_folder(path: Path) -> Path:
    """The folder, made with all above it where it is missing; for its user alone if it is new."""
    if not path.is_dir():
        path.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
    return path


@contextmanager
def written_whole(path: Path) -> Iterator[IO[bytes]]:
    """A stream whose content is in `path` once `with` has ended: all of it, and durable.

    Where `with` ends by an error, or the disk is full, what was in `path` before is there still
    and nothing else is. A link in that place is replaced, not followed. Mode 0600.
    """
    # Of a name that nobody could have put a link at; beside it, since a rename is whole within one
    # file system only. mkstemp makes it 0600.
    place, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.", suffix=".part")
    part = Path(name)
    try:
        with os.fdopen(place, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
    except BaseException:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise
    make_durable(path.parent)


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all, durable when this returns; mode 0600."""
    with written_whole(path) as stream:
        stream.write(content.encode() if isinstance(content, str) else content)


def make_durable(path: Path) -> None:
    """Have what was written to a file, or renamed in a folder, survive the loss of power."""
    place = os.open(path, os.O_RDONLY)
    try:
        os.fsync(place)
    finally:
        os.close(place)


def is_full(error: BaseException | None) -> bool:
    """Whether an error, or what caused it, says that there is no room left on a disk."""
    seen = 0
    while error is not None and seen < 20:
        if isinstance(error, DiskFull) or getattr(error, "errno", None) in FULL:
            return True
        if any(words in str(error) for words in SAID_WHEN_FULL):
            return True
        error, seen = error.__cause__ or error.__context__, seen + 1
    return False


def disk_full(error: BaseException, folder: Path | None = None) -> DiskFull:
    """What to say of a full disk: which file, how much room is left, how to go on."""
    named = getattr(error, "filename", None)
    place = Path(os.fsdecode(named)) if isinstance(named, str | bytes) else folder
    where = "" if place is None else f": {place} cannot be written"
    return DiskFull(
        f"the disk is full{where}{_room(place or folder or Path.cwd())}; what was finished is kept\n"
        "free some room, then go on: a run with --resume (a trainer's: `trainer resume DIR`), a study "
        "by the same command"
    )


def room(place: Path) -> int:
    """Bytes that are free on the disk of a file or folder, there or not."""
    while not place.exists() and place != place.parent:
        place = place.parent
    return shutil.disk_usage(place).free


@contextmanager
def full_disk_said(folder: Path) -> Iterator[None]:
    """Inside, an error of a disk that is full is `DiskFull`, which says how to go on."""
    try:
        yield
    except Exception as error:
        if isinstance(error, DiskFull) or not is_full(error):
            raise
        raise disk_full(error, folder) from error


def check_no_way_out(folder: Path) -> None:
    """`InputError` where a link in a folder leads out of it.

    Somebody else's folder could have files of this machine read, or written over, by such links.
    """
    inside = folder.resolve()
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            each = Path(place, name)
            if each.is_symlink() and not each.resolve().is_relative_to(inside):
                raise InputError(
                    f"{each} is a link that leads out of {folder}; put the file itself there, or take "
                    "the link away"
                )


def _room(place: Path) -> str:
    with suppress(OSError):
        return f" ({room(place) / 2**20:.1f} MiB are free)"
    return ""
