"""Cosines of all atoms with what is still unexplained, kept up to date step by step."""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from mycroft_fl.match.omp.cholesky import Fit
from mycroft_fl.match.omp.problem import RULES, TIE, Problem

_ROWS = 128  # columns of the Gram matrix allocated at a time
_BATCH = 256  # candidates looked at once


class Correlations:
    """Every atom's cosine with the residual, `base - columns @ change of weights`.

    One column of the Gram matrix is held for each atom that ever entered, and kept where the atom
    is dropped, for it may come back.
    """

    def __init__(self, problem: Problem, rule: str, signed: bool) -> None:
        self._problem, self._rule, self._signed = problem, RULES[rule], signed
        self._columns: list[Tensor] = []
        self._entered = 0
        self._norms = problem.norms.to(problem.atoms.dtype)
        self._relative = self._norms / self._norms.max()
        self.pivots = torch.ones_like(self._norms) if rule == "ols" else self._norms
        self._follows_pivots = rule == "ols"
        self.shut = problem.zero.clone()
        self._anchor = torch.zeros(0, dtype=torch.float64)
        self._base = self.now = self._norms
        self.rebase(problem.target, Fit())
        self.start = self._base.cpu().numpy() if self._base.dtype == torch.float64 else None

    def rebase(self, residual: Float[Tensor, "*direction"], fit: Fit) -> None:
        """Compute `now` from the residual itself: exact to the residual, not to the target."""
        atoms = self._problem.atoms
        self._base = atoms.correlate(residual.to(atoms.dtype)).div_(self._norms)
        self.now = self._base.clone()
        self._anchor = torch.from_numpy(fit.by_slot)
        self.length = float(torch.linalg.vector_norm(residual))
        self.noise = 8 * torch.finfo(atoms.dtype).eps * self.length

    def enter(self, slot: int, column: Float[Tensor, " n"]) -> None:
        """Keep the products of all atoms with the one, at norm one, that got this slot."""
        if slot // _ROWS == len(self._columns):
            self._columns.append(column.new_empty(_ROWS, len(column)))
        torch.div(column, self._norms, out=self._columns[-1][slot % _ROWS])
        self._entered = slot + 1

    def entries(self, candidates: list[int]) -> Float[np.ndarray, "slots c"]:
        """Return what the columns hold of these candidates."""
        index = torch.tensor(candidates, device=self.now.device)
        none = self.now.new_empty(0, len(candidates))
        rows = torch.cat([rows[:, index] for rows in self._columns] or [none])
        return rows[: self._entered].cpu().numpy()

    def adopt(self, columns: Float[np.ndarray, "new n"]) -> None:
        """Keep columns of the Gram matrix, all at norm one, for the next slots; on the CPU."""
        for column in columns:
            if self._entered // _ROWS == len(self._columns):
                self._columns.append(self.now.new_empty(_ROWS, len(self.now)))
            self._columns[-1][self._entered % _ROWS] = torch.from_numpy(column)
            self._entered += 1

    def rows(self) -> Float[np.ndarray, "slots n"]:
        """Return the columns of all that have a slot; on the CPU."""
        rows = torch.cat(self._columns) if self._columns else self.now.new_empty(0, len(self.now))
        return rows[: self._entered].numpy()

    def follow(self, fit: Fit) -> None:
        """Bring `now` to the residual of `fit`."""
        change = torch.from_numpy(fit.by_slot)
        change[: len(self._anchor)] -= self._anchor
        self.now = self._combined(self._base, change, -1)

    def narrow(self, fit: Fit, row: Float[np.ndarray, " t"], sign: int) -> None:
        """Bring the pivots up to date once a unit vector, by its weights, joined (-1) or left (1) them."""
        if self._follows_pivots:
            weights = torch.zeros(fit.slots, dtype=torch.float64)
            weights[torch.from_numpy(fit.chosen)] = torch.from_numpy(row)
            part = self._combined(torch.zeros_like(self.now), weights, 1)
            self.pivots.addcmul_(part, part, value=sign)

    def _combined(self, start: Tensor, weights: Tensor, sign: int) -> Tensor:
        weights = weights.to(start)
        for number, rows in enumerate(self._columns):
            part = weights[number * _ROWS : (number + 1) * _ROWS]
            start = torch.addmv(start, rows[: len(part)].T, part, alpha=sign)
        return start

    def best(self, floor: float, count: int) -> Int[np.ndarray, " c"]:
        """Return up to so many candidates, by what they are worth."""
        best = self._scores(floor)[0].topk(min(count, len(self.now)))
        return best.indices[best.values > -math.inf].cpu().numpy()

    def leading(self, floor: float, widely: bool) -> Int[np.ndarray, " c"]:
        """Return candidates that may be the best: all that rounding leaves in doubt, or the best many."""
        if widely:
            return self.best(floor, _BATCH)
        scores, factor = self._scores(floor)
        if factor is None:
            likely = scores >= scores.amax() - 2 * max(self.noise, TIE)
        else:
            doubt = self.noise * factor
            likely = scores + doubt >= (scores - doubt).amax()
        found = likely.nonzero()[:_BATCH, 0]
        return found[scores[found] > -math.inf].cpu().numpy()

    def _scores(self, floor: float) -> tuple[Float[Tensor, " n"], Tensor | None]:
        """Return what each atom is worth, -inf where it is shut or points nowhere; and the rule's factor."""
        cosines = self.now if self._signed else self.now.abs()
        factor = self._rule(self._relative, self.pivots)
        if factor is None:
            scores = cosines.masked_fill(self.shut, -math.inf)
            return torch.where(scores > floor, scores, -math.inf), None
        return (cosines * factor).masked_fill_(self.shut | (cosines <= floor), -math.inf), factor
