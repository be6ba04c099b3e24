"""How every atom points towards what is still unexplained, kept up to date step by step."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mycroft_fl.match.least_squares import Fit
from mycroft_fl.represent.atoms import Atoms

_ROWS = 128  # columns of the Gram matrix allocated at a time
LEAST_PIVOT = 1e-6  # of an atom's squared norm; below, it is all but a sum of those chosen
_SAFE_PIVOT = 1e-5  # what float32 still tells from zero, for the rule ols
TIE = 1e-12  # closer than this is equal, whatever the precision
_BATCH = 256  # candidates looked at once

# What a step prefers, from cosines with the residual, norms and pivots (the share of each squared
# norm outside the span of those chosen): the factor that a cosine is multiplied with.
RULES: dict[str, Callable[[Tensor, Tensor], Tensor | None]] = {
    "norm": lambda norms, pivots: None,
    "dot": lambda norms, pivots: norms,
    "ols": lambda norms, pivots: pivots.clamp_min(_SAFE_PIVOT).rsqrt(),
}


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

    def residual(
        self, index: Int[Tensor, " t"], weights: Float[Tensor, " t"]
    ) -> Float[Tensor, "*direction"]:
        """What these weights of atoms at norm one leave of the target, in float64."""
        index = index.to(self.atoms.device)
        few = self.atoms[index].double()
        every = torch.arange(len(few), device=few.device)
        return self.target - few.combine(every, weights.to(few.device) / self.norms[index])


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
        """What the columns hold of these candidates."""
        index = torch.tensor(candidates, device=self.now.device)
        rows = torch.cat([rows[:, index] for rows in self._columns] or [self.now[:0, None]])
        return rows[: self._entered].cpu().numpy()

    def adopt(self, columns: Float[np.ndarray, "new n"]) -> None:
        """Keep columns of the Gram matrix, all at norm one, for the next slots; on the CPU."""
        for column in columns:
            if self._entered // _ROWS == len(self._columns):
                self._columns.append(self.now.new_empty(_ROWS, len(self.now)))
            self._columns[-1][self._entered % _ROWS] = torch.from_numpy(column)
            self._entered += 1

    def rows(self) -> Float[np.ndarray, "slots n"]:
        """The columns of all that have a slot; on the CPU."""
        rows = torch.cat(self._columns) if self._columns else self.now.new_empty(0, len(self.now))
        return rows[: self._entered].numpy()

    def follow(self, fit: Fit) -> None:
        """Bring `now` to the residual of `fit`."""
        change = torch.from_numpy(fit.by_slot)
        change[: len(self._anchor)] -= self._anchor
        self.now = self._combined(self._base, change, -1)

    def narrow(self, fit: Fit, row: Float[np.ndarray, " t"], sign: int) -> None:
        """The pivots once a unit vector, given by its weights, joined (-1) or left (1) the span."""
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
        """Up to so many candidates, by what they are worth."""
        best = self._scores(floor)[0].topk(min(count, len(self.now)))
        return best.indices[best.values > -math.inf].cpu().numpy()

    def leading(self, floor: float, widely: bool) -> Int[np.ndarray, " c"]:
        """Candidates that may be the best: all that rounding leaves in doubt, or the best many."""
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
        """What each atom is worth, -inf where it is shut or points nowhere; and the rule's factor."""
        cosines = self.now if self._signed else self.now.abs()
        factor = self._rule(self._relative, self.pivots)
        if factor is None:
            scores = cosines.masked_fill(self.shut, -math.inf)
            return torch.where(scores > floor, scores, -math.inf), None
        return (cosines * factor).masked_fill_(self.shut | (cosines <= floor), -math.inf), factor
