"""Npz files and images by class, read into arrays; every flaw is an error that names the file."""

from __future__ import annotations

import io
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int64, UInt8

from mycroft_fl.errors import DataError
from mycroft_fl.examples import Images, Vectors

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff"})
GREY_MODES = frozenset({"1", "L", "LA"})
COLOUR_MODES = frozenset({"P", "PA", "RGB", "RGBA", "CMYK", "YCbCr"})
UNREADABLE = (
    OSError, ValueError, EOFError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Rows:
    """What a file holds, duplicates and all: `y` indexes `classes`."""

    x: Images | Vectors
    y: Int64[np.ndarray, " n"]
    classes: tuple[str, ...]


def read_npz(path: Path) -> Rows:
    """The arrays `x` and `y` of an npz file.

    x: uint8 images (n c h w, n h w c with c 1 or 3, or n h w), or float vectors (n d).
    y: whole numbers 0..C-1, or names. Raises `DataError`.
    """
    try:
        # Opened here: numpy leaves open a file that turns out to be no archive.
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            missing = sorted({"x", "y"} - set(file))
            if missing:
                raise DataError(
                    f"{path} has no array {' and no array '.join(missing)}; "
                    "save it with numpy.savez(path, x=..., y=...)"
                )
            x, y = file["x"], file["y"]
    except (*UNREADABLE, AttributeError, TypeError) as error:  # the last two: a bare npy file
        raise DataError(
            f"{path} is not a readable npz file ({one_line(error)}); "
            "save it with numpy.savez(path, x=..., y=...), without objects"
        ) from error
    if y.ndim != 1 or len(x) != len(y) or len(y) == 0:
        raise DataError(
            f"{path}: x is {_shape(x)} and y is {_shape(y)}; give one label per example, "
            "and at least one example"
        )
    labels, classes = _labels(path, y)
    return Rows(as_images(path, x) if x.dtype == np.uint8 else as_vectors(path, x), labels, classes)


def read_images(path: Path) -> Rows:
    """Images by class, from a folder or a zip: an image's class is the folder that it lies in.

    Folders further up (such as train and test) are joined. All must be of one size; they
    become grey (n 1 h w) if all are grey, else RGB (n 3 h w). Raises `DataError`.
    """
    images, names = [], []
    try:
        for name, read in _image_files(path):
            if "/" not in name:
                raise DataError(f"{path}: {name} lies in no class's folder; put it into one")
            images.append(_decoded(f"{path}: {name}", read))
            names.append(name.split("/")[-2])
            if images[-1].shape[:2] != images[0].shape[:2]:
                raise DataError(
                    f"{path}: {name} is {_size(images[-1])} pixels but those before it are "
                    f"{_size(images[0])}; bring all images to one size"
                )
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} cannot be read ({one_line(error)}); make it anew") from error
    if not images:
        raise DataError(
            f"{path} holds no images by class; put them at <class>/<image> "
            f"({', '.join(sorted(IMAGE_SUFFIXES))})"
        )
    labels, classes = _named_labels(np.array(names))
    return Rows(_stacked(images), labels, classes)


def one_line(error: BaseException) -> str:
    """What an error of a library says, on one line and never empty."""
    return " ".join(str(error).split()) or type(error).__name__


def _shape(array: np.ndarray) -> str:
    return f"{array.dtype} of shape {array.shape}"


def _labels(path: Path, y: np.ndarray) -> tuple[Int64[np.ndarray, " n"], tuple[str, ...]]:
    if y.dtype.kind == "U":
        return _named_labels(y)
    if y.dtype.kind not in "iu":
        raise DataError(f"{path}: y is {y.dtype}; give whole numbers from 0, or names as text")
    seen = np.unique(y)
    if seen[0] != 0 or seen[-1] != len(seen) - 1:
        raise DataError(
            f"{path}: y holds labels {seen[0]} to {seen[-1]}, {len(seen)} different ones; "
            "number the classes 0, 1, 2, ... without gaps, or give names as text"
        )
    return y.astype(np.int64), tuple(str(label) for label in seen)


