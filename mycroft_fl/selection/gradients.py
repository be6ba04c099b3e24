"""Methods that match the hard set's gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from mycroft_fl.examples import Examples
from mycroft_fl.match.alignment import in_turn, most_aligned, nearest_to
from mycroft_fl.match.omp.covering_pursuit import covering_pursuit
from mycroft_fl.match.omp.many_targets import match_targets
from mycroft_fl.represent.gradients.atoms import Atoms
from mycroft_fl.selection.features import covers, distance_to_nearest
from mycroft_fl.selection.query import Query
from mycroft_fl.selection.result import (
    Chosen,
    ClassShare,
    Pool,
    Selection,
    by_class,
    continued,
    whole,
)

Divide = Callable[[Pool, "Query", int], Iterator[ClassShare]]

ATOMS_PER_HARD = 1
"""The atoms that a match may spend for each hard example behind its target. The mean of m gradients says
little more than m atoms can: further ones fit its noise, see docs/methods.md."""


@dataclass(frozen=True, eq=False)
class _Problem:
    """The gradients of the pool and, behind them, of the hard set."""

    pool: Pool
    query: Query

    @cached_property
    def atoms(self) -> Atoms:
        """One set, so that products between candidates and hard examples are its own."""
        return self.query.gradients(Examples.concatenate([self.pool.examples, self.query.hard]))

    def hard(self, share: ClassShare) -> Int[Tensor, " m"]:
        """Say where a share's hard examples stand among the atoms."""
        return torch.from_numpy(share.hard + len(self.pool))

    def target(self, share: ClassShare) -> Tensor:
        """Give the mean gradient of a share's hard examples, or the one that came in their place."""
        if self.query.target is not None:
            return self.query.target.to(self.atoms.device, self.atoms.dtype)
        index = self.hard(share).to(self.atoms.device)
        even = torch.full((len(index),), 1 / len(index), dtype=self.atoms.dtype)
        return self.atoms.combine(index, even.to(index.device))

    def spend(self, share: ClassShare) -> int:
        """Say how many atoms a share's match may spend."""
        hard = len(share.hard) if self.query.target is None else self.query.stands_for
        return ATOMS_PER_HARD * hard


def omp(candidates: Examples, query: Query, k: int) -> Selection:
    """Match gradients per class: candidates of a class against the hard examples of that class.

    Killamsetty et al. 2021, Algorithm 2 (GRAD-MATCH), per class as in Mycroft (arXiv 2410.08432).
    Each class has its share of k. The match may spend `ATOMS_PER_HARD` on each hard example; the
    rest of k goes to the gradient neighbours.
    """
    return _omp(candidates, query, k, by_class)


def omp_whole(candidates: Examples, query: Query, k: int) -> Selection:
    """Match gradients with one target, the mean gradient of the whole hard set, and all candidates.

    The query may bring that target in place of hard examples.
    """
    return _omp(candidates, query, k, whole)


def funcfeat(candidates: Examples, query: Query, k: int) -> Selection:
    """Match gradients per class that also pays for distance in feature space (FuncFeat).

    Mycroft's functional and feature similarity together, as OMP on the augmented system, so that
    the greedy step sees the penalty: psi_i^2 = feature_weight * mean ||g||^2 * (d_i / mean d)^2,
    d_i the distance to the nearest hard example of the class.
    """
    return _omp(candidates, query, k, by_class, penalty=_distance_penalty)


def omp_each(candidates: Examples, query: Query, k: int) -> Selection:
    """Match gradients with a target for each hard example, of candidates of its class.

    First each hard example's first pick, then each one's second and so on, within one depth by
    the share of the target's length that the pick contributes; where all matches have ended, the
    next gradient neighbours.
    """
    problem, chosen = _Problem(Pool.of(candidates, query), query), Chosen()
    for share in by_class(problem.pool, query, k):
        if share.k == 0:
            chosen.nothing(share)
            continue
        matched, left = _each(problem, share)
        rest = _rest(problem, share, matched)
        picked = np.concatenate([matched, rest])
        chosen.add(share, picked, np.ones(len(picked)), left)
    return chosen.selection()


def omp_coverage(candidates: Examples, query: Query, k: int) -> Selection:
    """Match gradients per class with a cover of the hard set in feature space as a second term.

    `feature_weight` says what the cover counts beside the match, which may spend
    `ATOMS_PER_HARD` on each hard example; the cover alone has the rest of k.
    """
    problem = _Problem(Pool.of(candidates, query), query)
    chosen = Chosen()
    cover_of = dict(enumerate(covers(problem.pool, query, k)))
    for number, share in enumerate(by_class(problem.pool, query, k)):
        if share.k == 0:
            chosen.nothing(share)
            continue
        found = covering_pursuit(
            problem.atoms[torch.from_numpy(share.pool).to(problem.atoms.device)],
            problem.target(share),
            cover_of[number][2],
            share.k,
            weight=query.feature_weight,
            spend=max(0, ATOMS_PER_HARD * len(share.hard) - len(share.start)),
            start=share.start,
        )
        chosen.add(share, share.pool[found.indices], found.weights, found.unexplained)
    return chosen.selection()


