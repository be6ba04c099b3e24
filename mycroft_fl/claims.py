"""The claims of a file about its content, checked before room is made for it.

A few bytes can claim terabytes: an archive's member, an array's header, an image's size. Everything
that may come from somebody else is read through here, or by these limits. They are generous; who
means to read more sets MYCROFT_MOST_GIB.
"""

from __future__ import annotations

import io
import math
import os
import zipfile
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import IO, Any, Protocol, runtime_checkable

import numpy as np

SETTING = "MYCROFT_MOST_GIB"
GIB = 1 << 30
MOST_GIB = 8.0
"""GiB that the content of one file may take in memory, or half of this machine's memory if less."""
MOST_MEMBERS = 200_000
"""Files in one archive that is read whole. A forest in skops has four for each tree."""
MOST_HEADER = 1 << 16
"""Bytes of the header of one array."""
MOST_JSON = 256 << 20
"""Bytes of a file of JSON. A run with ten thousand owners writes a tenth of it."""
MOST_TOML = 4 << 20
"""Bytes of a file of TOML, which is read far slower."""
MOST_COLUMNS = 100_000
"""Columns of a table."""
MOST_LINE = 64 << 20
"""Bytes of a table's first line."""
MOST_PICTURE = 256 << 20
"""Bytes of the file of one image."""
A_CELL = 16
"""Bytes that one cell of a table takes in memory, at least."""


def most_bytes() -> int:
    """Return how many bytes the content of one file may take in memory."""
    given = os.environ.get(SETTING)
    try:
        if given is not None and 0 < float(given) < math.inf:
            return int(float(given) * GIB)
    except ValueError:
        pass  # as if it were not set: this is no place to say so
    return int(min(MOST_GIB * GIB, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2))


def check_bytes(claimed: int, what: str = "it") -> None:
    """Raise `ValueError` where that many bytes are more than the content of one file may take."""
    if claimed > most_bytes():
        raise ValueError(
            f"{what} claims {in_words(claimed)} of content, above the {in_words(most_bytes())} that one "
            f"file may have; set {SETTING} if that is meant"
        )


def in_words(size: float) -> str:
    """Return a number of bytes as a person reads it."""
    for unit in ("bytes", "KiB", "MiB", "GiB", "TiB"):
        if size < 1024 or unit == "TiB":
            break
        size /= 1024
    return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"


def content_of(path: Path, most: int) -> bytes:
    """Read a plain file. `ValueError` where it is none, or larger than `most`; `OSError`."""
    with plain(path) as stream:
        # No more than there is: Python makes room for all that is asked for.
        content = stream.read(min(os.fstat(stream.fileno()).st_size, most) + 1)
    if len(content) > most:
        raise ValueError(f"it is larger than {in_words(most)}")
    return content


def plain(path: Path) -> IO[bytes]:
    """Open a file to be read. `ValueError` for a pipe, a socket, a device: they have no end."""
    if not path.is_file():
        if path.exists():
            raise ValueError("it is no plain file")
        raise FileNotFoundError(2, "No such file", str(path))
    return path.open("rb")


def read_npz(path: Path, wanted: Collection[str] | None = None) -> dict[str, np.ndarray]:
    """Return the arrays of an npz file, or those of them that are `wanted`, whatever else it holds.

    `ValueError`, `OSError` or `zipfile.BadZipFile` on anything that is no such file, or claims more
    than it may.
    """
    with _opened(path) as archive:
        found = {
            info.filename.removesuffix(".npy"): info
            for info in archive.infolist()
            if wanted is None or info.filename.removesuffix(".npy") in wanted
        }
        check_bytes(sum(info.file_size for info in found.values()))
        arrays = {}
        for name, info in found.items():
            with archive.open(info) as member:
                arrays[name] = read_array(member, info.file_size)
        return arrays


def check_archive(path: Path | io.BytesIO) -> None:
    """Raise `ValueError` where an archive, or an array in it, claims more than it may.

    For archives that others' code will read, such as skops: it makes room for what is claimed.
    """
    with _opened(path) as archive:
        infos = archive.infolist()
        if len({info.filename for info in infos}) < len(infos):
            raise ValueError("two files in it have one name")
        check_bytes(sum(info.file_size for info in infos))
        for info in infos:
            if info.filename.endswith((".npy", ".npz")):
                _check_member(archive, info)
            elif info.filename.endswith(".json") and info.file_size > MOST_JSON:
                raise ValueError(f"{info.filename} is larger than {in_words(MOST_JSON)}")


