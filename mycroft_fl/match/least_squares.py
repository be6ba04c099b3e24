"""Least squares on the few atoms that a pursuit holds, with a factor that grows row by row."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Trial:
    """A few candidates looked at in float64 against a fit, all vectors at norm one."""

    index: Int[Tensor, " c"]
    cross: Float[Tensor, "t c"]
    direct: Float[Tensor, " c"]
    half: Float[Tensor, "t c"]

    @property
    def pivot(self) -> Float[Tensor, " c"]:
        """The share of each candidate's squared norm that those chosen do not span."""
        return 1 - self.half.square().sum(0)


@dataclass(frozen=True, eq=False)
class Fit:
    """Least squares on the chosen atoms, on the CPU in float64, all vectors at norm one.

    `factor` is the Cholesky factor of `gram`, `direct` the correlations with the target.
    """

    index: Int[Tensor, " t"]
    gram: Float[Tensor, "t t"]
    factor: Float[Tensor, "t t"]
    direct: Float[Tensor, " t"]
    weights: Float[Tensor, " t"]

    @classmethod
    def empty(cls) -> Fit:
        none = torch.empty(0, dtype=torch.float64)
        square = none.reshape(0, 0)
        return cls(torch.empty(0, dtype=torch.int64), square, square, none, none)

    @property
    def objective(self) -> float:
        """||residual||^2 plus the penalty, as a share of ||target||^2; for solved weights."""
        return 1.0 - float(self.weights @ self.direct)

    def solved(self) -> Float[Tensor, " t"]:
        """The weights that minimise the objective, whatever their sign."""
        return torch.cholesky_solve(self.direct[:, None], self.factor)[:, 0]

    def with_atom(self, trial: Trial, place: int) -> Fit:
        """One atom more, its weight zero: one row more of the factor, O(t^2)."""
        cross, half = trial.cross[:, place, None], trial.half[:, place, None]
        one, pivot = torch.ones(1, 1, dtype=torch.float64), trial.pivot[place].sqrt()
        return Fit(
            torch.cat([self.index, trial.index[place, None]]),
            torch.cat([torch.cat([self.gram, cross], 1), torch.cat([cross.T, one], 1)]),
            torch.cat([torch.cat([self.factor, 0 * half], 1), torch.cat([half.T, one * pivot], 1)]),
            torch.cat([self.direct, trial.direct[place, None]]),
            torch.cat([self.weights, torch.zeros(1, dtype=torch.float64)]),
        )

    def keeping(self, keep: Bool[Tensor, " t"], weights: Float[Tensor, " t"]) -> Fit:
        """Only the atoms to keep. The factor's rows above the first gap stay as they are."""
        first = int((~keep).nonzero()[0])
        gram = self.gram[keep][:, keep]
        factor = torch.zeros_like(gram)
        factor[:, :first] = self.factor[keep, :first]
        below = factor[first:, :first]
        factor[first:, first:] = torch.linalg.cholesky(gram[first:, first:] - below @ below.T)
        return Fit(self.index[keep], gram, factor, self.direct[keep], weights[keep])

    def refitted(self, nonnegative: bool) -> Fit:
        """Best weights; while some would be negative, go as far as none is and drop who is zero."""
        fit, goal = self, self.solved()
        while nonnegative and bool((goal <= 0).any()):
            start = fit.weights
            steps = torch.where(goal <= 0, start / (start - goal).clamp_min(1e-300), math.inf)
            weights = start + steps.min() * (goal - start)
            keep = (weights > 0) & (steps > steps.min())
            fit = fit.keeping(keep, weights)
            goal = fit.solved()
        return Fit(fit.index, fit.gram, fit.factor, fit.direct, goal)