def _named_labels(names: np.ndarray) -> tuple[Int64[np.ndarray, " n"], tuple[str, ...]]:
    """Labels and sorted class names; as numbers where all are, so that '10' follows '9'."""
    seen = [str(name) for name in np.unique(names)]
    numbers = all(name.isascii() and name.isdigit() for name in seen)
    classes = sorted(seen, key=lambda name: (int(name), name)) if numbers else seen
    place = {name: label for label, name in enumerate(classes)}
    return np.array([place[str(name)] for name in names], dtype=np.int64), tuple(classes)


def as_images(path: Path, x: np.ndarray) -> UInt8[np.ndarray, "n c h w"]:
    if x.ndim == 3:
        x = x[:, None]
    elif x.ndim == 4 and x.shape[1] not in (1, 3) and x.shape[3] in (1, 3):
        x = x.transpose(0, 3, 1, 2)
    if x.ndim != 4 or x.shape[1] not in (1, 3) or x.size == 0:
        raise DataError(
            f"{path}: x is {_shape(x)}; give images as n c h w, n h w c (c 1 or 3) or n h w, "
            "or vectors as floats"
        )
    return np.ascontiguousarray(x)


def as_vectors(path: Path, x: np.ndarray) -> Vectors:
    if x.dtype.kind != "f" or x.ndim != 2 or x.size == 0:
        raise DataError(
            f"{path}: x is {_shape(x)}; give images as uint8 (n c h w, n h w c or n h w), "
            "or vectors as floats (n d)"
        )
    with np.errstate(over="ignore"):  # what overflows is found as infinite just below
        vectors = x.astype(np.float32)
    flawed = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(flawed):
        raise DataError(
            f"{path}: x holds NaN or infinite values in {len(flawed)} rows, the first is row "
            f"{flawed[0]}; fill in or drop them"
        )
    return vectors


def _image_files(path: Path) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Each image's name, relative and with '/', and how to read it; sorted, none hidden."""
    if path.is_dir():
        names = {each.relative_to(path).as_posix(): each for each in path.rglob("*")}
        for name in filter(_is_image, sorted(names)):
            yield name, names[name].read_bytes
    else:
        with zipfile.ZipFile(path) as archive:
            for name in filter(_is_image, sorted(archive.namelist())):
                yield name, lambda name=name: archive.read(name)  # type: ignore[misc]


def _is_image(name: str) -> bool:
    hidden = any(part.startswith((".", "__MACOSX")) for part in name.split("/"))
    return not hidden and Path(name).suffix.lower() in IMAGE_SUFFIXES


def _decoded(name: str, read: Callable[[], bytes]) -> np.ndarray:
    """One image's pixels, h w (grey) or h w 3."""
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            content = read()
            if not content:
                raise ValueError("it is empty")
            with Image.open(io.BytesIO(content)) as image:
                if image.mode not in GREY_MODES | COLOUR_MODES:
                    raise ValueError(f"mode {image.mode} is not 8 bits a channel")
                return np.asarray(image.convert("L" if image.mode in GREY_MODES else "RGB"))
    except (
        *UNREADABLE,
        SyntaxError,
        Image.DecompressionBombWarning,
        Image.DecompressionBombError,
    ) as error:
        reason = "not an image" if isinstance(error, UnidentifiedImageError) else one_line(error)
        raise DataError(f"{name} cannot be read ({reason}); replace it or take it out") from error


def _size(image: np.ndarray) -> str:
    return f"{image.shape[1]} x {image.shape[0]}"


def _stacked(images: list[np.ndarray]) -> UInt8[np.ndarray, "n c h w"]:
    if all(image.ndim == 2 for image in images):
        return np.stack(images)[:, None]
    coloured = [
        image if image.ndim == 3 else image[:, :, None].repeat(3, axis=2) for image in images
    ]
    return np.ascontiguousarray(np.stack(coloured).transpose(0, 3, 1, 2))
