"""scikit-learn classifiers and pipelines of one's own: what they take, and what they are made of."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from typing import Any

import numpy as np

from mycroft_fl.data.tables.columns import Categories, Numbers
from mycroft_fl.data.tables.schema import TableSchema
from mycroft_fl.errors import SettingError
from mycroft_fl.models.soundness import parts_of

NEAR_WHOLE = 1e-5
"""A number as near to a whole one, by its size, was that before it was scaled."""


def takes_columns(classifier: Any) -> bool:
    """Say whether a pipeline prepares a table's columns itself, and so takes them as they stand.

    That is so where it holds a ColumnTransformer, or begins with an encoder of categories.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline

    if isinstance(classifier, ColumnTransformer):
        return True
    if not isinstance(classifier, Pipeline):
        inner = getattr(classifier, "estimator", None)  # of a search or a calibration
        return inner is not None and takes_columns(inner)
    first = classifier.steps[0][1]
    return type(first).__name__.endswith("Encoder") or any(
        takes_columns(step) for _, step in classifier.steps
    )


def as_columns(table: TableSchema, x: np.ndarray) -> Any:
    """Return vectors as the frame whose rows they were: whole numbers whole, names as text."""
    frame = table.decoded(x)
    for column in table.columns:
        if isinstance(column, Numbers):
            values = frame[column.name].to_numpy()
            whole = np.rint(values)
            near = np.abs(values - whole) <= NEAR_WHOLE * np.maximum(1, np.abs(values))
            frame[column.name] = np.where(near, whole, values)
    return frame


def probes(table: TableSchema, x: np.ndarray) -> np.ndarray:
    """Return vectors that rows could have become: of names one each, numbers as in `x`."""
    rng = np.random.default_rng(0)
    start = 0
    for column in table.columns:
        width = len(column.known) if isinstance(column, Categories) else 1
        if isinstance(column, Categories):
            x[:, start : start + width] = np.eye(width)[rng.integers(width, size=len(x))]
        start += width
    return x


def fit_weights(classifier: Any, weights: np.ndarray | None) -> dict[str, Any]:
    """Return how weights of examples are called where `fit` takes them: in a pipeline by its last step."""
    from sklearn.pipeline import Pipeline
    from sklearn.utils.validation import has_fit_parameter

    if weights is None:
        return {}
    name = "sample_weight"
    # One that names them itself, in a class of its own, takes them as any classifier does.
    while isinstance(classifier, Pipeline) and not has_fit_parameter(classifier, "sample_weight"):
        step, classifier = classifier.steps[-1]
        name = f"{step}__{name}"
    return {name: weights}


def seeds(classifier: Any, seed: int) -> dict[str, int]:
    """Return the parameters that draw at random, in a pipeline too, each set to `seed`."""
    return {
        key: seed % 2**32
        for key in classifier.get_params()
        if key == "random_state" or key.endswith("__random_state")
    }


def types_of(classifier: Any) -> tuple[str, ...]:
    """Name the types and functions that a classifier given by its user is made of."""
    return tuple(sorted({f"{kind.__module__}.{kind.__qualname__}" for kind in _kinds(classifier)}))


def is_fitted(classifier: Any) -> bool:
    """Say whether a classifier was fitted before."""
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    try:
        check_is_fitted(classifier)
        return hasattr(classifier, "classes_")
    except (NotFittedError, TypeError):
        return False


def with_labels(classifier: Any, classes: tuple[str, ...]) -> Any:
    """Return a copy of a fitted classifier whose classes are labels: places in `classes`.

    `SettingError` where it knows a class that is none of them, or does not let them be renamed.
    """
    known = [str(each) for each in np.asarray(classifier.classes_).tolist()]
    unknown = [each for each in known if each not in classes]
    if unknown:
        raise SettingError(
            f"the model knows a class '{unknown[0]}', and the data has {list(classes)[:20]}; give classes="
        )
    labels = np.array([classes.index(each) for each in known])
    renamed = copy.deepcopy(classifier)
    inner = renamed
    while hasattr(inner, "steps"):
        inner = inner.steps[-1][1]
    # One that asks another for its classes does not take them; whether these fit is checked below.
    with contextlib.suppress(AttributeError):
        inner.classes_ = labels
    if not np.array_equal(renamed.classes_, labels) or (np.diff(labels) <= 0).any():
        raise SettingError(
            f"the fitted model was fitted on {known[:5]}; fit it on labels 0 to {len(classes) - 1}, or give "
            "it unfitted"
        )
    return renamed


def _kinds(classifier: Any) -> Iterator[Any]:
    for part in parts_of(classifier):
        kind = (
            part
            if isinstance(part, type) or (callable(part) and hasattr(part, "__qualname__"))
            else type(part)
        )
        if getattr(kind, "__module__", "builtins") not in ("builtins", None):
            yield kind
