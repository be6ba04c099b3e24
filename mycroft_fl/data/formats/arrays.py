"""Npz files of a person with arrays in hand: examples x, or ready gradients g, kept row by row."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int64, Shaped

from mycroft_fl import claims
from mycroft_fl.data.formats.files import UNREADABLE, as_images, as_vectors
from mycroft_fl.errors import DataError, one_line
from mycroft_fl.examples import Examples

HOW = "numpy.savez(path, x=..., y=...), or g=... for ready gradients"


@dataclass(frozen=True, eq=False)
class Arrays:
    """The content of an npz file, row by row: nothing dropped, nothing reordered.

    `ready`: x are gradients. `y` is as the file has it, numbers or names; None if it has none.
    """

    path: Path
    x: Shaped[np.ndarray, "n ..."]
    y: np.ndarray | None
    ready: bool

    def __len__(self) -> int:
        return len(self.x)


def read_arrays(path: Path) -> Arrays:
    """Read arrays x and y, or g with or without y. `DataError` for whatever is wrong with the file."""
    found = _read(path)
    ready = "g" in found
    if ready == ("x" in found):
        both = (
            "holds both x and g; leave one out" if ready else f"holds neither x nor g; save {HOW}"
        )
        raise DataError(f"{path} {both}")
    x = found["g" if ready else "x"]
    if x.ndim == 0 or len(x) == 0:
        raise DataError(f"{path} holds no example; give at least one")
    y = found.get("y")
    if y is None and not ready:
        raise DataError(f"{path} has no array y; save one label per example with {HOW}")
    if y is not None:
        _require_labels(path, y, len(x))
    images = x.dtype == np.uint8 and not ready
    return Arrays(path, as_images(path, x) if images else as_vectors(path, x), y, ready)


def with_labels(hard: Arrays, data: Arrays) -> tuple[Examples, Examples, tuple[str, ...]]:
    """Return both as examples with one numbering of labels, and the names of classes by label.

    Labels that are numbers stay as they are. Without any, all are of one class. `DataError`
    where the two files do not fit together.
    """
    if hard.ready != data.ready:
        raise DataError(f"{hard.path} and {data.path} must both hold x, or both hold g")
    if (hard.x.shape[1:], hard.x.dtype) != (data.x.shape[1:], data.x.dtype):
        raise DataError(
            f"{hard.path} holds {_kind(hard.x)} but {data.path} {_kind(data.x)}; "
            "give examples of one shape and type"
        )
    if (hard.y is None) != (data.y is None):
        raise DataError(f"{hard.path} and {data.path} must both hold labels y, or neither")
    if hard.y is None or data.y is None:
        zeros = (np.zeros(len(each), dtype=np.int64) for each in (hard, data))
        return Examples(hard.x, next(zeros)), Examples(data.x, next(zeros)), ("",)
    if (hard.y.dtype.kind == "U") != (data.y.dtype.kind == "U"):
        raise DataError(
            f"labels are names in one of {hard.path} and {data.path}, numbers in the other"
        )
    if hard.y.dtype.kind != "U":
        names = tuple(str(label) for label in range(1 + max(int(hard.y.max()), int(data.y.max()))))
        return Examples(hard.x, _whole(hard.y)), Examples(data.x, _whole(data.y)), names
    names = tuple(str(name) for name in np.unique(np.concatenate([hard.y, data.y])))
    place = np.array(names)
    return (
        Examples(hard.x, np.searchsorted(place, hard.y).astype(np.int64)),
        Examples(data.x, np.searchsorted(place, data.y).astype(np.int64)),
        names,
    )


def _read(path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise DataError(f"no file {path}; give an npz file, saved with {HOW}")
    try:
        return claims.read_npz(path, {"x", "y", "g"})
    except UNREADABLE as error:
        raise DataError(
            f"{path} is not a readable npz file ({one_line(error)}); save it with {HOW}, "
            "without objects"
        ) from error


def _require_labels(path: Path, y: np.ndarray, n: int) -> None:
    if y.shape != (n,):
        raise DataError(
            f"{path} holds {n} examples but y of shape {y.shape}; give one label per example"
        )
    if y.dtype.kind not in "iuU":
        raise DataError(f"{path}: y is {y.dtype}; give whole numbers from 0, or names as text")
    if y.dtype.kind != "U" and (int(y.min()) < 0 or int(y.max()) >= 1_000_000):
        raise DataError(
            f"{path}: y holds labels {y.min()} to {y.max()}; give whole numbers from 0 to 999999"
        )


def _whole(y: np.ndarray) -> Int64[np.ndarray, " n"]:
    return y.astype(np.int64)


def _kind(x: np.ndarray) -> str:
    return f"{x.dtype} of shape {x.shape[1:]}"
