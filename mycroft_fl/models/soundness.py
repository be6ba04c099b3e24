"""Checks that the parts of a fitted scikit-learn estimator fit together, before any of it is used.

Its compiled code follows indices unchecked: a child of a tree that is not there ends the process,
and one that leads back up never ends. A file of weights may hold either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

MOST_PARTS = 5_000_000
AT_MOST = {"n_estimators": 10_000, "max_iter": 100_000}
"""Settings by which another fit would not end, and what they may be."""
UNSET: dict[str, Any] = {"n_jobs": None, "memory": None, "verbose": 0}
"""Settings that are not a file's to make: threads, a folder of pickles to read, what is printed."""


def check_estimator(estimator: Any) -> None:
    """Raise `ValueError` where an estimator's parts do not fit together; some settings are taken back."""
    for part in parts_of(estimator):
        if hasattr(part, "get_params"):
            _check_settings(part)
            _check_fitted(part)


def parts_of(whole: Any) -> Iterator[Any]:
    """Return an object and all that it is made of."""
    waiting, seen = [whole], set[int]()
    while waiting:
        part = waiting.pop()
        if id(part) in seen or isinstance(part, str | bytes | int | float | bool | type(None)):
            continue
        seen.add(id(part))
        if len(seen) > MOST_PARTS:
            raise ValueError("it has more parts than any classifier")
        yield part
        if isinstance(part, dict):
            waiting.extend(part.values())
        elif isinstance(part, list | tuple | set):
            waiting.extend(part)
        elif isinstance(part, np.ndarray):
            waiting.extend(part.ravel() if part.dtype.hasobject else ())
        else:
            waiting.extend(getattr(part, "__dict__", {}).values())


def _check_settings(estimator: Any) -> None:
    params = estimator.get_params(deep=False)
    for name, most in AT_MOST.items():
        value = params.get(name)
        if isinstance(value, int | float | np.number) and not value <= most:
            raise ValueError(f"{name} is {value}, above {most}")
    estimator.set_params(**{name: value for name, value in UNSET.items() if name in params})


