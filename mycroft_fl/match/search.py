"""The greedy search of a pursuit: which atom next, and when to end."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from mycroft_fl.errors import SettingError
from mycroft_fl.match.bench import Bench, WholeBench
from mycroft_fl.match.correlations import LEAST_PIVOT, RULES, Correlations, Problem
from mycroft_fl.match.least_squares import Fit
from mycroft_fl.match.sprint import sprint

Stop = Literal["k", "tolerance", "no-candidate-improves"]
Requests = Generator[Int[Tensor, " c"], Float[Tensor, "n c"], Stop]

_LEAST_COSINE = 1e-7  # with the target; its square is the gain that float64 can still tell
_LEAST_GAIN = 1e-14  # of the squared target
_TIE = 1e-12  # cosines nearer than this are equal: the lowest index wins on any number of threads
_BENCH = 64  # leading candidates looked at closely
_AHEAD = 8  # columns of the Gram matrix computed in one pass


@dataclass(frozen=True)
class Options:
    """How a pursuit goes, checked."""

    nonnegative: bool = True
    rule: str = "norm"
    ridge: float = 0.0
    tolerance: float = 1e-4

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


class Search:
    """One target's pursuit. It asks for columns of the Gram matrix and is sent them.

    So that many can go on side by side, and one pass over the atoms serve them all.
    """

    def __init__(self, problem: Problem, options: Options, start: Int[np.ndarray, " s"]) -> None:
        self._problem, self._options, self._start = problem, options, start
        self.fit = Fit()
        self._correlations = Correlations(problem, options.rule, options.nonnegative)
        exact = problem.atoms.dtype == torch.float64
        self._bench = WholeBench(self._correlations) if exact else Bench(problem)
        self._norms = (problem.norms / problem.norms.max()).cpu().numpy()
        self._penalty = problem.penalty.cpu().numpy()
        self._ahead = getattr(problem.atoms, "ahead", _AHEAD)
        self._may_sprint = (
            exact
            and problem.norms.device.type == "cpu"
            and options.rule == "norm"
            and not self._penalty.any()
            and not len(start)
        )
        self._slots: dict[int, int] = {}  # by candidate
        self._index: Int[np.ndarray, " slots"] = np.empty(0, dtype=np.int64)  # candidate by slot
        self._columns: dict[int, Tensor] = {}  # computed ahead, by candidate
        self._dependent: list[int] = []  # on those chosen, until one is dropped
        self._refused: list[int] = []  # no gain, until the chosen change

    @property
    def chosen(self) -> Int[np.ndarray, " t"]:
        """The candidates in the fit, in the order they were picked."""
        chosen: np.ndarray = self._index[self.fit.chosen]
        return chosen

    def run(self, k: int) -> Requests:
        """Fit those it starts from; then let the fit grow by `k` new ones, if so many help."""
        if len(self._start):
            zero = self._correlations.shut.clone()
            self._correlations.shut.fill_(True)
            start = torch.from_numpy(self._start).to(zero.device)
            self._correlations.shut[start] = zero[start]
            stopped = yield from self._grow(len(self._norms))
            self._correlations.shut.copy_(zero)
            self._shut(self.chosen)
            self._dependent, self._refused = [], []
            if stopped == "tolerance":
                return stopped
        return (yield from self._grow(k))

    def _grow(self, k: int) -> Requests:
        fresh = True
        while self._unexplained > self._options.tolerance:
            if self._new >= k:
                return "k"
            if self._is_plain and self._sprint(k - len(self.fit)):
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
        return self._may_sprint and self.fit.is_as_entered

    def _sprint(self, room: int) -> bool:
        """Plain steps as far as they go; whether one was taken."""
        size = len(self.fit)
        entered = sprint(
            self._problem,
            self._correlations,
            self.fit,
            room,
            self._options.nonnegative,
            self._floor,
            self._options.tolerance,
        )
        for candidate in entered:
            self._slots[candidate] = len(self._slots)
        self._index = np.append(self._index, np.array(entered, dtype=np.int64))
        self._shut(self.chosen[size:])
        return len(self.fit) > size

    @property
    def _unexplained(self) -> float:
        penalty = self._penalty[self.chosen] @ np.square(self.fit.weights)
        return math.sqrt(max(0.0, self.fit.objective - float(penalty)))

    @property
    def _new(self) -> int:
        if not len(self._start):
            return len(self.fit)
        return len(self.fit) - int(np.isin(self.chosen, self._start).sum())

    @property
    def _floor(self) -> float:
        """Below, a cosine with the residual is rounding."""
        return max(_LEAST_COSINE, self._correlations.noise)

    def _next(self) -> int | None:
        """The best candidate, judged in float64."""
        leading = self._correlations.leading(self._floor, widely=False)
        while len(leading):
            seats = self._seated(leading)
            products = self._bench.products_of(seats)
            cosines = self.fit.residual_products(products, self._bench.direct[seats])
            pivots = 1 - np.square(self.fit.half(products)).sum(0)
            if not self._options.nonnegative:
                cosines = np.abs(cosines)
            dependent, small = pivots <= LEAST_PIVOT, cosines <= self._floor
            useless = dependent | small
            if useless.any():
                self._turn_away(leading[dependent].tolist(), leading[small & ~dependent].tolist())
            if not useless.all():
                index = self._bench.index[seats]
                scores = np.where(useless, -np.inf, self._scores(cosines, pivots, index))
                tied = scores + _TIE * np.abs(scores) >= scores.max()
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

    def _seated(self, index: Int[np.ndarray, " c"]) -> list[int]:
        """Their seats on the bench, drawn up anew where one has none."""
        seats = self._bench.seats(index.tolist())
        if seats is None:
            self._draw_up(index)
            seats = self._bench.seats(index.tolist())
            assert seats is not None
        return seats

    def _draw_up(self, index: Int[np.ndarray, " c"]) -> None:
        best = self._correlations.best(self._floor, max(_BENCH, 4 * self._ahead))
        self._bench.draw_up(np.concatenate([index, best[~np.isin(best, index)]]))

    def _enter(self, candidate: int) -> Generator[Tensor, Tensor, None]:
        """See that the candidate has a slot, and its column with it."""
        if candidate in self._slots:
            return
        if candidate not in self._columns:
            yield from self._fetch(candidate)
        seat = self._seated(np.array([candidate]))[0]
        slot = self.fit.new_slot(self._bench.products_of([seat])[:, 0], self._bench.direct[seat])
        self._correlations.enter(slot, self._columns.pop(candidate))
        self._bench.enter(seat)
        self._slots[candidate] = slot
        self._index = np.append(self._index, candidate)

    def _fetch(self, candidate: int) -> Generator[Tensor, Tensor, None]:
        """The columns of this candidate and of those that will probably follow."""
        self._columns = {}
        if self._bench.is_stale:
            self._draw_up(np.array([candidate]))
        factor = None
        if self._options.rule != "ols":
            every = self._bench.index
            factor = self._scores(np.ones(len(every)), np.ones(len(every)), every)
        seats = self._bench.forecast(
            self._seated(np.array([candidate]))[0],
            self._ahead,
            self.fit,
            self._options.nonnegative,
            factor,
        )
        index = [each for each in self._bench.index[seats].tolist() if each not in self._slots]
        products = yield torch.tensor(index, device=self._problem.norms.device)
        self._columns = dict(zip(index, products.unbind(1), strict=True))

    def _take(self, candidate: int) -> bool:
        """Choose the candidate and refit; False, and nothing is changed, where that gains nothing."""
        fit = self.fit
        row = fit.insert(self._slots[candidate])
        goal, step = fit.grown(row)
        if not self._options.nonnegative or bool((goal > 0).all()):
            if step * step < _LEAST_GAIN:
                fit.drop_last()
                return self._refuse(candidate)
            self._correlations.narrow(fit, row, -1)
            fit.weights = goal
        elif not self._refit(goal, row):
            return self._refuse(candidate)
        self._shut(np.array([candidate]))
        self._reopen(self._refused)
        self._refused = []
        self._correlations.follow(fit)
        return True

    def _refuse(self, candidate: int) -> bool:
        self._shut(np.array([candidate]))
        self._refused.append(candidate)
        return False

    def _refit(self, goal: Float[np.ndarray, " t"], row: Float[np.ndarray, " t"]) -> bool:
        """Best non-negative weights: as far as none is negative, drop who is zero, and again."""
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
            dropped += self.chosen[out].tolist()
            self._drop(out)
            goal = fit.solved()
        fit.weights = goal
        if before - fit.objective < _LEAST_GAIN:
            fit.restore(kept)
            correlations.pivots = pivots
            return False
        self._reopen(dropped + self._dependent)
        self._dependent = []
        return True

    def _drop(self, places: Int[np.ndarray, " out"]) -> None:
        if self._options.rule != "ols":
            self.fit.drop(places)
            return
        for place in places[::-1]:  # one by one: each widens what lies outside the span
            self._correlations.narrow(self.fit, self.fit.own_part(place), 1)
            self.fit.drop(place[None])

    def _turn_away(self, dependent: list[int], small: list[int]) -> None:
        self._dependent += dependent
        self._refused += small
        self._shut(np.array(dependent + small))

    def _shut(self, candidates: Int[np.ndarray, " c"]) -> None:
        self._correlations.shut[torch.from_numpy(candidates)] = True

    def _reopen(self, candidates: list[int]) -> None:
        if candidates:
            index = np.setdiff1d(candidates, self.chosen)
            self._correlations.shut[torch.from_numpy(index)] = False

    def _rebase(self) -> None:
        weights = torch.from_numpy(self.fit.weights)
        residual = self._problem.residual(torch.from_numpy(self.chosen), weights)
        self._correlations.rebase(residual, self.fit)
        self._reopen(self._refused)
        self._refused = []
