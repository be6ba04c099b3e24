"""Numbers and labels in memory, of whatever kind, as arrays of one form."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from mycroft_fl.errors import DataError


def as_labels(y: Any, what: str = "y") -> np.ndarray:
    """Return labels of any kind as whole numbers, or as names. `DataError` for measurements.

    Example:
        >>> as_labels([True, False]).tolist()
        ['True', 'False']
        >>> as_labels([2.0, 0.0]).tolist()
        [2, 0]
    """
    values = _array(y).reshape(-1) if not isinstance(y, list | tuple) else np.asarray(y)
    if values.ndim != 1:
        raise DataError(f"labels of {what} have shape {values.shape}; give one label per example")
    if values.dtype.kind == "U" and isinstance(y, list | tuple):
        values = np.array(y, dtype=object)  # beside names, NaN has become the name 'nan'
    if values.dtype.kind == "b":
        return values.astype(str)
    if values.dtype.kind == "O":
        if pd.isna(values).any():
            raise DataError(f"labels of {what} are missing in row {int(pd.isna(values).argmax())}")
        if all(
            isinstance(each, numbers.Integral) and not isinstance(each, bool) for each in values
        ):
            return values.astype(np.int64)
        return np.array([str(each) for each in values], dtype=str)
    if values.dtype.kind == "f":
        if not (np.isfinite(values) & (values == np.rint(values))).all():
            odd = values[~(np.isfinite(values) & (values == np.rint(values)))][0]
            raise DataError(
                f"labels of {what} hold {odd:g}, which is a measurement or missing; give classes"
            )
        values = values.astype(np.int64)
    if values.dtype.kind in "iu":
        return values.astype(np.int64)
    if values.dtype.kind == "U":
        return values
    raise DataError(f"labels of {what} are {values.dtype}; give whole numbers or names")


def plain_label(label: Any) -> Any:
    """Return a label out of a tensor of one."""
    return label.item() if hasattr(label, "item") else label


def as_numbers(x: Any, what: str) -> np.ndarray:
    """Return examples as images (n c h w: bytes or floats) or float vectors (n d)."""
    if isinstance(x, Sequence) and len(x) and not isinstance(x, str | bytes):
        x = _stacked([_one(each) for each in x], what)
    values = _array(x)
    if values.dtype.kind not in "buif" or values.ndim < 2 or values.size == 0:
        raise DataError(
            f"{what} is {values.dtype} of shape {values.shape}; give numbers, images as n c h w, n h w c "
            "or n h w, vectors as n d"
        )
    if values.ndim == 2:
        return values.astype(np.float32)
    values = values if values.dtype == np.uint8 else values.astype(np.float32)
    if values.ndim == 3:
        values = values[:, None]
    if values.ndim == 4 and values.shape[1] not in (1, 3) and values.shape[3] in (1, 3):
        values = values.transpose(0, 3, 1, 2)
    return np.ascontiguousarray(values)


def _one(example: Any) -> np.ndarray:
    """Return one example; an image of PIL in grey or in colour."""
    if hasattr(example, "convert") and hasattr(example, "getbands"):
        grey = len(example.getbands()) == 1 and example.mode != "P"
        return np.asarray(example.convert("L" if grey else "RGB"))
    return _array(example)


def _stacked(parts: list[np.ndarray], what: str) -> np.ndarray:
    shapes = sorted({part.shape for part in parts})
    if len(shapes) > 1:
        raise DataError(
            f"{what} holds examples of shapes {shapes[0]} and {shapes[1]}; bring all to one"
        )
    return np.stack(parts)


def _array(x: Any) -> np.ndarray:
    """Return an array, of a tensor on any device too."""
    if hasattr(x, "detach"):
        x = x.detach().cpu()
        x = x.float() if str(x.dtype) in ("torch.bfloat16", "torch.float16") else x
        return np.asarray(x.numpy())
    return np.asarray(x)
