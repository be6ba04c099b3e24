"""Data in memory, of whatever kind people hold it in, as arrays or as a table's rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mycroft_fl.data.dataset import Dataset, distinct, from_tables
from mycroft_fl.data.formats.files import LabelledRows, named_labels
from mycroft_fl.data.formats.spec import DatasetSpec
from mycroft_fl.data.given_arrays import as_labels, as_numbers, plain_label
from mycroft_fl.data.tables.cells import TextColumn
from mycroft_fl.data.tables.encode import DataTable, table_of
from mycroft_fl.data.tables.typed_files import text_of
from mycroft_fl.data.tables.values import EXACT
from mycroft_fl.errors import DataError

FORMS = (
    "an array, a tensor, a frame of pandas or polars, a Dataset of torch or Hugging Face, or a list of "
    "images"
)
LABEL_COLUMNS = ("label", "labels", "y", "target", "class")
"""The columns that hold the class where nobody says which does."""
IMAGE_COLUMNS = ("image", "img", "pixel_values")


@dataclass(frozen=True, eq=False)
class Arrays:
    """Examples as arrays: `x` images (n c h w) or vectors (n d), `y` whole numbers or names, or None."""

    x: np.ndarray
    y: np.ndarray | None


@dataclass(frozen=True, eq=False)
class Frame:
    """Examples as rows of a table, the class in the column `label`; "" where there is none.

    `image` is the column with paths of images, "" where there is none.
    """

    rows: pd.DataFrame
    label: str
    image: str = ""


def taken(x: Any, y: Any = None, *, what: str = "x", label: str = "") -> Arrays | Frame:
    """Take data of any kind. `DataError` where it is of none, or parts of it do not fit together.

    Args:
        x: the examples, with their labels where a frame or Dataset holds these.
        y: labels of any kind, or the name of the column that holds them; None where x holds them.
        what: what messages call it.
        label: the column of a frame that holds the class; "" for a usual name of one.

    Example:
        >>> taken([[1, 2], [3, 4]], ["cat", "dog"]).y.tolist()
        ['cat', 'dog']
    """
    if isinstance(y, str):
        y, label = None, y
    if (columns := _columns(x)) is not None:
        return _with_images(_frame(columns, y, what, label), what)
    if _is_hub_dataset(x):
        return _from_hub(x, y, what, label)
    if _is_torch_dataset(x):
        return _from_torch(x, y, what)
    if isinstance(x, str | Path):
        raise DataError(f"{what} is the path {x}; give {FORMS}")
    x = as_numbers(x, what)
    labels = None if y is None else as_labels(y, what)
    if labels is not None and len(labels) != len(x):
        raise DataError(
            f"{what} holds {len(x)} examples but {len(labels)} labels; give one label per example"
        )
    return Arrays(x, labels)


def dataset_given(
    given: Arrays | Frame,
    spec: DatasetSpec,
    kinds: Mapping[str, str] | None = None,
    *,
    records: bool = False,
) -> Dataset:
    """Return data in memory as a data set of distinct examples, as `load_dataset` does of files.

    Raises `DataError` where labels are missing, images are neither bytes nor in [0, 1], or a
    number is not finite.
    """
    if isinstance(given, Frame):
        spec = replace(spec, image=given.image or spec.image)
        table = data_table(given, spec, kinds)
        return from_tables([table], spec, [Path()], records)
    if given.y is None:
        raise DataError(f"{spec.path} has no labels; give them as y, or as (x, y)")
    names, classes = named_labels(given.y.astype(str))
    # A view: a data set's arrays are made read-only, and these are somebody's own.
    rows = LabelledRows(stored(given.x, spec.path).view(), names, classes)
    return distinct(rows, records=records)


def data_table(
    given: Frame, spec: DatasetSpec, kinds: Mapping[str, str] | None = None
) -> DataTable:
    """Return a frame as a table, split into features and others. Raises `DataError`."""
    columns = {
        str(name): TextColumn.of(map(text_of, column)) for name, column in given.rows.items()
    }
    if len(columns) < given.rows.shape[1]:
        raise DataError(f"{spec.path}: two columns have one name; rename one of them")
    return table_of(columns, Path(spec.path), spec, kinds)


def stored(x: np.ndarray, what: str) -> np.ndarray:
    """Return examples as they are kept and sent: images as bytes, vectors as float32.

    Images as floats must lie between 0 and 1. `DataError` where they do not, or a vector has a number
    that is not finite.
    """
    if not np.isfinite(x).all():
        flawed = np.flatnonzero(~np.isfinite(x).reshape(len(x), -1).all(axis=1))
        raise DataError(
            f"{what} holds NaN or infinite values in {len(flawed)} rows, the first is row {flawed[0]}; "
            "fill in or drop them"
        )
    if x.ndim == 2 or x.dtype == np.uint8:
        return x
    if x.min() < 0 or x.max() > 1:
        raise DataError(
            f"{what} holds images from {x.min():.3g} to {x.max():.3g}; give bytes, or floats from 0 to "
            "1, and have the model normalise them, or a transform"
        )
    return np.asarray(np.rint(x * 255).astype(np.uint8))


def _columns(x: Any) -> pd.DataFrame | None:
    """Return a frame of pandas or polars as one of pandas; None where it is neither."""
    if isinstance(x, pd.DataFrame):
        return x
    if type(x).__module__.startswith("polars") and hasattr(x, "columns"):
        return pd.DataFrame({name: x[name].to_list() for name in x.columns})
    return None


def _frame(columns: pd.DataFrame, y: Any, what: str, label: str) -> Frame:
    if columns.columns.nlevels > 1:
        raise DataError(
            f"{what} has columns of {columns.columns.nlevels} levels; join their names first, as in "
            'frame.columns = ["_".join(map(str, each)) for each in frame.columns]'
        )
    columns = columns.rename(columns=str)
    if y is not None:
        labels = as_labels(y, what)
        if len(labels) != len(columns):
            raise DataError(
                f"{what} holds {len(columns)} rows but {len(labels)} labels; give one label per row"
            )
        label = label or next(name for name in _free(columns))
        return Frame(columns.assign(**{label: labels}), label)
    if label and label not in columns:
        from mycroft_fl.errors import suggestion

        raise DataError(f"{what} has no column '{label}'{suggestion(label, list(columns))}")
    label = label or next((name for name in LABEL_COLUMNS if name in columns), "")
    if label and pd.api.types.is_float_dtype(columns[label]):
        columns = columns.assign(**{label: _whole(columns[label])})
    return Frame(columns, label)


def _whole(column: pd.Series) -> pd.Series:
    """Return numbers with whole ones as such: 1.0 and 1 are one class."""
    found = [
        None
        if pd.isna(each)
        else int(each)
        if each == np.rint(each) and abs(each) < EXACT
        else each
        for each in column
    ]
    return pd.Series(found, index=column.index, dtype=object)


def _with_images(frame: Frame, what: str) -> Arrays | Frame:
    """Return a frame with a column of images as arrays, or with the name of a column of their paths."""
    column = next((name for name in IMAGE_COLUMNS if name in frame.rows), "")
    if not column or not len(frame.rows):
        return frame
    images = frame.rows[column]
    if isinstance(images.iloc[0], str | Path):
        return replace(frame, rows=frame.rows.assign(**{column: images.astype(str)}), image=column)
    if not hasattr(images.iloc[0], "shape") and not hasattr(images.iloc[0], "convert"):
        return frame  # a column of numbers or names that is only called so
    labels = frame.rows[frame.label] if frame.label else None
    return taken(images.tolist(), labels, what=what)


def _free(columns: pd.DataFrame) -> Iterable[str]:
    return (name for name in ("label", "label of mycroft") if name not in columns)


def _is_hub_dataset(x: Any) -> bool:
    return hasattr(x, "features") and hasattr(x, "column_names") and hasattr(x, "__getitem__")


def _from_hub(x: Any, y: Any, what: str, label: str) -> Arrays | Frame:
    """Take a Hugging Face Dataset: its images, or its columns as a frame."""
    names = list(x.column_names)
    label = label or next((name for name in LABEL_COLUMNS if name in names), "")
    image = next((name for name in IMAGE_COLUMNS if name in names), "")
    labels = y if y is not None else (list(x[label]) if label else None)
    known = getattr(x.features.get(label), "names", None) if label else None
    if known and y is None:
        labels = [known[each] for each in labels or ()]
    if image:
        return taken(list(x[image]), labels, what=what)
    frame = pd.DataFrame({name: list(x[name]) for name in names if name != label or y is not None})
    return _frame(frame, labels, what, label)


def _is_torch_dataset(x: Any) -> bool:
    return (
        hasattr(x, "__getitem__")
        and hasattr(x, "__len__")
        and any(base.__module__.startswith("torch.utils.data") for base in type(x).__mro__)
    )


def _from_torch(x: Any, y: Any, what: str) -> Arrays:
    """Take a torch Dataset of (example, label), its class names where it has any."""
    if not len(x):
        raise DataError(f"{what} is empty; give at least one example")
    items = [x[place] for place in range(len(x))]
    if y is None and not isinstance(items[0], tuple | list):
        raise DataError(f"{what} gives no pairs of example and label; give labels as y")
    pairs = isinstance(items[0], tuple | list)
    examples = [each[0] for each in items] if pairs else items
    labels = as_labels(y if y is not None else [plain_label(each[1]) for each in items], what)
    classes = getattr(x, "classes", None)
    numbered = labels.dtype.kind == "i" and labels.min() >= 0
    if y is None and classes and numbered and labels.max() < len(classes):
        labels = np.array([str(each) for each in classes])[labels]
    return Arrays(as_numbers(examples, what), labels)