def read_array(stream: Readable, size: int) -> np.ndarray:
    """Return one array of `size` bytes, header and all. `ValueError` on whatever is wrong with it."""
    header = _header(stream, size)
    rest = _Joined(header, stream)
    try:
        return np.lib.format.read_array(rest, allow_pickle=False)
    except (OSError, zipfile.BadZipFile):
        raise
    except Exception as error:
        raise ValueError(f"an array that cannot be decoded ({error})") from error


def open_mapped(path: Path) -> np.ndarray:
    """Map an array that stays on disk. `ValueError` where its file does not hold what its header claims."""
    with plain(path) as stream:
        _header(stream, path.stat().st_size, in_memory=False)
    return np.load(path, mmap_mode="r", allow_pickle=False)  # type: ignore[no-any-return]


@runtime_checkable
class Readable(Protocol):
    """A stream that is read piece by piece."""

    def read(self, size: int, /) -> bytes:
        """Return up to so many bytes; none at the end."""
        ...


def limited(stream: Readable, most: int) -> Iterator[bytes]:
    """Yield the content of a stream in pieces. `ValueError` once it is more than `most`: a bomb unpacks."""
    read = 0
    while piece := stream.read(1 << 20):
        read += len(piece)
        if read > most:
            raise ValueError(
                f"it unpacks to more than {in_words(most)}; set {SETTING} if that is meant"
            )
        yield piece


class _Joined(io.RawIOBase):
    """The part of a stream that was read already, then the rest of it."""

    def __init__(self, first: bytes, stream: Readable) -> None:
        self._first, self._stream = first, stream

    def read(self, size: int = -1) -> bytes:
        if not self._first:
            return self._stream.read(size)
        part = self._first if size < 0 else self._first[:size]
        self._first = self._first[len(part) :]
        return part + self._stream.read(size) if size < 0 else part


def _opened(path: Path | io.BytesIO) -> zipfile.ZipFile:
    if isinstance(path, Path):
        plain(path).close()
    archive = zipfile.ZipFile(path)
    if len(archive.infolist()) > MOST_MEMBERS:
        archive.close()
        raise ValueError(f"it holds more than {MOST_MEMBERS} files")
    return archive


def _check_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> None:
    with archive.open(info) as member:
        if info.filename.endswith(".npy"):
            _header(member, info.file_size)
            return
        inner = io.BytesIO(b"".join(limited(member, info.file_size)))
    with zipfile.ZipFile(inner) as sparse:
        check_bytes(sum(each.file_size for each in sparse.infolist()), info.filename)
        for each in sparse.infolist():
            with sparse.open(each) as array:
                _header(array, each.file_size)


_READERS: dict[tuple[int, int], tuple[int, Callable[[Any], Any]]] = {
    (1, 0): (2, np.lib.format.read_array_header_1_0),
    (2, 0): (4, np.lib.format.read_array_header_2_0),
}


def _header(stream: Readable, size: int, *, in_memory: bool = True) -> bytes:
    """Return an array's magic and header, checked against the bytes that there are. `ValueError`."""
    magic = stream.read(8)
    if len(magic) < 8 or not magic.startswith(b"\x93NUMPY"):
        raise ValueError("it holds something that is no array")
    version = (magic[6], magic[7])
    if version not in _READERS:
        raise ValueError(f"an array in npy format {version}; save it anew with numpy.save")
    width, reader = _READERS[version]
    length = int.from_bytes(stream.read(width), "little")
    if length > MOST_HEADER:
        raise ValueError("an array with a header beyond all reason")
    header = magic + length.to_bytes(width, "little") + stream.read(length)
    try:
        shape, _, dtype = reader(io.BytesIO(header[8:]))
        claimed = math.prod(shape) * dtype.itemsize
    except Exception as error:
        # All of them: numpy parses the header as Python, and a hostile one ends that parser with
        # tokenize.TokenError, MemoryError, RecursionError, IndexError or OverflowError as well.
        raise ValueError("an array whose header cannot be read") from error
    if dtype.hasobject:
        raise ValueError("Object arrays cannot be loaded, since they could run code")
    if claimed != size - len(header) or min(shape, default=0) < 0:
        raise ValueError("an array whose header and content disagree in size")
    if in_memory:
        check_bytes(claimed, "an array")
    return header
