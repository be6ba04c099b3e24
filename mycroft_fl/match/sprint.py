"""Steps of a pursuit that are as plain as can be, with as little as can be around each."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float

from mycroft_fl.match.correlations import Correlations
from mycroft_fl.match.least_squares import Fit
from mycroft_fl.match.problem import Problem
from mycroft_fl.match.thresholds import LEAST_GAIN, LEAST_PIVOT, TIE
from mycroft_fl.represent.atoms import DenseAtoms
from mycroft_fl.represent.factors import GradientFactors


def sprint(
    problem: Problem,
    correlations: Correlations,
    fit: Fit,
    room: int,
    signed: bool,
    floor: float,
    tolerance: float,
) -> list[int]:
    """Pick up to `room` atoms while each step is plain: one clear best, no weight to be dropped.

    For float64 on the CPU, the rule norm, no penalty, and a fit that never dropped an atom. What
    is not plain is left to the search, in the very state that it would have brought about itself;
    `correlations` only where there is something left to do. The atoms chosen come back, in order.
    """
    course = _Course(problem, correlations, fit, room)
    while course.taken < room and course.left > tolerance**2:
        if not course.step(signed, floor):
            course.leave(fit)
            correlations.adopt(course.columns)
            correlations.follow(fit)
            return course.entered
    course.leave(fit)
    return course.entered


class _Course:
    """The state of such steps. `spans` are all atoms' products with a basis of the chosen's span."""

    def __init__(self, problem: Problem, correlations: Correlations, fit: Fit, room: int) -> None:
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

    def step(self, signed: bool, floor: float) -> bool:
        """Choose one more atom; False, and nothing is changed, where that is not plain."""
        size, now = self._size, self._now
        scores = now if signed else np.abs(now)
        best = int(scores.argmax())
        if scores[best] <= floor or np.count_nonzero(scores >= scores[best] - TIE) > 1:
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
        if gain * gain <= LEAST_GAIN or (signed and weights[weights.argmin()] <= 0):
            return False
        np.subtract(column, half @ self._spans[:size], out=span)
        span *= row[size]
        span[self._barred] = 0.0
        now -= gain * span
        self._weights, self._size = weights, size + 1
        self.left -= gain * gain
        self.entered.append(best)
        return True

    def leave(self, fit: Fit) -> None:
        """Tell the fit what was chosen."""
        new, size = slice(self._before, self._size), self._size
        products = self._columns[:size, self.entered].T
        fit.adopt(products, self._direct[self.entered], self._inverse[new, :size], self._weights)


def unit_columns(problem: Problem) -> Callable[[int, np.ndarray], None]:
    """What writes all atoms' products with one of them, all at norm one, into an array."""
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