def _check_fitted(estimator: Any) -> None:
    """Check what compiled code takes on trust, by the kind of estimator; all others check by themselves."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.ensemble._forest import BaseForest
    from sklearn.ensemble._gb import BaseGradientBoosting
    from sklearn.neighbors._base import NeighborsBase
    from sklearn.svm._base import BaseLibSVM
    from sklearn.tree import BaseDecisionTree

    checks: list[tuple[Any, Callable[[Any], None]]] = [
        (BaseDecisionTree, _check_decision_tree),
        ((BaseForest, BaseGradientBoosting), _check_trees),
        ((HistGradientBoostingClassifier, HistGradientBoostingRegressor), _check_boosting),
        (NeighborsBase, _check_neighbours),
        (BaseLibSVM, _check_support),
    ]
    try:
        for kind, check in checks:
            if isinstance(estimator, kind):
                check(estimator)
    except (AttributeError, TypeError, KeyError, IndexError) as error:
        raise ValueError(f"a {type(estimator).__name__} lacks a part ({error})") from error


def _require(holds: Any, what: str) -> None:
    if not bool(holds):
        raise ValueError(what)


def _whole(value: Any, what: str, least: int = 1, most: int = 10_000_000) -> int:
    _require(isinstance(value, int | np.integer) and least <= value <= most, f"{what} is none")
    return int(value)


def _check_decision_tree(model: Any) -> None:
    if not hasattr(model, "tree_"):
        return  # not fitted: a forest keeps one as its pattern
    tree, features = model.tree_, _whole(model.n_features_in_, "the number of features")
    # First: every other attribute is a view of as many nodes as it says there are.
    _require(1 <= tree.node_count <= tree.capacity, "a tree claims nodes that it does not have")
    _require(tree.n_outputs == 1, "a tree answers more than one question")
    _require(tree.n_features == features, "a tree looks at other features than its model")
    classes = getattr(model, "classes_", None)
    wanted = 1 if classes is None else len(classes)
    _require(tree.max_n_classes == wanted, "a tree knows other classes than its model")
    _require(0 <= tree.max_depth < tree.node_count, "a tree is deeper than its nodes allow")
    _check_nodes(tree.children_left, tree.children_right, tree.children_left != -1)
    inner = tree.children_left != -1
    _require((tree.children_right[~inner] == -1).all(), "a leaf of a tree has a child")
    _check_features(tree.feature[inner], features)
    _require(not np.isnan(tree.threshold[inner]).any(), "a tree splits at no number")
    _require(np.isfinite(tree.value).all(), "a tree holds values that are not finite")


def _check_nodes(left: np.ndarray, right: np.ndarray, inner: np.ndarray) -> None:
    """Check that children come after their parent and are there: then every way down ends."""
    place, n = np.flatnonzero(inner), len(left)
    for children in (left[inner].astype(np.int64), right[inner].astype(np.int64)):
        _require((children > place).all(), "a tree leads back to where it came from")
        _require((children < n).all(), "a tree has a child that is not there")


def _check_features(asked: np.ndarray, features: int) -> None:
    wide = asked.astype(np.int64)
    _require(((wide >= 0) & (wide < features)).all(), "a tree looks at a feature that is not there")


def _check_trees(model: Any) -> None:
    if not hasattr(model, "estimators_"):
        return
    from sklearn.tree import BaseDecisionTree

    trees = np.asarray(model.estimators_, dtype=object).ravel()
    _require(len(trees), "a forest has no trees")
    classes = getattr(model, "classes_", None)
    for each in trees:
        _require(isinstance(each, BaseDecisionTree), "a forest holds something that is no tree")
        _require(hasattr(each, "tree_"), "a tree of a forest is not fitted")
        # A forest checks its input once and hands it on unchecked.
        _require(each.n_features_in_ == model.n_features_in_, "a forest's trees differ in features")
        if hasattr(each, "classes_") and classes is not None:
            _require(len(each.classes_) == len(classes), "a forest's trees differ in classes")
    if hasattr(model, "n_trees_per_iteration_"):
        shape = np.shape(np.asarray(model.estimators_, dtype=object))
        wanted = 1 if classes is None or len(classes) == 2 else len(classes)
        _require(len(shape) == 2 and shape[1] == wanted, "boosting has trees of other classes")


def _check_boosting(model: Any) -> None:
    if not hasattr(model, "_predictors"):
        return
    features = _whole(model.n_features_in_, "the number of features")
    classes = getattr(model, "classes_", None)
    wanted = 1 if classes is None or len(classes) == 2 else len(classes)
    _require(model.n_trees_per_iteration_ == wanted, "boosting has trees of other classes")
    _require(np.size(model._baseline_prediction) == wanted, "boosting starts from other classes")
    for stage in model._predictors:
        _require(len(stage) == wanted, "boosting has trees of other classes")
        for each in stage:
            _check_predictor(each, features)


def _check_predictor(predictor: Any, features: int) -> None:
    from sklearn.ensemble._hist_gradient_boosting.common import PREDICTOR_RECORD_DTYPE

    nodes = predictor.nodes
    _require(nodes.dtype == PREDICTOR_RECORD_DTYPE and nodes.ndim == 1, "a tree has other nodes")
    _require(len(nodes), "a tree has no nodes")
    inner = nodes["is_leaf"] == 0
    _check_nodes(nodes["left"], nodes["right"], inner)
    _check_features(nodes["feature_idx"][inner], features)
    _require(np.isfinite(nodes["value"]).all(), "a tree holds values that are not finite")
    named = inner & (nodes["is_categorical"] != 0)
    for name in ("binned_left_cat_bitsets", "raw_left_cat_bitsets"):
        bits = getattr(predictor, name)
        _require(bits.dtype == np.uint32 and bits.ndim == 2 and bits.shape[1] == 8, "no categories")
        _require((nodes["bitset_idx"][named] < len(bits)).all(), "a tree has no such categories")


def _check_neighbours(model: Any) -> None:
    if not hasattr(model, "_fit_X"):
        return
    rows = model._fit_X
    _require(getattr(model, "_tree", None) is None, "neighbours in a search tree are not read")
    _require(isinstance(rows, np.ndarray) and rows.ndim == 2, "neighbours are no rows")
    _require(rows.shape[1] == model.n_features_in_, "neighbours have other features")
    labels = getattr(model, "_y", None)
    if labels is not None and hasattr(model, "classes_"):
        neighbour_labels = np.asarray(labels)
        _require(
            neighbour_labels.dtype.kind in "iu" and neighbour_labels.shape == (len(rows),),
            "neighbours lack labels",
        )
        _require(
            (neighbour_labels >= 0).all() and (neighbour_labels < len(model.classes_)).all(),
            "no such label",
        )


def _check_support(model: Any) -> None:
    if not hasattr(model, "support_vectors_"):
        return
    vectors, counts = model.support_vectors_, np.asarray(model._n_support)
    _require(isinstance(vectors, np.ndarray) and vectors.ndim == 2, "support vectors are no rows")
    _require(vectors.shape[1] == model.n_features_in_, "support vectors have other features")
    _require((counts >= 0).all() and counts.sum() == len(vectors), "support vectors are missing")
    _require(np.shape(model.support_) == (len(vectors),), "support vectors are missing")
    classes = len(getattr(model, "classes_", (0, 1)))
    weights, pairs = np.asarray(model._dual_coef_), classes * (classes - 1) // 2
    if hasattr(model, "classes_"):
        _require(counts.shape == (classes,), "support vectors of other classes")
    _require(weights.shape == (max(classes - 1, 1), len(vectors)), "support vectors lack weights")
    _require(np.shape(model._intercept_) == (max(pairs, 1),), "a machine of other classes")
    for name in ("_probA", "_probB"):
        _require(np.size(getattr(model, name)) in (0, pairs), "a machine of other classes")
