"""How every atom points towards what is still unexplained, kept up to date step by step."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mycroft_fl.match.least_squares import Fit
from mycroft_fl.represent.atoms import Atoms

_COLUMNS = 64  # columns of the Gram matrix allocated at a time


@dataclass(frozen=True, eq=False)
class Problem:
    """Atoms and a target at norm one; what is penalised is one more row per atom, orthogonal to all.

    `norms` are those of the atoms with that row, 1 where an atom is zero; `penalty` is the row's
    share of each squared norm.
    """

    atoms: Atoms
    target: Float[Tensor, "*direction"]
    norms: Float[Tensor, " n"]
    penalty: Float[Tensor, " n"]
    zero: Bool[Tensor, " n"]

    @classmethod
    def scaled(
        cls, atoms: Atoms, target: Tensor, squared: Tensor, ridge: float, extra: Tensor
    ) -> Problem:
        """For a ridge given as a share of the mean squared norm, and each atom's extra penalty."""
        row, zero = ridge * squared.mean() + extra, squared == 0
        whole = (squared + row).masked_fill(zero, 1)
        return cls(atoms, target.to(atoms.device), whole.sqrt(), row / whole, zero)

    def residual(self, fit: Fit) -> Float[Tensor, "*direction"]:
        """What the fit leaves of the target, in float64."""
        index = fit.index.to(self.atoms.device)
        weights = fit.weights.to(self.atoms.device) / self.norms[index]
        few = self.atoms[index].double()
        return self.target - few.combine(torch.arange(len(few), device=few.device), weights)

    def unexplained(self, fit: Fit) -> float:
        """||residual||, from the fit's own numbers."""
        penalty = self.penalty[fit.index.to(self.penalty.device)].cpu() @ fit.weights.square()
        return math.sqrt(max(0.0, fit.objective - float(penalty)))


class Correlations:
    """Every atom's correlation with the residual, `base - columns @ change of weights`.

    One column of the Gram matrix is computed for each atom that ever entered, and kept where the
    atom is dropped, for it may come back.
    """

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._slot = torch.full_like(problem.norms, -1, dtype=torch.int64)
        self._blocks: list[Tensor] = []
        self._anchor = problem.norms.new_zeros(0)
        self._rebase(problem.target)

    def _rebase(self, residual: Tensor) -> None:
        self.now = self._base = self._problem.atoms.correlate(
            residual.to(self._problem.atoms.dtype)
        )
        precision = 8 * torch.finfo(self._problem.atoms.dtype).eps
        self.noise = precision * float(torch.linalg.vector_norm(residual))

    def follow(self, fit: Fit) -> None:
        """Bring `now` to the residual of `fit`."""
        change = self._by_slot(fit) - self._anchor
        self.now = self._base.clone()
        for number, block in enumerate(self._blocks):
            part = change[number * _COLUMNS : (number + 1) * _COLUMNS].to(self.now.dtype)
            self.now.addmv_(block[: len(part)].T, part, alpha=-1)

    def refresh(self, fit: Fit) -> None:
        """Compute `now` from the residual itself: exact to the residual, not to the target."""
        self._rebase(self._problem.residual(fit))
        self._anchor = self._by_slot(fit)

    def _by_slot(self, fit: Fit) -> Float[Tensor, " slots"]:
        index = fit.index.to(self._slot.device)
        for new in index[self._slot[index] < 0]:
            self._enter(new[None])
        weights = torch.zeros_like(self._anchor)
        weights[self._slot[index]] = fit.weights.to(weights.device)
        return weights

    def _enter(self, index: Int[Tensor, " 1"]) -> None:
        slot = len(self._anchor)
        if slot % _COLUMNS == 0:
            self._blocks.append(self._base.new_empty(_COLUMNS, len(self._problem.atoms)))
        column = self._problem.atoms.gram(index, 1 / self._problem.norms[index])
        self._blocks[-1][slot % _COLUMNS] = column[:, 0]
        self._slot[index] = slot
        self._anchor = torch.cat([self._anchor, self._anchor.new_zeros(1)])
