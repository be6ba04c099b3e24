"""Candidates and hard examples as examples of one form, with the names of their classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mycroft_fl.data.formats.spec import DatasetSpec
from mycroft_fl.data.given import Arrays, Frame, data_table, taken
from mycroft_fl.data.given_arrays import as_labels
from mycroft_fl.data.tables.encode import concatenated
from mycroft_fl.data.tables.fit import fit_schema
from mycroft_fl.errors import DataError, SettingError
from mycroft_fl.examples import Examples

X, HARD = "x", "hard"


@dataclass(frozen=True, eq=False)
class Joined:
    """Candidates and hard examples of one form.

    `names` are the classes' by label, and `ordered` says whether a label is the place of the model's
    output: where somebody said so, or labels are whole numbers.
    """

    candidates: Examples
    hard: Examples
    names: tuple[str, ...]
    ordered: bool


def hard_given(hard: Any, y: Any, label: str) -> Arrays | Frame:
    """Take hard examples, as (x, y) or in the form of the candidates."""
    if isinstance(hard, tuple) and len(hard) == 2:
        return taken(hard[0], hard[1], what=HARD, label=label)
    return taken(hard, y if isinstance(y, str) else None, what=HARD, label=label)


def joined(
    candidates: Arrays | Frame, hard: Arrays | Frame, classes: Sequence[Any] | None = None
) -> Joined:
    """Return both as examples of one form. `DataError` where they do not fit together.

    `classes` are names in the order of the model's outputs; None for those that the labels show.
    """
    if isinstance(candidates, Frame) and isinstance(hard, Frame):
        return _of_frames(candidates, hard, classes)
    if not (isinstance(candidates, Arrays) and isinstance(hard, Arrays)):
        raise DataError("one of x and hard is a frame, and the other is none; give both alike")
    if candidates.x.shape[1:] != hard.x.shape[1:] or candidates.x.dtype != hard.x.dtype:
        raise DataError(
            f"x holds {candidates.x.dtype} of shape {candidates.x.shape[1:]}, hard {hard.x.dtype} of "
            f"shape {hard.x.shape[1:]}; give examples of one shape and type"
        )
    if (candidates.y is None) != (hard.y is None):
        raise DataError("one of x and hard has labels; give both, or neither")
    for part, what in ((candidates.x, X), (hard.x, HARD)):
        if not np.isfinite(part).all():
            raise DataError(f"{what} holds NaN or infinite values; fill in or drop such rows")
    if candidates.y is None or hard.y is None:
        ys = [np.zeros(len(part.x), np.int64) for part in (candidates, hard)]
        return Joined(Examples(candidates.x, ys[0]), Examples(hard.x, ys[1]), ("",), True)
    ys, names, ordered = _labels(candidates.y, hard.y, classes)
    return Joined(Examples(candidates.x, ys[0]), Examples(hard.x, ys[1]), names, ordered)


def _labels(
    first: np.ndarray, second: np.ndarray, classes: Sequence[Any] | None
) -> tuple[list[np.ndarray], tuple[str, ...], bool]:
    """Return labels as numbers: by `classes`, whole numbers as they are, or names in their order."""
    given = [first, second]
    if classes is not None:
        names = _named(classes)
        return [_placed(each, names) for each in given], names, True
    if first.dtype.kind != second.dtype.kind:
        raise DataError("labels are names in one of x and hard, and numbers in the other")
    known = np.unique(np.concatenate(given))
    # Negative numbers, such as -1 and 1, are names.
    if first.dtype.kind == "i" and known[0] >= 0:
        return given, tuple(map(str, range(1 + int(known[-1])))), True
    return (
        [np.searchsorted(known, each).astype(np.int64) for each in given],
        tuple(map(str, known)),
        False,
    )


def _named(classes: Sequence[Any]) -> tuple[str, ...]:
    if isinstance(classes, str):
        raise SettingError(f"classes is '{classes}'; give a list of class names")
    names = tuple(str(each) for each in np.asarray(classes).reshape(-1).tolist())
    if not names or len(set(names)) < len(names):
        raise SettingError(f"classes is {list(names)}; name each class once")
    return names


def _placed(labels: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    place = {name: label for label, name in enumerate(names)}
    unknown = sorted(set(labels.astype(str).tolist()) - set(place))
    if unknown:
        listed = ", ".join(f"'{each}'" for each in unknown[:5])
        raise DataError(f"labels hold {listed}, which classes does not name")
    return np.array([place[each] for each in labels.astype(str).tolist()], np.int64)


def _of_frames(candidates: Frame, hard: Frame, classes: Sequence[Any] | None) -> Joined:
    """Return rows as vectors, by the columns of both: numbers scaled, names one-hot."""
    specs = [
        DatasetSpec(what, label=part.label, missing="fill")
        for what, part in ((X, candidates), (HARD, hard))
    ]
    for spec in specs:
        if not spec.label:
            raise DataError(
                f"{spec.path} is a frame without labels; give y, or label= to name their column"
            )
    first = data_table(candidates, specs[0])
    second = data_table(hard, specs[1], first.kinds)
    both = concatenated(first, second)
    vectors = fit_schema(both, specs[0]).encode(both)
    columns = (candidates.rows[candidates.label], hard.rows[hard.label])
    ys, names, ordered = _labels(as_labels(columns[0], X), as_labels(columns[1], HARD), classes)
    n = len(first)
    return Joined(Examples(vectors[:n], ys[0]), Examples(vectors[n:], ys[1]), names, ordered)
