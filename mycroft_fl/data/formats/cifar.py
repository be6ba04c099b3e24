"""CIFAR's own batches. They are pickles, which can run code: all but numpy arrays is refused."""

from __future__ import annotations

import io
import pickle
import tarfile
from pathlib import Path
from typing import Any

import numpy as np

from mycroft_fl.claims import limited
from mycroft_fl.data.formats.files import UNREADABLE, LabelledRows
from mycroft_fl.errors import DataError, one_line

BATCHES = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch")
MOST_BATCH = 512 << 20
"""Bytes of one file of the archive; the largest has 154 MB."""
_RECONSTRUCT: Any = np.zeros(0).__reduce__()[0]
ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


class ArraysOnly(pickle.Unpickler):
    """Unpickles plain values and numpy arrays; anything else ends it."""

    def find_class(self, module: str, name: str) -> Any:
        """Return one of `ALLOWED`, else `UnpicklingError`."""
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which arrays do not need")
        return ALLOWED[module, name]


def read_batches(archive: Path) -> LabelledRows:
    """Return all 60,000 images (n 3 32 32) of `cifar-10-python.tar.gz`, train and test joined."""
    return _read(archive, "cifar-10-batches-py", ("batches.meta", "label_names", "labels"), BATCHES)


def read_fine_batches(archive: Path) -> LabelledRows:
    """Return all 60,000 images (n 3 32 32) of `cifar-100-python.tar.gz`, by their 100 fine classes."""
    keys = ("meta", "fine_label_names", "fine_labels")
    return _read(archive, "cifar-100-python", keys, ("train", "test"))


def _read(
    archive: Path, folder: str, keys: tuple[str, str, str], batches: tuple[str, ...]
) -> LabelledRows:
    meta_name, names_key, labels_key = keys
    xs, ys = [], []
    try:
        with tarfile.open(archive) as tar:
            names = tuple(unpickled(_member(tar, f"{folder}/{meta_name}"))[names_key])
            for name in batches:
                batch = unpickled(_member(tar, f"{folder}/{name}"))
                xs.append(np.asarray(batch["data"], dtype=np.uint8).reshape(-1, 3, 32, 32))
                ys.append(np.asarray(batch[labels_key], dtype=np.int64))
    except (*UNREADABLE, KeyError, TypeError, tarfile.TarError, pickle.UnpicklingError) as error:
        raise DataError(
            f"{archive} is not CIFAR for Python ({one_line(error)}); download it anew"
        ) from error
    return LabelledRows(np.concatenate(xs), np.concatenate(ys), names)


def unpickled(content: bytes) -> Any:
    """Return the plain values and arrays of a pickle written by Python 2 or 3."""
    return ArraysOnly(io.BytesIO(content), encoding="latin1").load()


def _member(tar: tarfile.TarFile, name: str) -> bytes:
    file = tar.extractfile(name)
    if file is None:
        raise ValueError(f"{name} is not a file")
    return b"".join(limited(file, MOST_BATCH))
