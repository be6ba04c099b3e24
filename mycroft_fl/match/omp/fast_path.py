"""Steps of a pursuit that are as plain as can be, with as little as can be around each."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float

from mycroft_fl.match.omp.cholesky import Fit
from mycroft_fl.match.omp.correlations import Correlations
from mycroft_fl.match.omp.problem import LEAST_GAIN, LEAST_PIVOT, TIE, Options, Problem
from mycroft_fl.represent.gradients.atoms import DenseAtoms
from mycroft_fl.represent.gradients.factors import GradientFactors


def fast_path(
    problem: Problem,
    correlations: Correlations,
    fit: Fit,
    room: int,
    options: Options,
    floor: float,
) -> list[int]:
    """Pick up to `room` atoms while each step is plain: one clear best, no weight to be dropped.

    For float64 on the CPU, no penalty, and a fit that never dropped an atom. What
    is not plain is left to the search, in the very state that it would have brought about itself;
    `correlations` only where there is something left to do. The atoms chosen come back, in order.

    Args:
        problem: atoms and target at norm one.
        correlations: the atoms' cosines with the residual; changed.
        fit: the weights so far; changed.
        room: how many atoms at most.
        options: how the pursuit goes.
        floor: the cosine below which all is rounding.
    """
    course = _Course(problem, correlations, fit, room, options)
    while course.taken < room and course.left > options.tolerance**2 and course.step(floor):
        pass
    course.leave(fit)
    if course.taken < room and fit.unexplained > options.tolerance:
        correlations.adopt(course.columns)
        correlations.pivots = torch.from_numpy(course.pivots)
        correlations.follow(fit)
    return course.entered


class _Course:
    """The state of such steps. `spans` are all atoms' products with a basis of the chosen's span."""

    def __init__(
        self, problem: Problem, correlations: Correlations, fit: Fit, room: int, options: Options
    ) -> None:
        size, n = len(fit), len(correlations.now)
        assert correlations.start is not None  # so in float64
        self.entered: list[int] = []
        self._before, self._size = size, size
        self._columns, self._spans = np.empty((size + room, n)), np.empty((size + room, n))
        self._inverse = np.zeros((size + room, size + room))
        self._weights, self._direct = fit.weights, correlations.start
        self._now = correlations.now.numpy().copy()
        self._barred = np.flatnonzero(correlations.shut.numpy())
        self._now[self._barred] = 0.0
        self._column_of = unit_columns(problem)
        self.left = fit.objective
        self._signed, self._follows_pivots = options.nonnegative, options.rule == "ols"
        self.pivots = correlations.pivots.numpy().copy()
        self._factor = _factors(options.rule, problem.norms.numpy(), self.pivots)
        if size:
            self._columns[:size] = correlations.rows()
            self._inverse[:size, :size] = fit.inverse
            np.matmul(fit.inverse, self._columns[:size], out=self._spans[:size])

    @property
    def taken(self) -> int:
        """How many atoms these steps chose."""
        return len(self.entered)

    @property
    def columns(self) -> Float[np.ndarray, "new n"]:
        """The Gram matrix's columns of the atoms that these steps chose."""
        return self._columns[self._before : self._size]

    def step(self, floor: float) -> bool:
        """Choose one more atom; False, and nothing is changed, where that is not plain."""
        size, now = self._size, self._now
        scores = now if self._signed else np.abs(now)
        if self._factor is not None:
            scores = scores * self._factor
        best = int(scores.argmax())
        if abs(now[best]) <= floor or np.count_nonzero(scores >= scores[best] - TIE) > 1:
            return False
        column, span = self._columns[size], self._spans[size]
        self._column_of(best, column)
        half = self._spans[:size, best].copy()
        pivot = 1.0 - half @ half
        if pivot <= LEAST_PIVOT:
            return False
        row = self._inverse[size, : size + 1]
        row[:size] = half @ self._inverse[:size, :size]
        row[size] = -1.0
        row *= -(pivot**-0.5)
        gain = now[best] * row[size]
        weights = gain * row
        weights[:size] += self._weights
        if gain * gain <= LEAST_GAIN or (self._signed and weights[weights.argmin()] <= 0):
            return False
        np.subtract(column, half @ self._spans[:size], out=span)
        span *= row[size]
        now -= gain * span
        now[self._barred] = 0.0
        if self._follows_pivots:
            self.pivots -= span * span
            self._factor = _factors("ols", self.pivots, self.pivots)
        self._weights, self._size = weights, size + 1
        self.left -= gain * gain
        self.entered.append(best)
        return True

    def leave(self, fit: Fit) -> None:
        """Tell the fit what was chosen."""
        new, size = slice(self._before, self._size), self._size
        products = self._columns[:size, self.entered].T
        fit.adopt(products, self._direct[self.entered], self._inverse[new, :size], self._weights)


def _factors(rule: str, norms: np.ndarray, pivots: np.ndarray) -> Float[np.ndarray, " n"] | None:
    """Return the factors that the rule multiplies cosines with."""
    if rule == "ols":
        factors: np.ndarray = np.maximum(pivots, LEAST_PIVOT) ** -0.5
        return factors
    return norms / norms.max() if rule == "dot" else None


def unit_columns(problem: Problem) -> Callable[[int, np.ndarray], None]:
    """Return a function that writes all atoms' products with one of them, at norm one, into an array."""
    atoms, norms = problem.atoms, problem.norms
    if isinstance(atoms, GradientFactors):
        inputs, ones = atoms.inputs.numpy(), atoms.bias
        delta = (atoms.delta / norms[:, None]).numpy()

        def of_factors(index: int, out: np.ndarray) -> None:
            np.dot(inputs, inputs[index], out=out)
            if ones:
                out += 1.0
            out *= delta @ delta[index]

        return of_factors
    if isinstance(atoms, DenseAtoms):
        rows = (atoms.rows / norms[:, None]).numpy()
        return lambda index, out: np.dot(rows, rows[index], out=out)  # type: ignore[return-value]

    def of_any(index: int, out: np.ndarray) -> None:
        where = torch.tensor([index])
        out[:] = atoms.gram(where, 1 / norms[where])[:, 0].div_(norms).numpy()

    return of_any
