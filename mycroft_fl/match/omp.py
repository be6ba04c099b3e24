"""Orthogonal matching pursuit: the few candidates whose weighted sum comes nearest a target."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mycroft_fl.errors import DataError, SettingError
from mycroft_fl.match.correlations import Correlations, Problem
from mycroft_fl.match.least_squares import Fit, Trial
from mycroft_fl.match.uniform import require_budget
from mycroft_fl.represent.atoms import Atoms

Stop = Literal["k", "tolerance", "no-candidate-improves"]

# What a step prefers, from correlations c and norms s: c / s lowers the residual most per unit
# of the atom's own length; c alone is GRAD-MATCH's rule and favours long atoms.
Rule = Callable[[Tensor, Tensor], Tensor]
RULES: dict[str, Rule] = {
    "norm": lambda correlation, norms: correlation / norms,
    "dot": lambda correlation, norms: correlation,
}

_LEAST_PIVOT = 1e-6  # of an atom's squared norm; below, it is all but a sum of those chosen
_LEAST_COSINE = 1e-7  # with the target; its square is the gain that float64 can still tell
_LEAST_GAIN = 1e-14  # of the squared target
_TIE = 1e-12  # cosines nearer than this are equal: the lowest index wins on any number of threads
_BATCH = 256  # candidates examined at once where the best few do not hold


@dataclass(frozen=True, eq=False)
class Pursuit:
    """What a pursuit chose, and why it ended."""

    indices: Int[Tensor, " t"]
    """Distinct candidates, in the order they were picked."""
    weights: Float[Tensor, " t"]
    """Their weights, in float64."""
    unexplained: float
    """||residual|| / ||target||; 0 for a target of zero."""
    stopped: Stop
    """`k`: as many as asked. `tolerance`: near enough. `no-candidate-improves`: the rest cannot
    lower the residual, for they are chosen, zero, sums of those chosen or point elsewhere."""


def orthogonal_matching_pursuit(
    atoms: Atoms,
    target: Float[Tensor, "*direction"],
    k: int,
    *,
    nonnegative: bool = True,
    rule: str = "norm",
    ridge: float = 0.0,
    tolerance: float = 1e-4,
) -> Pursuit:
    """Pick up to `k` atoms whose weighted sum nears `target`, and their weights.

    Minimises ||sum w_i a_i - target||^2 + ridge * mean(||a_i||^2) * ||w||^2, with w >= 0 where
    `nonnegative`. Each step takes the atom most aligned with what is still unexplained, then
    refits all weights (Killamsetty et al. 2021, Algorithm 2); a weight that would turn negative
    drops its atom (Lawson and Hanson 1974, chapter 23). No step raises this objective: without a
    ridge, the residual never rises.

    At most n atoms come back where `k` is above n. Fewer than `k` come back only where `stopped`
    says why. DataError for NaN, infinity or a target of another shape; SettingError for `k` below
    1, an unknown `rule`, a `ridge` below 0 or a `tolerance` outside [0, 1).
    """
    _require_settings(k, rule, ridge, tolerance)
    with torch.no_grad():
        squared = atoms.squared_norms()
        _require_finite(squared, target)
        length = float(torch.linalg.vector_norm(target.double()))
        if length == 0:
            return _nothing(0.0, "tolerance")
        if len(atoms) == 0:
            return _nothing(1.0, "no-candidate-improves")
        problem = Problem.scaled(atoms, target.double() / length, squared, ridge)
        fit, stopped = _Search(problem, RULES[rule], nonnegative).run(k, tolerance)
        unexplained = float(torch.linalg.vector_norm(problem.residual(fit)))
        scale = length / problem.norms[fit.index.to(atoms.device)].cpu()
        return Pursuit(fit.index, fit.weights * scale, min(1.0, unexplained), stopped)


class _Search:
    """The greedy search: which atom next, and when to end."""

    def __init__(self, problem: Problem, rule: Rule, signed: bool) -> None:
        self._problem, self._rule, self._signed = problem, rule, signed
        self._correlations = Correlations(problem)
        self._dependent = torch.zeros_like(problem.zero)  # on those chosen, until one is dropped
        self._refused = torch.zeros_like(problem.zero)  # no gain, until the chosen change

    def run(self, k: int, tolerance: float) -> tuple[Fit, Stop]:
        """Grow a fit until it has `k` atoms, is near enough or nothing improves it."""
        fit, fresh = Fit.empty(), True
        while self._problem.unexplained(fit) > tolerance:
            if len(fit.index) == k:
                return fit, "k"
            found = self._next(fit)
            if found is not None:
                grown = self._grown(fit, *found)
                fresh = fresh and grown is fit
                fit = grown
            elif not fresh:  # rounding may hide the last candidates: look again, from the residual
                self._correlations.refresh(fit)
                self._refused.zero_()
                fresh = True
            else:
                return fit, "no-candidate-improves"
        return fit, "tolerance"

    def _grown(self, fit: Fit, trial: Trial, place: int) -> Fit:
        """The fit with one candidate more, or `fit` itself where that gains nothing."""
        grown = fit.with_atom(trial, place).refitted(self._signed)
        if fit.objective - grown.objective < _LEAST_GAIN:
            self._refused[trial.index[place]] = True
            return fit
        self._refused.zero_()
        if len(grown.index) <= len(fit.index):
            self._dependent.zero_()
        self._correlations.follow(grown)
        return grown

    def _next(self, fit: Fit) -> tuple[Trial, int] | None:
        """The best candidate, looked at in float64, and its place among those looked at."""
        leading = self._leading(fit, widely=False)
        while len(leading):
            trial = self._trial(leading, fit)
            cosines = self._sign(trial.direct - trial.cross.T @ fit.weights)
            dependent, small = trial.pivot <= _LEAST_PIVOT, cosines <= self._floor
            self._dependent[trial.index[dependent]] = True
            self._refused[trial.index[small]] = True
            norms = self._problem.norms[leading].cpu()
            scores = self._rule(cosines * norms, norms).masked_fill(dependent | small, -math.inf)
            if not bool((dependent | small).all()):
                tied = scores + _TIE * self._rule(norms, norms) >= scores.max()
                return trial, int(trial.index.masked_fill(~tied, len(self._problem.atoms)).argmin())
            leading = self._leading(fit, widely=True)
        return None

    def _leading(self, fit: Fit, widely: bool) -> Int[Tensor, " c"]:
        """Candidates that may be the best: all that rounding leaves in doubt, or the best many."""
        correlation = self._sign(self._correlations.now.double())
        shut = self._problem.zero | self._dependent | self._refused
        shut |= correlation / self._problem.norms <= self._floor
        shut[fit.index.to(shut.device)] = True
        scores = self._rule(correlation, self._problem.norms).masked_fill(shut, -math.inf)
        if widely:
            count = min(_BATCH, int((~shut).sum()))
            return scores.topk(count).indices
        doubt = self._correlations.noise * self._rule(self._problem.norms, self._problem.norms)
        likely = (scores + doubt >= (scores - doubt).amax()) & ~shut
        return likely.nonzero()[:_BATCH, 0]

    def _trial(self, index: Int[Tensor, " c"], fit: Fit) -> Trial:
        few, held = self._problem.atoms[index].double(), fit.index.to(index.device)
        both = self._problem.atoms[torch.cat([index, held])].double()
        here = torch.arange(len(index), device=index.device)
        products = both.gram(here, 1 / self._problem.norms[index])[len(index) :]
        cross = (products / self._problem.norms[held, None]).cpu()
        direct = (few.correlate(self._problem.target) / self._problem.norms[index]).cpu()
        half = torch.linalg.solve_triangular(fit.factor, cross, upper=False)
        return Trial(index.cpu(), cross, direct, half)

    @property
    def _floor(self) -> float:
        """Below, a cosine with the residual is rounding."""
        return max(_LEAST_COSINE, self._correlations.noise)

    def _sign(self, correlation: Tensor) -> Tensor:
        return correlation if self._signed else correlation.abs()


def _nothing(unexplained: float, stopped: Stop) -> Pursuit:
    fit = Fit.empty()
    return Pursuit(fit.index, fit.weights, unexplained, stopped)


def _require_settings(k: int, rule: str, ridge: float, tolerance: float) -> None:
    require_budget(k)
    if rule not in RULES:
        raise SettingError(f"rule is {rule!r}; choose from {sorted(RULES)}")
    if not 0 <= ridge < math.inf:
        raise SettingError(f"ridge is {ridge}; give 0 or more, as a share of the mean squared norm")
    if not 0 <= tolerance < 1:
        raise SettingError(
            f"tolerance is {tolerance}; give a share of the target, from 0 up to but not 1"
        )


def _require_finite(squared_norms: Float[Tensor, " n"], target: Tensor) -> None:
    bad = (~squared_norms.isfinite()).nonzero()
    if len(bad):
        raise DataError(
            f"candidate {int(bad[0])} holds NaN, infinity or numbers too large to square; "
            f"leave out the {len(bad)} such candidates or mend what made them"
        )
    if not bool(target.isfinite().all()):
        raise DataError("the target holds NaN or infinity; mend the hard examples that made it")
