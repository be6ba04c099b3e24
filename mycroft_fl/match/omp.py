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
    # Of those looked at in float64, divided by what each adds to the span: see `_scores`.
    "ols": lambda correlation, norms: correlation / norms,
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
    """Distinct candidates, in the order they were picked, none of those it started from."""
    weights: Float[Tensor, " t"]
    """Their weights, in float64."""
    unexplained: float
    """||residual|| / ||target||; 0 for a target of zero."""
    start_weights: Float[Tensor, " s"]
    """The weights of the atoms it started from, 0 for one that is of no use now."""
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
    penalty: Float[Tensor, " n"] | None = None,
    start: Int[Tensor, " s"] | None = None,
    tolerance: float = 1e-4,
) -> Pursuit:
    """Pick up to `k` atoms whose weighted sum nears `target`, and their weights.

    Minimises ||sum w_i a_i - target||^2 + ridge * mean(||a_i||^2) * ||w||^2
    + sum (penalty_i w_i)^2, with w >= 0 where `nonnegative`. Each step takes one atom, then refits
    all weights (Killamsetty et al. 2021, Algorithm 2); a weight that would turn negative drops its
    atom (Lawson and Hanson 1974, chapter 23). No step raises this objective: without penalties,
    the residual never rises. By `rule`, with c the atoms' inner products with what is still
    unexplained, the atom with the largest c / norm ("norm"), c ("dot", as in GRAD-MATCH), or
    decrease of the objective before any weight is held to its sign ("ols").

    At most n atoms come back where `k` is above n. Fewer than `k` come back only where `stopped`
    says why. DataError for NaN, infinity or shapes that do not fit; SettingError for `k` below 1,
    an unknown `rule`, a `ridge` below 0 or a `tolerance` outside [0, 1).

    `penalty` is one number of 0 or more per atom: the diagonal of Psi in the augmented system
    [A'; sqrt(ridge) I; Psi] w = [b; 0; 0]. It enters the atoms' norms, and so the rules `norm` and
    `ols` see it when they choose; `dot` never does, for the rows it adds are orthogonal to the
    target. `start` are atoms that an earlier pursuit picked: they are in the support from the
    start (a negative weight drops one, and it may come back), they are not picked again, and
    `k` counts new ones only.
    """
    require_budget(k)
    options = _Options(nonnegative, rule, ridge, tolerance)
    with torch.no_grad():
        return _pursued(atoms, target, k, options, penalty, start)


def _pursued(
    atoms: Atoms,
    target: Tensor,
    k: int,
    options: _Options,
    penalty: Tensor | None,
    start: Tensor | None,
) -> Pursuit:
    squared = atoms.squared_norms()
    _require_finite(squared, target)
    penalty = _penalty(penalty, len(atoms))
    start = _start(start, len(atoms))
    length = float(torch.linalg.vector_norm(target.double()))
    if length == 0:
        return _nothing(0.0, "tolerance", len(start))
    if len(atoms) == 0:
        return _nothing(1.0, "no-candidate-improves", 0)
    rows = penalty.to(squared).square()
    problem = Problem.scaled(atoms, target.double() / length, squared, options.ridge, rows)
    search = _Search(problem, options, start)
    fit, stopped = search.run(k)
    unexplained = float(torch.linalg.vector_norm(problem.residual(fit)))
    weights = fit.weights * length / problem.norms[fit.index.to(atoms.device)].cpu()
    whole = torch.zeros(len(atoms), dtype=torch.float64).index_put((fit.index,), weights)
    new = fit.index[~torch.isin(fit.index, start)]
    return Pursuit(new, whole[new], min(1.0, unexplained), whole[start], stopped)


@dataclass(frozen=True)
class _Options:
    """How a pursuit goes, checked."""

    nonnegative: bool
    rule: str
    ridge: float
    tolerance: float

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise SettingError(f"rule is {self.rule!r}; choose from {sorted(RULES)}")
        if not 0 <= self.ridge < math.inf:
            raise SettingError(
                f"ridge is {self.ridge}; give 0 or more, as a share of the mean squared norm"
            )
        if not 0 <= self.tolerance < 1:
            raise SettingError(
                f"tolerance is {self.tolerance}; give a share of the target, from 0 up to but not 1"
            )


