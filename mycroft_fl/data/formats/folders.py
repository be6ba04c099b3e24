"""Images in folders and zips: which files they are, whose class, and what is left out."""

from __future__ import annotations

import os
import stat
import unicodedata
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path, PurePosixPath

from mycroft_fl.claims import MOST_PICTURE, content_of, in_words
from mycroft_fl.data.formats.said import say
from mycroft_fl.errors import DataError

FORMATS = (
    "PNG", "JPEG", "BMP", "DIB", "GIF", "WEBP", "TIFF", "AVIF", "JPEG2000", "PPM", "TGA", "PCX", "QOI",
)  # fmt: skip
"""Those of Pillow's that hold pictures and start no other program, as that of EPS does."""
OPTIONAL = {"WEBP": "webp", "AVIF": "avif", "JPEG2000": "jpg_2000"}
SYSTEM = frozenset({"__macosx", "thumbs.db", "desktop.ini"})
TEXT_SUFFIXES = (".txt", ".text")
MOST_FILES = 5_000_000
"""Files below one folder; links may make any number of few."""
LONGEST_LINK = 1024
"""Bytes of the path that a link leads to."""
UTF8_NAMES = 0x800
"""The flag of a zip's entry whose name is in UTF-8."""


@dataclass
class Listing:
    """The images of a folder or zip: each name, relative and with '/', and how to read it.

    `texts` are the files of plain text among those that are left out.
    """

    images: list[tuple[str, Callable[[], bytes]]] = field(default_factory=list)
    texts: list[tuple[str, Callable[[], bytes]]] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    folders: set[str] = field(default_factory=set)

    def add(self, name: str, read: Callable[[], bytes]) -> None:
        """Take a file up, or note that it is left out. Files of operating systems are neither."""
        if any(part.startswith(".") or part.lower() in SYSTEM for part in name.split("/")):
            return
        self.folders.add(str(PurePosixPath(name).parent))
        if PurePosixPath(name).suffix.lower() in image_suffixes():
            self.images.append((name, read))
        else:
            self.left_out.append(name)
            if PurePosixPath(name).suffix.lower() in TEXT_SUFFIXES:
                self.texts.append((name, read))

    def say_what_is_left_out(self, path: Path) -> None:
        """Count what is no image, and name folders of which nothing is read."""
        kinds = Counter(PurePosixPath(name).suffix.lower() or "no suffix" for name in self.left_out)
        if kinds:
            shown = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(8))
            out, of = len(self.left_out), len(self.left_out) + len(self.images)
            say(
                f"{path.name}: {out} of {of} files are left out, being no images that can be read here: "
                f"{shown}, such as {self.left_out[0]}; save them as PNG or JPEG"
            )
        filled = {str(above) for name, _ in self.images for above in PurePosixPath(name).parents}
        if empty := sorted(self.folders - filled - {"."}):
            say(f"{path.name}: no image is read from {len(empty)} folders, such as {empty[0]}")


@cache
def image_suffixes() -> frozenset[str]:
    """Return the suffixes of the images that Pillow, as it is built here, can read."""
    from PIL import Image, features

    Image.init()
    there = {name for name in FORMATS if name not in OPTIONAL or features.check(OPTIONAL[name])}
    there.add("MPO")  # several JPEGs in one file, which the reader of JPEG opens
    found = Image.registered_extensions().items()
    return frozenset(suffix for suffix, name in found if name in there)


@contextmanager
def listing(path: Path) -> Iterator[Listing]:
    """List what a folder or zip holds, sorted by name; a zip is open until the end."""
    if path.is_dir():
        found = Listing()
        for name, file in files_under(path):
            if file.is_dir():
                found.folders.add(name)
                continue
            if PurePosixPath(name).suffix.lower() not in image_suffixes():
                _check_no_link(path, name, file)
            found.add(name, partial(content_of, file, MOST_PICTURE))
        yield found
        return
    with zipfile.ZipFile(path) as archive:
        found = Listing()
        named = [(_name_of(info), info) for info in archive.infolist()]
        for name, info in sorted(named, key=lambda each: each[0]):
            if stat.S_ISLNK(info.external_attr >> 16):
                raise DataError(
                    f"{path}: {name} is a link, and a zip holds no more of it than its path; zip the files "
                    "themselves (zip without -y)"
                )
            if name.endswith("/"):
                found.folders.add(name.rstrip("/"))
            else:
                found.add(name, partial(_member, archive, info))
        yield found


def files_under(path: Path) -> list[tuple[str, Path]]:
    """Return all files and empty folders below a folder, links followed, sorted by relative name.

    What is hidden is left out. Raises `DataError` for a link that leads nowhere or back up.
    """
    found: list[tuple[str, Path]] = []
    waiting: list[tuple[Path, str, tuple[tuple[int, int], ...]]] = [(path, "", (_identity(path),))]
    while waiting:
        folder, before, above = waiting.pop()
        entries = [each for each in os.scandir(folder) if not each.name.startswith(".")]
        if not entries and before:
            found.append((before.rstrip("/"), folder))
        for entry in entries:
            name, file = before + entry.name, Path(entry.path)
            if not file.exists():
                raise DataError(f"{path}: {name} is a broken link; mend it or take it out")
            if not entry.is_dir():
                found.append((name, file))
            elif (identity := _identity(file)) in above:
                raise DataError(f"{path}: {name} links to a folder that holds it; take it out")
            else:
                waiting.append((file, f"{name}/", (*above, identity)))
        if len(found) + len(waiting) > MOST_FILES:
            raise DataError(f"{path} holds more than {MOST_FILES} files; take links out")
    return sorted(found, key=lambda each: each[0])


def said_as_link(content: bytes) -> str:
    """Return the path in a file that may be a link which a copy made a text; "" where it is none.

    Git on Windows writes a link so, and other copies do.

    >>> said_as_link(b"../fox/1.png")
    '../fox/1.png'
    """
    with suppress(UnicodeDecodeError, ValueError):
        text = content.decode() if len(content) <= LONGEST_LINK else ""
        return text if "/" in text and text.isprintable() else ""
    return ""


def _check_no_link(path: Path, name: str, file: Path) -> None:
    """Raise `DataError` for a file whose whole text is the path of another that is there."""
    if not file.is_file() or file.stat().st_size > LONGEST_LINK:
        return
    to = said_as_link(file.read_bytes())
    if to and os.path.exists(file.parent / to):  # noqa: PTH110 - it raises for no path
        raise DataError(
            f"{path}: {name} is a link that a copy made a file of text ('{to}'); make it a link again, or "
            "copy there what it leads to"
        )


def class_of(path: Path, name: str) -> str:
    """Return the class of an image: the folder that it lies in. `DataError` where it lies in none."""
    if "/" not in name:
        raise DataError(f"{path}: {name} lies in no class's folder; put it into one")
    # macOS writes an accent as a character of its own, Windows and Linux write one for both.
    return unicodedata.normalize("NFC", name.split("/")[-2])


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _name_of(info: zipfile.ZipInfo) -> str:
    """Return an entry's name as it was meant: Windows writes backslashes, macOS UTF-8 without its flag."""
    name = info.filename
    if not info.flag_bits & UTF8_NAMES:
        with suppress(UnicodeError):  # then it is in that old code, as the format says
            name = name.encode("cp437").decode("utf-8")
    return name.replace("\\", "/")


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    if info.file_size > MOST_PICTURE:
        raise ValueError(f"it claims {in_words(info.file_size)}, above {in_words(MOST_PICTURE)}")
    return archive.read(info)
