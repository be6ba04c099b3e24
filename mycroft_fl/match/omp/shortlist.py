"""Candidates looked at closely, in float64, and which of them will be picked next."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from mycroft_fl.match.omp.cholesky import Fit
from mycroft_fl.match.omp.correlations import Correlations
from mycroft_fl.match.omp.problem import LEAST_PIVOT, Problem
from mycroft_fl.represent.gradients.atoms import Atoms

_CHUNK = 64  # atoms that are kept in float64 together


class Shortlist:
    """A few leading candidates with their exact products, all at norm one.

    `products_of` gives theirs with every atom that has a slot in the fit. Those that enter the fit
    from here are added, so that a shortlist stays true until another is drawn up.
    """

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._entered: list[int] = []  # candidates by slot
        self._held: list[tuple[Atoms, Tensor]] = []  # those with a slot, chunk by chunk
        self._place: dict[int, int] = {}
        self._slots = self._drawn = 0
        self.index: Int[np.ndarray, " c"] = np.empty(0, dtype=np.int64)

    def positions(self, index: list[int]) -> list[int] | None:
        """Return where on the shortlist these candidates stand; None unless all do."""
        positions = [self._place.get(each, -1) for each in index]
        return None if -1 in positions else positions

    def draw_up(self, index: Int[np.ndarray, " c"]) -> None:
        """Draw up a new shortlist of these candidates."""
        self._drawn = self._slots
        self.index = index
        self._place = {each: place for place, each in enumerate(index.tolist())}
        few, norms = self._exact(index)
        every = torch.arange(len(few), device=few.device)
        inner = few.gram(every, 1 / norms).div_(norms[:, None]).cpu()
        self._inner = inner.fill_diagonal_(1).numpy()
        self.direct = few.correlate(self._problem.target).div_(norms).cpu().numpy()
        self._outer = np.empty((self._slots + len(index), len(index)))
        done = 0
        for held, their_norms in self._chunks():
            products = held.products(few, 1 / norms).div_(their_norms[:, None])
            self._outer[done : done + len(held)] = products.cpu().numpy()
            done += len(held)

    def products_of(self, positions: list[int]) -> Float[np.ndarray, "slots c"]:
        """Return the products of these candidates with all that have a slot of the fit."""
        return self._outer[: self._slots, positions]

    @property
    def is_stale(self) -> bool:
        """Whether any has entered since it was drawn up."""
        return self._slots > self._drawn

    def enter(self, position: int) -> None:
        """Note that the candidate got the next slot of the fit."""
        self._entered.append(int(self.index[position]))
        self._outer[self._slots] = self._inner[position]
        self._slots += 1

    def forecast(
        self, first: int, count: int, fit: Fit, signed: bool, factor: Float[np.ndarray, " c"] | None
    ) -> list[int]:
        """Forecast which places a pursuit among the shortlist alone takes next, `first` first.

        Weights are free in it: a guess, that costs a pass where it is wrong and nothing else.

        Args:
            first: the place that is taken now.
            count: how many places at most.
            fit: the pursuit's weights so far.
            signed: whether weights must be 0 or more.
            factor: of each cosine by the rule; None for the rule "ols".
        """
        products = self._outer[: self._slots]
        half = fit.half(products)
        rest = self._inner - half.T @ half
        cosines = fit.residual_products(products, self.direct)
        taken = [first]
        shut = rest.diagonal() <= LEAST_PIVOT
        while len(taken) < count:
            position = taken[-1]
            shut[position] = True
            pivot = max(rest[position, position], LEAST_PIVOT)
            column = rest[:, position] * pivot**-0.5
            cosines -= column * (
                column[position] * cosines[position] / max(rest[position, position], LEAST_PIVOT)
            )
            rest -= np.multiply.outer(column, column)
            scores = cosines if signed else np.abs(cosines)
            weigh = rest.diagonal().clip(LEAST_PIVOT) ** -0.5 if factor is None else factor
            scores = np.where(shut, 0.0, scores * weigh)
            taken.append(int(scores.argmax()))
            if scores[taken[-1]] <= 0:
                return taken[:-1]
        return taken

    def _exact(self, index: Int[np.ndarray, " c"]) -> tuple[Atoms, Float[Tensor, " c"]]:
        where = torch.from_numpy(index).to(self._problem.norms.device)
        return self._problem.atoms[where].double(), self._problem.norms[where]

    def _chunks(self) -> list[tuple[Atoms, Tensor]]:
        """Return all that have a slot, in the order of their slots."""
        whole = len(self._entered) // _CHUNK
        while len(self._held) < whole:
            start = _CHUNK * len(self._held)
            self._held.append(self._exact(np.array(self._entered[start : start + _CHUNK])))
        tail = self._entered[_CHUNK * whole :]
        return self._held + ([self._exact(np.array(tail))] if tail else [])


class WholeShortlist:
    """All candidates at once, where the columns themselves are in float64."""

    is_stale = False

    def __init__(self, correlations: Correlations) -> None:
        self._correlations = correlations
        self.index = np.arange(len(correlations.now))
        self.direct = correlations.now.cpu().numpy()

    def positions(self, index: list[int]) -> list[int]:
        """Return where these candidates stand: at their own number."""
        return index

    def products_of(self, positions: list[int]) -> Float[np.ndarray, "slots c"]:
        """Return the products of these candidates with all that have a slot of the fit."""
        return self._correlations.entries(positions)

    def draw_up(self, index: Int[np.ndarray, " c"]) -> None:
        """Do nothing: all candidates are on it."""

    def enter(self, position: int) -> None:
        """Do nothing: the columns hold the products."""

    def forecast(
        self, first: int, count: int, fit: Fit, signed: bool, factor: Float[np.ndarray, " c"] | None
    ) -> list[int]:
        """Return the leading ones: on so few numbers a wrong guess costs less than a better one.

        Args:
            first: the place that is taken now.
            count: how many places at most.
            fit: the pursuit's weights so far.
            signed: whether weights must be 0 or more.
            factor: of each cosine by the rule; None for the rule "ols".
        """
        best = self._correlations.best(0.0, 2 * count).tolist()
        return [first, *(each for each in best if each != first)]
