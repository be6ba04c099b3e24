"""Npz files and memory-mapped arrays; every flaw is an error that names the file."""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int64, UInt8

from mycroft_fl import claims
from mycroft_fl.data.formats.said import say_changed
from mycroft_fl.errors import DataError, one_line
from mycroft_fl.examples import Images, Vectors
from mycroft_fl.texts import Texts, as_bytes

UNREADABLE = (
    OSError, ValueError, EOFError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error,
    MemoryError, OverflowError,
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class LabelledRows:
    """The content of a file, duplicates and all: `y` indexes `classes`."""

    x: Images | Vectors | Texts
    y: Int64[np.ndarray, " n"]
    classes: tuple[str, ...]


def read_npz(path: Path, longest: int = 0) -> LabelledRows:
    """Return the arrays `x` and `y` of an npz file.

    x: uint8 images (n c h w, n h w c with c 1 or 3, or n h w), float vectors (n d), or texts (n).
    y: whole numbers 0..C-1, or names. `longest` is of a text, in bytes. Raises `DataError`.
    """
    try:
        found = claims.read_npz(path, {"x", "y"})
    except UNREADABLE as error:
        raise DataError(
            f"{path} is not a readable npz file ({one_line(error)}); "
            "save it with numpy.savez(path, x=..., y=...), without objects"
        ) from error
    missing = sorted({"x", "y"} - set(found))
    if missing:
        raise DataError(
            f"{path} has no array {' and no array '.join(missing)}; "
            "save it with numpy.savez(path, x=..., y=...)"
        )
    x, y = found["x"], found["y"]
    if y.ndim != 1 or len(x) != len(y) or len(y) == 0:
        raise DataError(
            f"{path}: x is {_shape(x)} and y is {_shape(y)}; give one label per example, "
            "and at least one example"
        )
    labels, classes = _labels(path, y)
    if x.dtype.kind == "U" and x.ndim == 1:
        texts = [str(each) for each in x]
        rows, cut = as_bytes(texts, longest)
        say_changed(path.name, texts, cut, rows.shape[1])
        return LabelledRows(rows, labels, classes)
    return LabelledRows(
        as_images(path, x) if x.dtype == np.uint8 else as_vectors(path, x), labels, classes
    )


def read_mapped(folder: Path) -> LabelledRows:
    """Map `x.npy` and `y.npy` of a folder; x stays on disk and is read where it is needed.

    x: uint8 images (n c h w, c 1 or 3) or float32 vectors (n d); finite values are not checked,
    since that would read all of it. y as in an npz file. Raises `DataError`.
    """
    try:
        x = claims.open_mapped(folder / "x.npy")
        y = np.array(claims.open_mapped(folder / "y.npy"))
    except UNREADABLE as error:
        raise DataError(
            f"{folder} does not hold readable x.npy and y.npy ({one_line(error)}); "
            "save them with numpy.save, without objects"
        ) from error
    if y.ndim != 1 or len(x) != len(y) or len(y) == 0:
        raise DataError(
            f"{folder}: x is {_shape(x)} and y is {_shape(y)}; give one label per example"
        )
    images = x.dtype == np.uint8 and x.ndim == 4 and x.shape[1] in (1, 3)
    if not images and not (x.dtype == np.float32 and x.ndim == 2):
        raise DataError(
            f"{folder}: x is {_shape(x)}; an array that stays on disk must be uint8 images "
            "(n c h w, c 1 or 3) or float32 vectors (n d)"
        )
    labels, classes = _labels(folder, y)
    return LabelledRows(x, labels, classes)


def _shape(array: np.ndarray) -> str:
    return f"{array.dtype} of shape {array.shape}"


def _labels(path: Path, y: np.ndarray) -> tuple[Int64[np.ndarray, " n"], tuple[str, ...]]:
    if y.dtype.kind == "U":
        return named_labels(y)
    if y.dtype.kind not in "iu":
        raise DataError(f"{path}: y is {y.dtype}; give whole numbers from 0, or names as text")
    if (lowest := int(y.min())) < 0:
        raise DataError(f"{path}: y holds {lowest}; give whole numbers from 0, or names as text")
    # By name, not by number: an owner with threes and sevens alone has classes 3 and 7.
    return named_labels(y.astype(str))


def named_labels(names: np.ndarray) -> tuple[Int64[np.ndarray, " n"], tuple[str, ...]]:
    """Return labels and sorted class names; as numbers where all are, so that '10' follows '9'."""
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
