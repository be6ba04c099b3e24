"""Files and folders of ours: whole or not at all, locked, for their user alone; full disks in one line.

And folders of others: a link that leads out of one is neither read nor written.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from typing import IO

from mycroft_fl.errors import DiskFull, InputError

PRIVATE_FILE, PRIVATE_FOLDER, PUBLIC_FILE = 0o600, 0o700, 0o666
OTHERS = 0o077
PART, LONGEST_STEM, LONGEST_SOCKET = ".part", 100, 107
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
    """Return the folder, made with all above it where it is missing; for its user alone if it is new."""
    if not path.is_dir():
        path.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
    return path


@contextmanager
def written_whole(path: Path, mode: int = PRIVATE_FILE) -> Iterator[IO[bytes]]:
    """Yield a stream whose content is in `path` once `with` has ended: all of it, and durable.

    Where `with` ends by an error, or the disk is full, what was in `path` before is there still
    and nothing else is. A link in that place is replaced, not followed. The umask narrows `mode`.
    """
    part = _part_of(path)
    try:
        # O_EXCL follows no link, even if somebody guessed the name.
        place = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
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


def write_whole(path: Path, content: str | bytes, mode: int = PRIVATE_FILE) -> None:
    """Write a file whole or not at all, durable when this returns; the umask narrows `mode`."""
    with written_whole(path, mode) as stream:
        stream.write(content.encode() if isinstance(content, str) else content)


def write_once(path: Path, content: str | bytes) -> None:
    """Write a new file whole, durable when this returns. `FileExistsError` where there is one.

    The first of two processes that write it at once counts. Mode 0600.
    """
    part = _part_of(path)
    write_whole(part, content)
    try:
        # A rename would replace the other's file; a link fails.
        os.link(part, path)
    finally:
        part.unlink()
    make_durable(path.parent)


@contextmanager
def folder_whole(path: Path, *, replace: bool = False) -> Iterator[Path]:
    """Yield a new folder that is at `path` once `with` has ended: all that is in it, and durable.

    Where `with` ends by an error, or the disk is full, what was at `path` before is there still
    and nothing else is. Mode 0700. `OSError` where a folder that is not empty lies there, unless
    `replace`: then a reader may find neither for a moment, but never half of one.
    """
    part = _part_of(path)
    part.mkdir(mode=PRIVATE_FOLDER)
    try:
        yield part
        for each in (*part.rglob("*"), part):
            make_durable(each)
        before = _part_of(path)
        if replace and path.is_dir():
            path.rename(before)
        try:
            part.rename(path)
        except BaseException:
            if before.is_dir():
                before.rename(path)
            raise
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)  # on a disk that is full it takes up room
        raise
    make_durable(path.parent)
    shutil.rmtree(before, ignore_errors=True)


def remove_parts(path: Path) -> None:
    """Remove folders that killed processes left while they made `path`; for its only writer."""
    for part in path.parent.glob(f".{escape(path.name[:LONGEST_STEM])}.*{PART}"):
        shutil.rmtree(part, ignore_errors=True)


def locked(path: Path, *, wait: bool = True, shared: bool = False) -> IO[str]:
    """Open a file to read and append, locked until it is closed or its process ends.

    Mode 0600 if it is new. Many may hold it `shared`, or one alone. `BlockingIOError` where
    another process holds it, unless `wait`.
    """
    place = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, PRIVATE_FILE)
    file = os.fdopen(place, "a+", encoding="utf-8")
    try:
        how = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        fcntl.flock(file, how if wait else how | fcntl.LOCK_NB)
    except BaseException:
        file.close()
        raise
    return file


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal; a large file needs no memory."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def make_durable(path: Path) -> None:
    """Have what was written to a file, or renamed in a folder, survive the loss of power."""
    place = os.open(path, os.O_RDONLY)
    try:
        os.fsync(place)
    finally:
        os.close(place)


def is_full(error: BaseException | None) -> bool:
    """Return whether an error, or what caused it, says that there is no room left on a disk."""
    seen = 0
    while error is not None and seen < 20:
        if isinstance(error, DiskFull) or getattr(error, "errno", None) in FULL:
            return True
        if any(words in str(error) for words in SAID_WHEN_FULL):
            return True
        error, seen = error.__cause__ or error.__context__, seen + 1
    return False


def disk_full(error: BaseException, folder: Path | None = None) -> DiskFull:
    """Return what to say of a full disk: which file, how much room is left, how to go on."""
    named = getattr(error, "filename", None)
    place = Path(os.fsdecode(named)) if isinstance(named, str | bytes) else folder
    where = "" if place is None else f": {place} cannot be written"
    return DiskFull(
        f"the disk is full{where}{_room(place or folder or Path.cwd())}; what was finished is kept\n"
        "free some room, then go on: a run with --resume (a trainer's: `trainer resume DIR`), a study "
        "by the same command"
    )


def room(place: Path) -> int:
    """Return bytes that are free on the disk of a file or folder, there or not."""
    while not place.exists() and place != place.parent:
        place = place.parent
    return shutil.disk_usage(place).free


@contextmanager
def full_disk_said(folder: Path) -> Iterator[None]:
    """Raise `DiskFull`, which says how to go on, for an error of a full disk inside `with`."""
    try:
        yield
    except Exception as error:
        if isinstance(error, DiskFull) or not is_full(error):
            raise
        raise disk_full(error, folder) from error


def socket_path(place: Path) -> Path:
    """Return a path that a Unix socket can have. `InputError` on one that is too long."""
    length = len(os.fsencode(place))
    if length > LONGEST_SOCKET:
        raise InputError(
            f"the path {place} has {length} bytes, that of a socket at most {LONGEST_SOCKET}; "
            "keep the folder at a shorter path"
        )
    return place


def check_no_way_out(folder: Path) -> None:
    """Raise `InputError` where a link in a folder leads out of it.

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


def _part_of(path: Path) -> Path:
    """Name a draft of `path`, at which nobody could have put a link.

    Beside it, since a rename is whole within one file system only.
    """
    return path.with_name(f".{path.name[:LONGEST_STEM]}.{secrets.token_hex(8)}{PART}")


def _room(place: Path) -> str:
    with suppress(OSError):
        return f" ({room(place) / 2**20:.1f} MiB are free)"
    return ""