def gradient_neighbours(candidates: Examples, query: Query, k: int) -> Selection:
    """Pick the candidates whose gradients are nearest by cosine, each hard example in turn.

    None at a right or obtuse angle to every hard example, whatever k. Where the query brings a
    target in place of hard examples, those nearest to it.
    """

    def order(pool: Examples, depth: int) -> np.ndarray:
        problem = _Problem(Pool(pool, len(pool)), query)
        everyone = next(iter(whole(problem.pool, query, depth)))
        return _neighbours(problem, everyone, depth)

    return Selection.unweighted(continued(candidates, query, k, order))


def _omp(
    candidates: Examples,
    query: Query,
    k: int,
    divide: Divide,
    penalty: Callable[[_Problem, ClassShare], Tensor] | None = None,
) -> Selection:
    problem, chosen = _Problem(Pool.of(candidates, query), query), Chosen()
    for share in divide(problem.pool, query, k):
        if share.k == 0:
            chosen.nothing(share)
            continue
        start = torch.from_numpy(share.pool[share.start])
        allowed = min(share.k, problem.spend(share) - len(start))
        (found,) = match_targets(
            problem.atoms,
            [problem.target(share)],
            max(1, allowed),
            # Where all is spent, what was disclosed before is matched again and nothing added.
            [torch.from_numpy(share.pool) if allowed > 0 else start],
            starts=[start],
            penalty=None if penalty is None else penalty(problem, share),
        )
        matched = found.indices.cpu().numpy()
        rest = _rest(problem, share, matched)
        weights = np.concatenate([found.weights.cpu().numpy(), np.zeros(len(rest))])
        chosen.add(share, np.concatenate([matched, rest]), weights, found.unexplained)
    return chosen.selection()


def _rest(problem: _Problem, share: ClassShare, matched: np.ndarray) -> Int[np.ndarray, " j"]:
    """Find what fills a share once its match has spent all it may: the next gradient neighbours."""
    if len(matched) == share.k:
        return np.empty(0, np.int64)
    taken = np.concatenate([matched, share.pool[share.start]])
    best = _neighbours(problem, share, share.k + len(share.start))
    return best[~np.isin(best, taken)][: share.k - len(matched)]


def _neighbours(problem: _Problem, share: ClassShare, k: int) -> Int[np.ndarray, " j"]:
    place = torch.from_numpy(share.pool)
    if problem.query.target is not None:
        found = nearest_to(problem.atoms, place, problem.target(share), max(1, k))
    else:
        found = most_aligned(problem.atoms, place, problem.hard(share), max(1, k))
    return np.asarray(share.pool[found.numpy()])


def _each(problem: _Problem, share: ClassShare) -> tuple[Int[np.ndarray, " j"], float]:
    """Pick for a share with one target per hard example, and the mean of what is unexplained."""
    atoms, pool = problem.atoms, torch.from_numpy(share.pool)
    hard = problem.hard(share).to(atoms.device)
    one = torch.ones(1, dtype=atoms.dtype, device=atoms.device)
    depth = -(-share.k // len(hard))
    while True:
        found = match_targets(
            atoms,
            [atoms.combine(each[None], one) for each in hard],
            depth,
            [pool] * len(hard),
            starts=[torch.from_numpy(share.pool[share.start])] * len(hard),
        )
        norms = atoms.squared_norms().sqrt().cpu()
        parts = [(p.indices.cpu(), p.weights.cpu() * norms[p.indices.cpu()]) for p in found]
        place, score = (
            torch.nn.utils.rnn.pad_sequence([part[i] for part in parts], True, -1) for i in (0, 1)
        )
        picks = in_turn(score / norms[hard.cpu(), None], place, place >= 0).numpy()[: share.k]
        if len(picks) == share.k or all(p.stopped != "k" for p in found):
            return picks, float(np.mean([p.unexplained for p in found]))
        depth *= 2


def _distance_penalty(problem: _Problem, share: ClassShare) -> Float[Tensor, " atoms"]:
    """Give psi of the augmented system: 0 but for the share's part of the pool."""
    query, pool = problem.query, problem.pool.examples[share.pool]
    away = distance_to_nearest(pool, query.hard[share.hard], query)
    mean = float(away.mean()) if len(away) else 0.0
    length = problem.atoms.squared_norms()[torch.from_numpy(share.pool)].mean().sqrt().cpu()
    psi = torch.zeros(len(problem.atoms), dtype=torch.float64)
    relative = torch.from_numpy(away / (mean or 1.0))
    psi[torch.from_numpy(share.pool)] = query.feature_weight**0.5 * length * relative
    return psi
