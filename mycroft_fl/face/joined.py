"""Candidates and hard examples as examples of one form, with the names of their classes."""

from __future__ import annotations

from typing import Any

import numpy as np

from mycroft_fl.data.formats.spec import DatasetSpec
from mycroft_fl.data.given import Arrays, Frame, data_table, taken
from mycroft_fl.data.tables.encode import concatenated
from mycroft_fl.data.tables.fit import fit_schema
from mycroft_fl.errors import DataError
from mycroft_fl.examples import Examples

X, HARD = "x", "hard"


def hard_given(hard: Any, y: Any, label: str) -> Arrays | Frame:
    """Take hard examples, as (x, y) or in the form of the candidates."""
    if isinstance(hard, tuple) and len(hard) == 2:
        return taken(hard[0], hard[1], what=HARD, label=label)
    return taken(hard, y if isinstance(y, str) else None, what=HARD, label=label)


def joined(
    candidates: Arrays | Frame, hard: Arrays | Frame
) -> tuple[Examples, Examples, tuple[str, ...]]:
    """Return both as examples of one form, and the classes' names by label."""
    if isinstance(candidates, Frame) and isinstance(hard, Frame):
        return _of_frames(candidates, hard)
    if not (isinstance(candidates, Arrays) and isinstance(hard, Arrays)):
        raise DataError("one of x and hard is a frame, and the other is none; give both alike")
    if candidates.x.shape[1:] != hard.x.shape[1:] or candidates.x.dtype != hard.x.dtype:
        raise DataError(
            f"x holds {candidates.x.dtype} of shape {candidates.x.shape[1:]}, hard {hard.x.dtype} of "
            f"shape {hard.x.shape[1:]}; give examples of one shape and type"
        )
    if (candidates.y is None) != (hard.y is None):
        raise DataError("one of x and hard has labels; give both, or neither")
    ys, names = _labels(candidates, hard)
    for part, what in ((candidates.x, X), (hard.x, HARD)):
        if not np.isfinite(part).all():
            raise DataError(f"{what} holds NaN or infinite values; fill in or drop such rows")
    return Examples(candidates.x, ys[0]), Examples(hard.x, ys[1]), names


def _labels(*parts: Arrays) -> tuple[list[np.ndarray], tuple[str, ...]]:
    """Return labels as numbers: whole numbers as they are, names in their order."""
    given = [np.zeros(len(each.x), np.int64) if each.y is None else each.y for each in parts]
    if parts[0].y is None:
        return given, ("",)
    if all(each.dtype.kind == "i" for each in given):
        return given, tuple(str(each) for each in range(1 + max(int(each.max()) for each in given)))
    if len({each.dtype.kind for each in given}) > 1:
        raise DataError("labels are names in one of x and hard, and numbers in the other")
    names = np.unique(np.concatenate(given))
    return [np.searchsorted(names, each).astype(np.int64) for each in given], tuple(map(str, names))


def _of_frames(candidates: Frame, hard: Frame) -> tuple[Examples, Examples, tuple[str, ...]]:
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
    schema = fit_schema(both, specs[0])
    vectors = schema.encode(both)
    texts = both.column(specs[0].label).texts.astype(str)
    names, labels = np.unique(texts, return_inverse=True)
    examples = Examples(vectors, labels.astype(np.int64))
    n = len(first)
    return examples[:n], examples[n:], tuple(map(str, names))