class _Search:
    """The greedy search: which atom next, and when to end."""

    def __init__(self, problem: Problem, options: _Options, start: Int[Tensor, " s"]) -> None:
        self._problem, self._rule, self._signed = problem, RULES[options.rule], options.nonnegative
        self._tolerance, self._by_pivot = options.tolerance, options.rule == "ols"
        self._start = start
        self._closed = torch.zeros_like(problem.zero)  # to all but those it starts from, at first
        self._correlations = Correlations(problem)
        self._dependent = torch.zeros_like(problem.zero)  # on those chosen, until one is dropped
        self._refused = torch.zeros_like(problem.zero)  # no gain, until the chosen change

    def run(self, k: int) -> tuple[Fit, Stop]:
        """Fit those it starts from; then let it grow by `k` new ones, if so many help."""
        fit = Fit.empty()
        if len(self._start):
            self._closed.fill_(True)[self._start.to(self._closed.device)] = False
            fit, stopped = self._grow(fit, len(self._closed))
            if stopped == "tolerance":
                return fit, stopped
            self._closed.zero_()
            self._refused.zero_()
        return self._grow(fit, k)

    def _grow(self, fit: Fit, k: int) -> tuple[Fit, Stop]:
        """Until it has `k` new atoms, is near enough or nothing improves it."""
        fresh = True
        while self._problem.unexplained(fit) > self._tolerance:
            if len(fit.index) - int(torch.isin(fit.index, self._start).sum()) >= k:
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
            if self._by_pivot:
                scores = scores / trial.pivot.clamp_min(_LEAST_PIVOT).sqrt()
            if not bool((dependent | small).all()):
                tied = scores + _TIE * self._rule(norms, norms) >= scores.max()
                return trial, int(trial.index.masked_fill(~tied, len(self._problem.atoms)).argmin())
            leading = self._leading(fit, widely=True)
        return None

    def _leading(self, fit: Fit, widely: bool) -> Int[Tensor, " c"]:
        """Candidates that may be the best: all that rounding leaves in doubt, or the best many."""
        correlation = self._sign(self._correlations.now.double())
        shut = self._problem.zero | self._dependent | self._refused | self._closed
        shut |= correlation / self._problem.norms <= self._floor
        shut[fit.index.to(shut.device)] = True
        scores = self._rule(correlation, self._problem.norms).masked_fill(shut, -math.inf)
        if widely:
            count = min(_BATCH, int((~shut).sum()))
            return scores.topk(count).indices
        if self._by_pivot:
            return (~shut).nonzero()[:, 0]
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


def _nothing(unexplained: float, stopped: Stop, started: int) -> Pursuit:
    fit, zeros = Fit.empty(), torch.zeros(started, dtype=torch.float64)
    return Pursuit(fit.index, fit.weights, unexplained, zeros, stopped)


def _penalty(penalty: Tensor | None, n: int) -> Float[Tensor, " n"]:
    if penalty is None:
        return torch.zeros(n)
    if penalty.shape != (n,):
        raise DataError(
            f"penalty has shape {tuple(penalty.shape)}, but there are {n} atoms; "
            "give one number per atom"
        )
    if not bool((penalty.isfinite() & (penalty >= 0)).all()):
        raise DataError("penalty holds NaN, infinity or a negative number; give 0 or more")
    return penalty


def _start(start: Tensor | None, n: int) -> Int[Tensor, " s"]:
    if start is None:
        return torch.empty(0, dtype=torch.int64)
    if start.ndim != 1 or start.is_floating_point() or len(torch.unique(start)) < len(start):
        raise DataError("start must be a list of distinct indices of atoms; give each once")
    if len(start) and (int(start.min()) < 0 or int(start.max()) >= n):
        raise DataError(
            f"start goes from {int(start.min())} to {int(start.max())}, but there are {n} atoms; "
            "number them from 0"
        )
    return start.long().cpu()


def _require_finite(squared_norms: Float[Tensor, " n"], target: Tensor) -> None:
    bad = (~squared_norms.isfinite()).nonzero()
    if len(bad):
        raise DataError(
            f"candidate {int(bad[0])} holds NaN, infinity or numbers too large to square; "
            f"leave out the {len(bad)} such candidates or mend what made them"
        )
    if not bool(target.isfinite().all()):
        raise DataError("the target holds NaN or infinity; mend the hard examples that made it")
