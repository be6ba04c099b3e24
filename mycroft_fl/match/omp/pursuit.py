"""Orthogonal matching pursuit: the few candidates whose weighted sum comes nearest a target."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mycroft_fl.errors import DataError
from mycroft_fl.match.omp.gpu_search import DeviceSearch
from mycroft_fl.match.omp.problem import RULES, Options, Problem, Stop
from mycroft_fl.match.omp.search import Search
from mycroft_fl.match.uniform import require_budget
from mycroft_fl.represent.gradients.atoms import Atoms, require_shape

__all__ = ["RULES", "Pursuit", "orthogonal_matching_pursuit"]


_FEW_NUMBERS = 2**18  # so few are in float64 altogether: nothing is then in doubt


@dataclass(frozen=True, eq=False)
class Pursuit:
    """The choice of a pursuit, and why it ended."""

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
    the residual never rises. Fewer than `k` come back only where `stopped` says why.

    DataError for NaN, infinity or shapes that do not fit; SettingError for `k` below 1, an unknown
    `rule`, a `ridge` below 0 or a `tolerance` outside [0, 1).

    Args:
        atoms: n candidates, in memory, as factors, or streamed from a file.
        target: a direction as the atoms have them.
        k: how many new atoms at most, 1 or more; above n it is n.
        nonnegative: whether weights must be 0 or more.
        rule: which atom a step takes, with c the atoms' inner products with what is still
            unexplained: that of the largest c / norm ("norm"), of the largest c ("dot", as in
            GRAD-MATCH), or of the largest decrease of the objective before any weight is held to its
            sign ("ols").
        ridge: 0 or more, as a share of the atoms' mean squared norm.
        penalty: 0 or more per atom: the diagonal of Psi in the augmented system
            [A'; sqrt(ridge) I; Psi] w = [b; 0; 0]. It enters the atoms' norms, and so the rules "norm"
            and "ols" see it; "dot" never does, for the rows it adds are orthogonal to the target.
        start: atoms that an earlier pursuit picked. They are in the support from the start and are
            not picked again; a negative weight drops one, and it may come back.
        tolerance: the share of the target below which the residual ends the pursuit, in [0, 1).
    """
    require_budget(k)
    options = Options(nonnegative, rule, ridge, tolerance)
    with torch.no_grad():
        pursuing = prepared(atoms, target, options, penalty, start)
        if isinstance(pursuing, Pursuit):
            return pursuing
        return pursued([pursuing], [k])[0]


@dataclass(frozen=True, eq=False)
class Pursuing:
    """A pursuit under way."""

    problem: Problem
    search: Search | DeviceSearch
    start: Int[Tensor, " s"]
    length: float
    """Of the target."""

    def result(self, stopped: Stop) -> Pursuit:
        """Return what the pursuit has come to."""
        index, weights = self.search.picked
        residual = torch.linalg.vector_norm(self.problem.residual(index, weights))
        weights = weights * self.length / self.problem.norms[index].cpu()
        whole = torch.zeros(len(self.problem.norms), dtype=torch.float64)
        whole[index] = weights
        new = index[~torch.isin(index, self.start)]
        return Pursuit(new, whole[new], min(1.0, float(residual)), whole[self.start], stopped)


def pursued(pursuits: list[Pursuing], ks: list[int]) -> list[Pursuit]:
    """Return the results of pursuits among the same atoms at the same norms, side by side.

    The columns that all of them ask for are computed in one product.
    """
    results: dict[int, Pursuit] = {}
    requests = {}
    for number, (each, k) in enumerate(zip(pursuits, ks, strict=True)):
        if isinstance(each.search, DeviceSearch):
            results[number] = each.result(each.search.run(k))
        else:
            requests[number] = each.search.run(k)
    sent: dict[int, Tensor | None] = dict.fromkeys(requests)
    while sent:
        asked: dict[int, Tensor] = {}
        for number, columns in sent.items():
            try:
                asked[number] = requests[number].send(columns)  # type: ignore[arg-type]
            except StopIteration as end:
                results[number] = pursuits[number].result(end.value)
        sent = _columns(pursuits[0].problem, asked) if asked else {}
    return [results[number] for number in range(len(pursuits))]


def _columns(problem: Problem, asked: dict[int, Tensor]) -> dict[int, Tensor | None]:
    if len(asked) == 1:
        [(number, index)] = asked.items()
        return {number: problem.atoms.gram(index, 1 / problem.norms[index])}
    index, place = torch.unique(torch.cat(list(asked.values())), return_inverse=True)
    products = problem.atoms.gram(index, 1 / problem.norms[index])
    parts = torch.split(place, [len(each) for each in asked.values()])
    return {number: products[:, part] for number, part in zip(asked, parts, strict=True)}


def prepared(
    atoms: Atoms,
    target: Tensor,
    options: Options,
    penalty: Tensor | None,
    start: Tensor | None,
    squared: Float[Tensor, " n"] | None = None,
) -> Pursuing | Pursuit:
    """Return a pursuit ready to run, or its result where there is nothing to run.

    Args:
        atoms: n candidates.
        target: a direction as the atoms have them.
        options: how the pursuit goes.
        penalty: one number per atom; None for zeros.
        start: earlier picks; None for an empty list.
        squared: the atoms' squared norms, where somebody has them already.
    """
    require_shape(target, atoms.shape)
    if squared is None:
        atoms = few_in_double(atoms)
        squared = atoms.squared_norms()
    _require_finite(squared, target)
    penalty, start = require_penalty(penalty, len(atoms)), require_start(start, len(atoms))
    length = float(torch.linalg.vector_norm(target.double()))
    if length == 0:
        return _nothing(0.0, "tolerance", len(start))
    if len(atoms) == 0:
        return _nothing(1.0, "no-candidate-improves", 0)
    rows = penalty.to(squared).square()
    problem = Problem.scaled(atoms, target.double() / length, squared, options.ridge, rows)
    if _is_on_gpu(atoms):
        return Pursuing(problem, DeviceSearch(problem, options, start), start, length)
    return Pursuing(problem, Search(problem, options, start.numpy()), start, length)


def _is_on_gpu(atoms: Atoms) -> bool:
    """Return whether all of them lie on a GPU; the host asks for those streamed to it, 32 a pass."""
    return not hasattr(atoms, "ahead") and atoms.device.type == "cuda"


def few_in_double(atoms: Atoms) -> Atoms:
    """Return the atoms, in float64 where they are few."""
    return atoms.double() if atoms.numbers <= _FEW_NUMBERS else atoms


def _nothing(unexplained: float, stopped: Stop, started: int) -> Pursuit:
    index, zeros = torch.empty(0, dtype=torch.int64), torch.zeros(started, dtype=torch.float64)
    return Pursuit(index, zeros[:0], unexplained, zeros, stopped)


def require_penalty(penalty: Tensor | None, n: int) -> Float[Tensor, " n"]:
    """Return one number of 0 or more per atom; zeros for None. `DataError` for anything else."""
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


def require_start(start: Tensor | None, n: int) -> Int[Tensor, " s"]:
    """Return the distinct atoms to start from, empty for None. `DataError` for anything else."""
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
