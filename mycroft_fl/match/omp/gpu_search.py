"""A pursuit's search on a GPU: steps that read nothing back; the host looks once in many."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import pad

from mycroft_fl.match.omp.gpu_fit import DeviceFit
from mycroft_fl.match.omp.problem import (
    LEAST_COSINE,
    LEAST_GAIN,
    LEAST_PIVOT,
    RULES,
    TIE,
    Options,
    Problem,
    Stop,
)
from mycroft_fl.represent.gradients.atoms import Atoms

_LEADING = 64  # candidates looked at closely, in float64
_STEPS = 32  # between two looks from the host
_SLOTS = 128  # made at a time


@dataclass(frozen=True, eq=False)
class Found:
    """The best candidate, where there is `any`: what the fit needs to know of it."""

    candidate: Int[Tensor, " 1"]
    products: Float[Tensor, " s"]
    direct: Float[Tensor, " 1"]
    any: Bool[Tensor, ""]


class DeviceSearch:
    """One target's pursuit, whose numbers stay where the atoms are.

    As `Search`, but that every step makes a pass over the atoms of its own and does the same
    work whether it takes an atom or not: what a step decides is a mask, not a branch. The host
    hands out steps without waiting, and looks after so many whether there is more to do.
    """

    def __init__(self, problem: Problem, options: Options, start: Int[Tensor, " s"]) -> None:
        self._problem, self._options = problem, options
        self._norms = problem.norms.to(problem.atoms.dtype)
        self._relative = self._norms / self._norms.max()
        nobody = torch.zeros_like(problem.zero)
        self._start = nobody.index_fill(0, start.to(nobody.device), True)
        self._started = len(start)
        self._barred, self._dependent, self._refused = problem.zero, nobody, nobody
        self._fit = DeviceFit.empty(0, nobody.device)
        self._index = torch.empty(0, dtype=torch.int64, device=nobody.device)  # by slot
        self._order = self._index  # when each was picked
        self._columns = self._norms.new_empty(0, len(nobody))
        self._pivots = torch.ones_like(self._norms)
        self._steps = self._limit = 0
        self._only_new = True
        self._taken = nobody.new_zeros((), dtype=torch.int64)
        self._stuck = nobody.new_zeros(())
        self._from(problem.target, 1.0)

    @property
    def picked(self) -> tuple[Int[Tensor, " t"], Float[Tensor, " t"]]:
        """The candidates in the fit, in the order they were picked, and their weights at norm one."""
        slots = self._fit.chosen.nonzero()[:, 0]
        slots = slots[self._order[slots].argsort()]
        return self._index[slots].cpu(), self._fit.weights[slots].cpu()

    def run(self, k: int) -> Stop:
        """Fit those it starts from; then let the fit grow by `k` new ones, if so many help."""
        if self._started:
            self._barred, self._only_new = self._problem.zero | ~self._start, False
            stopped = self._grow(self._started)
            self._barred, self._only_new = self._problem.zero, True
            self._dependent = self._refused = torch.zeros_like(self._barred)
            if stopped == "tolerance":
                return stopped
        return self._grow(k) if k else "k"

    def _grow(self, k: int) -> Stop:
        fresh = True
        self.begin(k)
        while True:
            for _ in range(min(_STEPS, k + 1)):
                self.step()
            count, taken, near, unsettled, stuck = self.look()
            fresh = fresh and not taken
            if unsettled:
                continue
            if near:
                return "tolerance"
            if count >= k:
                return "k"
            if stuck and fresh:
                return "no-candidate-improves"
            if stuck:
                self._rebase()
                fresh = True

    def begin(self, k: int) -> None:
        """See that there is memory for `k` columns more, and let so many be chosen."""
        self._limit = k
        more = max(0, min(len(self._norms), k + self._started) - len(self._columns))
        self._columns = torch.cat([self._columns, self._columns.new_zeros(more, len(self._norms))])

    def look(self) -> list[int]:
        """Count those chosen and those taken since the last look; tell if near, unsettled, stuck."""
        flags = [self._near(), self._unsettled(), self._stuck]
        state = [self._count(), self._taken, *(flag.long() for flag in flags)]
        self._taken = torch.zeros_like(self._taken)
        counts: list[int] = torch.stack(state).tolist()
        return counts

    def _rebase(self) -> None:
        """Look again at all that gained nothing, from the residual itself."""
        index, weights = self.picked
        residual = self._problem.residual(index, weights)
        self._from(residual, float(torch.linalg.vector_norm(residual)))
        self._refused = torch.zeros_like(self._refused)

    def _from(self, residual: Tensor, length: float) -> None:
        cosines = self._problem.atoms.correlate(residual.to(self._norms.dtype))
        self._base = self._now = cosines.div_(self._norms)
        self._anchor = self._fit.weights
        self._floor = max(LEAST_COSINE, length * 8 * torch.finfo(self._norms.dtype).eps)

    # From here on, nothing waits for a number.

    def step(self) -> None:
        """Take the best atom and refit, or refit alone; the host does not learn which."""
        # The best candidate; a full, finished or unsettled fit lets nothing in.
        self._make_slots()
        found = self._best()
        open_ = (self._count() < self._limit) & ~self._near() & ~self._unsettled()
        entering = found.any & open_
        # Its column and its row in the fit, then the best weights with it.
        slot = self._fit.free_slot()
        self._put(slot, found.candidate, entering)
        grown, unit = self._fit.joined(slot, found.products, found.direct)
        refit, units = grown.or_else(entering, self._fit).refitted(self._options.nonnegative)
        # Taken only where the objective falls; a refit alone is always accepted.
        gains = self._fit.objective - refit.objective >= LEAST_GAIN
        taken = entering & gains
        # The span grew by one direction and shrank by those dropped.
        self._follow(unit * taken, -1)
        for out in units:
            self._follow(out * (taken | ~entering), 1)
        # Who depended on a dropped atom may be of use again; who gained nothing waits for a change.
        lost = refit.chosen.sum() < self._fit.chosen.sum() + entering.long()
        self._dependent = self._dependent & ~(lost & (taken | ~entering))
        refused = self._mask(found.candidate, (entering & ~gains)[None])
        self._refused = (self._refused & ~taken) | refused
        # Note who sits in the slot since which step.
        here = taken & torch.zeros_like(self._fit.chosen).index_fill(0, slot, True)
        self._index = torch.where(here, found.candidate, self._index)
        self._order = self._order.masked_fill(here, self._steps)
        self._fit = refit.or_else(taken | ~entering, self._fit)
        self._taken = self._taken + taken
        self._steps += 1
        # n cosines with the new residual: those of the last rebase less the change of weights.
        anchor = pad(self._anchor, (0, len(self._index) - len(self._anchor)))
        self._now = self._combined(self._base, self._fit.weights - anchor, -1)

    def _make_slots(self) -> None:
        """Make room in the fit for one more atom."""
        room = len(self._columns)
        if self._steps >= len(self._index) and len(self._index) < room:
            more = min(_SLOTS, room - len(self._index))
            self._index, self._order = pad(self._index, (0, more)), pad(self._order, (0, more))
            self._fit = self._fit.widened(len(self._index))

    def _best(self) -> Found:
        """Find the best candidate, in float64."""
        # The leading c of n by the rounded scores.
        top = self._scores().topk(min(_LEADING, len(self._norms)))
        leading, live = top.indices, top.values > -torch.inf
        self._stuck = ~live.any()
        # Their products with the s chosen and with the target, exactly.
        few, norms = self._exact(leading)
        held, their_norms = self._exact(self._index)
        products = held.products(few, 1 / norms).div_(their_norms[:, None])  # s x c
        products = torch.where(self._fit.chosen[:, None], products, 0.0)
        direct = few.correlate(self._problem.target).div_(norms)  # c
        cosines = direct - self._fit.weights @ products
        cosines = cosines if self._options.nonnegative else cosines.abs()
        # Out go sums of those chosen, for as long as these stay, and what points nowhere.
        pivots = self._fit.parts(products)[1]
        dependent, small = pivots <= LEAST_PIVOT, cosines <= self._floor
        self._dependent = self._dependent | self._mask(leading, live & dependent)
        self._refused = self._refused | self._mask(leading, live & small & ~dependent)
        useful = live & ~dependent & ~small
        # Equals go to the lowest index, on any number of threads.
        worth = self._weighed(cosines, pivots, leading).masked_fill(~useful, -torch.inf)
        tied = useful & (worth + TIE * worth.abs() >= worth.amax())
        lowest = leading.masked_fill(~tied, len(self._norms)).argmin(keepdim=True)
        return Found(
            leading.index_select(0, lowest),
            products.index_select(1, lowest)[:, 0],
            direct.index_select(0, lowest),
            useful.any(),
        )

    def _scores(self) -> Float[Tensor, " n"]:
        cosines = self._now if self._options.nonnegative else self._now.abs()
        chosen = torch.zeros_like(self._barred, dtype=torch.int8)
        chosen = chosen.index_add(0, self._index, self._fit.chosen.to(torch.int8)) > 0
        shut = self._barred | self._dependent | self._refused | chosen | (cosines <= self._floor)
        factor = RULES[self._options.rule](self._relative, self._pivots)
        scores = cosines if factor is None else cosines * factor
        return scores.masked_fill(shut, -torch.inf)

    def _weighed(self, cosines: Tensor, pivots: Tensor, index: Tensor) -> Float[Tensor, " c"]:
        if self._options.rule == "ols":
            return cosines / pivots.clamp_min(LEAST_PIVOT).sqrt()
        return cosines * self._relative[index] if self._options.rule == "dot" else cosines

    def _exact(self, index: Int[Tensor, " c"]) -> tuple[Atoms, Float[Tensor, " c"]]:
        return self._problem.atoms[index].double(), self._problem.norms[index]

    def _mask(self, index: Int[Tensor, " c"], which: Bool[Tensor, " c"]) -> Bool[Tensor, " n"]:
        return torch.zeros_like(self._barred).index_copy(0, index, which)

    def _count(self) -> Int[Tensor, ""]:
        counted = self._fit.chosen
        return (counted & ~self._start[self._index] if self._only_new else counted).sum()

    def _unsettled(self) -> Bool[Tensor, ""]:
        """Return whether a weight has yet to go."""
        turns = self._fit.chosen & (self._fit.solved() <= 0)
        return turns.any() if self._options.nonnegative else turns.any() & False

    def _near(self) -> Bool[Tensor, ""]:
        penalty = self._problem.penalty[self._index] @ self._fit.weights.square()
        return self._fit.objective - penalty <= self._options.tolerance**2

    def _put(self, slot: Tensor, candidate: Tensor, truly: Tensor) -> None:
        """Put the Gram matrix's column of the candidate, all at norm one, into its slot."""
        column = self._problem.atoms.gram(candidate, 1 / self._problem.norms[candidate])[:, 0]
        before = self._columns.index_select(0, slot)[0]
        column = torch.where(truly, column.to(self._norms).div_(self._norms), before)
        self._columns.index_copy_(0, slot, column[None])

    def _follow(self, unit: Float[Tensor, " s"], sign: int) -> None:
        """Bring the pivots up to date once a unit vector joined (-1) or left (1) the span of the chosen."""
        if self._options.rule == "ols":
            part = self._combined(torch.zeros_like(self._now), unit, 1)
            self._pivots = self._pivots.addcmul(part, part, value=sign)

    def _combined(self, start: Tensor, weights: Float[Tensor, " s"], sign: int) -> Tensor:
        columns = self._columns[: len(weights)]
        return torch.addmv(start, columns.T, weights.to(start), alpha=sign)
