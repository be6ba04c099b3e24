"""The engine under gradient matching on plain arrays: as functions, and as a scikit-learn estimator."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from mycroft_fl.errors import DataError
from mycroft_fl.match.facility import facility_location as _facility_location
from mycroft_fl.match.omp.pursuit import Pursuit
from mycroft_fl.match.omp.pursuit import orthogonal_matching_pursuit as _pursuit
from mycroft_fl.represent.gradients.atoms import Atoms, DenseAtoms

__all__ = ["OrthogonalMatchingPursuit", "facility_location", "orthogonal_matching_pursuit"]


def orthogonal_matching_pursuit(
    atoms: Any,
    target: Any,
    k: int,
    *,
    nonnegative: bool = True,
    rule: str = "norm",
    ridge: float = 0.0,
    start: Any = None,
    tolerance: float = 1e-4,
) -> Pursuit:
    """Pick up to `k` rows of `atoms` whose weighted sum nears `target`, and their weights.

    Each step takes one row, then refits all weights (Killamsetty et al. 2021, Algorithm 2). A weight
    that would turn negative drops its row. Fewer than `k` come back only where `stopped` says why.

    Args:
        atoms: n rows of d numbers, as an array or a tensor; or `Atoms` made by the library.
        target: d numbers.
        k: how many rows at most, 1 or more.
        nonnegative: whether weights must be 0 or more.
        rule: which row a step takes: "norm", "dot" as in GRAD-MATCH, or "ols".
        ridge: 0 or more, as a share of the rows' mean squared norm.
        start: rows that an earlier pursuit picked; they are not picked again.
        tolerance: the share of the target below which the residual ends the pursuit, in [0, 1).

    Returns:
        `indices` in the order they were picked, their `weights`, the share `unexplained`, and why it
        `stopped`. Tensors on the CPU.

    Raises:
        DataError: NaN, infinity, or shapes that do not fit.
        SettingError: an argument outside its range.

    Example:
        >>> import numpy as np
        >>> atoms = np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1]])
        >>> found = orthogonal_matching_pursuit(atoms, [0.0, 2, 1], k=2)
        >>> found.indices.tolist(), found.weights.tolist(), found.unexplained
        ([1, 2], [2.0, 1.0], 0.0)
    """
    rows = atoms if isinstance(atoms, Atoms) else DenseAtoms(_floats(atoms))
    begun = None if start is None else torch.as_tensor(np.asarray(start), dtype=torch.int64)
    wanted = target if isinstance(atoms, Atoms) else _floats(target).to(_type(rows))
    return _pursuit(
        rows, wanted, k, nonnegative=nonnegative, rule=rule, ridge=ridge, start=begun,
        tolerance=tolerance,
    )  # fmt: skip


def facility_location(
    vectors: Any, k: int, *, labels: Any = None, weights: Any = None, start: Any = None
) -> Any:
    """Pick up to `k` rows that stand for all others of their label, the weightiest first.

    Greedy picks of a monotone, submodular function: within 1 - 1/e of the best set.

    Args:
        vectors: n rows of d numbers.
        k: how many at most, 1 or more.
        labels: n labels of any kind; None where all rows have one.
        weights: what serving a row is worth, 0 or more; None for 1 each.
        start: rows that are picked already.

    Returns:
        `indices` in their order, and the `gains` that each brought. Fewer than `k` where nothing
        adds anything.

    Raises:
        DataError: a number that is not finite, or a weight below 0.
        SettingError: `k` below 1.

    Example:
        >>> import numpy as np
        >>> rows = np.array([[0.0], [0.1], [0.2], [5.0]])
        >>> facility_location(rows, k=2).indices.tolist()
        [1, 3]
    """
    rows = _floats(vectors).double().numpy()
    if rows.ndim != 2:
        raise DataError(f"vectors have shape {rows.shape}; give n rows of d numbers")
    n = len(rows)
    codes = np.zeros(n, np.int64) if labels is None else np.unique(labels, return_inverse=True)[1]
    worth = np.ones(n) if weights is None else np.asarray(weights, dtype=np.float64)
    if codes.shape != (n,) or worth.shape != (n,):
        raise DataError(f"there are {n} rows, {codes.size} labels and {worth.size} weights")
    begun = None if start is None else np.asarray(start, dtype=np.int64)
    return _facility_location(rows, codes, worth, k, start=begun)


class OrthogonalMatchingPursuit(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """A sparse linear model by orthogonal matching pursuit, as scikit-learn knows one.

    Args:
        n_nonzero_coefs: how many coefficients at most; None for a tenth of the features, at least 1.
        tol: ends where the squared norm of the residual is no more; None for by number alone.
        positive: whether coefficients must be 0 or more, which scikit-learn's own cannot.
        fit_intercept: whether the target and the features are centred first.

    Attributes:
        coef_: the coefficients, shape (n_features,).
        intercept_: what is added.
        n_iter_: how many features were picked.
        picked_: these features, in the order they were picked.

    Example:
        >>> import numpy as np
        >>> x = np.eye(3)
        >>> model = OrthogonalMatchingPursuit(n_nonzero_coefs=1, fit_intercept=False)
        >>> model.fit(x, [0.0, 3.0, 1.0]).coef_.tolist()
        [0.0, 3.0, 0.0]
    """

    def __init__(
        self,
        *,
        n_nonzero_coefs: int | None = None,
        tol: float | None = None,
        positive: bool = False,
        fit_intercept: bool = True,
    ) -> None:
        self.n_nonzero_coefs = n_nonzero_coefs
        self.tol = tol
        self.positive = positive
        self.fit_intercept = fit_intercept

    def fit(self, X: Any, y: Any) -> OrthogonalMatchingPursuit:  # noqa: N803
        """Fit to n rows `X` of d features and n targets `y`. ValueError where they do not fit."""
        X, y = validate_data(self, X, y, y_numeric=True, dtype=np.float64)  # noqa: N806
        mean = X.mean(axis=0) if self.fit_intercept else np.zeros(X.shape[1])
        middle = float(y.mean()) if self.fit_intercept else 0.0
        centred, target = X - mean, y - middle
        coef = np.zeros(X.shape[1])
        picked = np.empty(0, np.int64)
        length = float(np.linalg.norm(target))
        if length > 0:
            found = orthogonal_matching_pursuit(
                centred.T, target, self._most(X.shape[1]), nonnegative=self.positive,
                tolerance=self._tolerance(length),
            )  # fmt: skip
            picked = found.indices.numpy()
            coef[picked] = found.weights.numpy()
        self.coef_, self.picked_, self.n_iter_ = coef, picked, len(picked)
        self.intercept_ = middle - float(mean @ coef)
        return self

    def predict(self, X: Any) -> np.ndarray:  # noqa: N803
        """Return the targets of n rows. NotFittedError before `fit`."""
        check_is_fitted(self)
        rows = validate_data(self, X, reset=False, dtype=np.float64)
        return np.asarray(rows @ self.coef_ + self.intercept_)

    def _most(self, features: int) -> int:
        if self.n_nonzero_coefs is not None:
            return self.n_nonzero_coefs
        return features if self.tol is not None else max(1, features // 10)

    def _tolerance(self, length: float) -> float:
        """Return the share of the target at which to end; scikit-learn gives a squared norm."""
        if self.tol is None:
            return 0.0
        return min(float(np.sqrt(max(self.tol, 0.0))) / length, 1 - 1e-9)


def _floats(values: Any) -> torch.Tensor:
    if isinstance(values, torch.Tensor):
        return values if values.is_floating_point() else values.float()
    array = np.asarray(values)
    return torch.from_numpy(np.ascontiguousarray(array if array.dtype.kind == "f" else array * 1.0))


def _type(atoms: Atoms) -> torch.dtype:
    rows = getattr(atoms, "rows", None)
    return rows.dtype if isinstance(rows, torch.Tensor) else torch.float32
