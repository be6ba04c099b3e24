"""The greedy search of a pursuit: which atom next, and when to end."""

from __future__ import annotations

import math
from collections.abc import Generator

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from mycroft_fl.match.omp.cholesky import Fit
from mycroft_fl.match.omp.correlations import Correlations
from mycroft_fl.match.omp.fast_path import fast_path
from mycroft_fl.match.omp.problem import (
    LEAST_COSINE,
    LEAST_GAIN,
    LEAST_PIVOT,
    TIE,
    Options,
    Problem,
    Stop,
)
from mycroft_fl.match.omp.shortlist import Shortlist, WholeShortlist
from mycroft_fl.match.omp.support import Support

Requests = Generator[Int[Tensor, " c"], Float[Tensor, "n c"], Stop]

_BENCH = 64  # leading candidates looked at closely
_AHEAD = 8  # columns of the Gram matrix computed in one pass


class Search:
    """One target's pursuit. It asks for columns of the Gram matrix and is sent them.

    So that many can go on side by side, and one pass over the atoms serve them all.
    """

    def __init__(self, problem: Problem, options: Options, start: Int[np.ndarray, " s"]) -> None:
        self._problem, self._options = problem, options
        self.fit = Fit()
        self._correlations = Correlations(problem, options.rule, options.nonnegative)
        self._support = Support(self.fit, self._correlations.shut, start)
        exact = problem.atoms.dtype == torch.float64
        self._shortlist = WholeShortlist(self._correlations) if exact else Shortlist(problem)
        self._norms = (problem.norms / problem.norms.max()).cpu().numpy()
        self._penalty = problem.penalty.cpu().numpy()
        self._ahead = getattr(problem.atoms, "ahead", _AHEAD)
        self._may_run_fast = (
            exact
            and problem.norms.device.type == "cpu"
            and not self._penalty.any()
            and not len(start)
        )
        self._columns: dict[int, Tensor] = {}  # computed ahead, by candidate

    @property
    def picked(self) -> tuple[Int[Tensor, " t"], Float[Tensor, " t"]]:
        """The candidates in the fit, in the order they were picked, and their weights at norm one."""
        return torch.from_numpy(self._support.chosen), torch.from_numpy(self.fit.weights)

    def run(self, k: int) -> Requests:
        """Fit those it starts from; then let the fit grow by `k` new ones, if so many help."""
        if len(self._support.start):
            self._support.only_start()
            stopped = yield from self._grow(len(self._norms))
            self._support.everyone()
            if stopped == "tolerance":
                return stopped
        return (yield from self._grow(k))

    def _grow(self, k: int) -> Requests:
        fresh = True
        while self._unexplained > self._options.tolerance:
            if self._support.new >= k:
                return "k"
            if self._is_plain and self._run_fast(k - len(self.fit)):
                fresh = False
                continue
            candidate = self._next()
            if candidate is not None:
                yield from self._enter(candidate)
                fresh = not self._take(candidate) and fresh
            elif not fresh:  # rounding may hide the last candidates: look again, from the residual
                self._rebase()
                fresh = True
            else:
                return "no-candidate-improves"
        return "tolerance"

    @property
    def _is_plain(self) -> bool:
        return self._may_run_fast and self.fit.is_as_entered

    def _run_fast(self, room: int) -> bool:
        """Take the fast path as far as it goes; return whether it took a step."""
        entered = fast_path(
            self._problem,
            self._correlations,
            self.fit,
            room,
            self._options,
            self._floor,
        )
        if entered:
            self._support.enter(entered)
            self._support.take(np.array(entered, dtype=np.int64))
        return len(entered) > 0

    @property
    def _unexplained(self) -> float:
        penalty = self._penalty[self._support.chosen] @ np.square(self.fit.weights)
        return math.sqrt(max(0.0, self.fit.objective - float(penalty)))

    @property
    def _floor(self) -> float:
        """Below, a cosine with the residual is rounding."""
        return max(LEAST_COSINE, self._correlations.noise)

    def _next(self) -> int | None:
        """Find the best candidate, judged in float64."""
        leading = self._correlations.leading(self._floor, widely=False)
        while len(leading):
            positions = self._positions(leading)
            products = self._shortlist.products_of(positions)
            cosines = self.fit.residual_products(products, self._shortlist.direct[positions])
            pivots = 1 - np.square(self.fit.half(products)).sum(0)
            if not self._options.nonnegative:
                cosines = np.abs(cosines)
            dependent, small = pivots <= LEAST_PIVOT, cosines <= self._floor
            useless = dependent | small
            if useless.any():
                self._support.depend(leading[dependent].tolist())
                self._support.refuse(leading[small & ~dependent].tolist())
            if not useless.all():
                index = self._shortlist.index[positions]
                scores = np.where(useless, -np.inf, self._scores(cosines, pivots, index))
                best = scores.max()
                tied = scores >= best - TIE * abs(best)
                return int(index[tied].min())
            leading = self._correlations.leading(self._floor, widely=True)
        return None

    def _scores(
        self, cosines: np.ndarray, pivots: np.ndarray, index: np.ndarray
    ) -> Float[np.ndarray, " c"]:
        if self._options.rule == "ols":
            cosines = cosines / np.sqrt(pivots.clip(LEAST_PIVOT))
        elif self._options.rule == "dot":
            cosines = cosines * self._norms[index]
        return cosines

    def _positions(self, index: Int[np.ndarray, " c"]) -> list[int]:
        """Return the candidates' slots on the shortlist, drawn up anew if one has none."""
        positions = self._shortlist.positions(index.tolist())
        if positions is None:
            self._draw_up(index)
            positions = self._shortlist.positions(index.tolist())
            assert positions is not None
        return positions

    def _draw_up(self, index: Int[np.ndarray, " c"]) -> None:
        best = self._correlations.best(self._floor, max(_BENCH, 4 * self._ahead))
        self._shortlist.draw_up(np.concatenate([index, best[~np.isin(best, index)]]))

    def _enter(self, candidate: int) -> Generator[Tensor, Tensor, None]:
        """See that the candidate has a slot, and its column with it."""
        if candidate in self._support:
            return
        if candidate not in self._columns:
            yield from self._fetch(candidate)
        position = self._positions(np.array([candidate]))[0]
        slot = self.fit.new_slot(
            self._shortlist.products_of([position])[:, 0], self._shortlist.direct[position]
        )
        self._correlations.enter(slot, self._columns.pop(candidate))
        self._shortlist.enter(position)
        self._support.enter([candidate])

    def _fetch(self, candidate: int) -> Generator[Tensor, Tensor, None]:
        """Fetch the columns of this candidate and of those that will probably follow."""
        self._columns = {}
        if self._shortlist.is_stale:
            self._draw_up(np.array([candidate]))
        factor = None
        if self._options.rule != "ols":
            every = self._shortlist.index
            factor = self._scores(np.ones(len(every)), np.ones(len(every)), every)
        positions = self._shortlist.forecast(
            self._positions(np.array([candidate]))[0],
            self._ahead,
            self.fit,
            self._options.nonnegative,
            factor,
        )
        index = [
            each for each in self._shortlist.index[positions].tolist() if each not in self._support
        ]
        products = yield torch.tensor(index, device=self._problem.norms.device)
        self._columns = dict(zip(index, products.unbind(1), strict=True))

    def _take(self, candidate: int) -> bool:
        """Choose the candidate and refit; False, and nothing is changed, where that gains nothing."""
        fit = self.fit
        row = fit.insert(self._support.slot(candidate))
        goal, step = fit.grown(row)
        if not self._options.nonnegative or bool((goal > 0).all()):
            if step * step < LEAST_GAIN:
                fit.drop_last()
                self._support.refuse([candidate])
                return False
            self._correlations.narrow(fit, row, -1)
            fit.weights = goal
        elif not self._refit(goal, row):
            self._support.refuse([candidate])
            return False
        self._support.take(np.array([candidate]))
        self._correlations.follow(fit)
        return True

    def _refit(self, goal: Float[np.ndarray, " t"], row: Float[np.ndarray, " t"]) -> bool:
        """Find the best non-negative weights: go until one turns zero, drop it, and again."""
        fit, correlations = self.fit, self._correlations
        kept, pivots = fit.snapshot(), correlations.pivots
        before = fit.objective
        correlations.pivots = pivots.clone() if self._options.rule == "ols" else pivots
        correlations.narrow(fit, row, -1)
        dropped: list[int] = []
        while bool((goal <= 0).any()):
            here = fit.weights
            steps = np.where(goal <= 0, here / np.maximum(here - goal, 1e-300), np.inf)
            fit.weights = here + steps.min() * (goal - here)
            out = np.flatnonzero((fit.weights <= 0) | (steps <= steps.min()))
            dropped += self._support.chosen[out].tolist()
            self._drop(out)
            goal = fit.solved()
        fit.weights = goal
        if before - fit.objective < LEAST_GAIN:
            fit.restore(kept)
            correlations.pivots = pivots
            return False
        self._support.drop(dropped)
        return True

    def _drop(self, places: Int[np.ndarray, " out"]) -> None:
        if self._options.rule != "ols":
            self.fit.drop(places)
            return
        for place in places[::-1].tolist():  # one by one: each widens what lies outside the span
            self._correlations.narrow(self.fit, self.fit.own_part(place), 1)
            self.fit.drop(np.array([place]))

    def _rebase(self) -> None:
        residual = self._problem.residual(*self.picked)
        self._correlations.rebase(residual, self.fit)
        self._support.reconsider()
