"""Gradient matching with a cover of the hard set as a second term."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.optimize import nnls
from torch import Tensor

from mycroft_fl.match.coverage import Cover, lazy_greedy
from mycroft_fl.match.uniform import require_budget
from mycroft_fl.represent.gradients.atoms import Atoms

_LEAST_PIVOT = 1e-6  # of an atom's squared norm; below, it is all but a sum of those matched


@dataclass(frozen=True, eq=False)
class Composite:
    """Picks in order; `weights` are those of the match, 0 for a pick that only covers."""

    indices: Int[np.ndarray, " k"]
    weights: Float[np.ndarray, " k"]
    unexplained: float


def covering_pursuit(
    atoms: Atoms,
    target: Float[Tensor, "*direction"],
    cover: Cover,
    k: int,
    *,
    weight: float,
    spend: int,
    start: Int[np.ndarray, " s"],
) -> Composite:
    """Return up to `k` picks: `spend` by match and cover together, the others by the cover alone.

    Together: the greatest gain of match plus `weight` times cover. The match's gain is what the
    atom alone takes off the squared residual, the cover's what it adds to F; each in units of the
    greatest gain of a first pick, so that `weight` = 1 lets both say as much. All weights are
    refitted, non-negative, after every such pick.

    Args:
        atoms: the candidates' gradients.
        target: the direction to match.
        cover: the cover of the hard set, empty at first.
        k: how many picks at most.
        weight: of the cover, in units of the greatest gain of a first pick; 0 is the match alone.
        spend: how many picks match and cover make together.
        start: picked before; it counts for both, and is not picked again.
    """
    require_budget(k)
    match, everyone = _Match(atoms, target), np.arange(len(atoms))
    unit = _unit(match.gains()), _unit(cover.gains(everyone))
    match.hold(start)
    for each in start:
        cover.add(int(each))
    shut = np.isin(everyone, start)
    picks: list[int] = []
    while len(picks) < min(k, spend) and not shut.all():
        gain = match.gains() / unit[0] + weight * cover.gains(everyone) / unit[1]
        best = int(np.argmax(np.where(shut, -1.0, gain)))
        if gain[best] <= 0:
            break
        match.hold(np.array([best]))
        cover.add(best)
        shut[best] = True
        picks.append(best)
    rest = np.empty(0, np.int64)
    if len(picks) < k and weight > 0:
        rest = lazy_greedy(cover.emptied(), k - len(picks), np.r_[start, picks].astype(int)).indices
    weights = np.concatenate([match.weights[len(start) :], np.zeros(len(rest))])
    return Composite(np.r_[picks, rest].astype(np.int64), weights, match.unexplained)


class _Match:
    """Non-negative least squares on the atoms held so far, all at norm one."""

    def __init__(self, atoms: Atoms, target: Tensor) -> None:
        norms = atoms.squared_norms().sqrt()
        self._atoms, self._norms = atoms, norms.masked_fill(norms == 0, torch.inf)
        self._length = float(torch.linalg.vector_norm(target.double()))
        self._target = target.double() / (self._length or 1.0)
        self._residual = self._target
        self._direct = self._cosines(self._target)
        self._gram = np.empty((0, 0))
        self.held: list[int] = []
        self._scaled = np.empty(0)

    def gains(self) -> Float[np.ndarray, " n"]:
        """Return what each atom alone would take off the squared residual."""
        return np.asarray(np.square(np.maximum(0.0, self._cosines(self._residual))))

    def hold(self, more: Int[np.ndarray, " j"]) -> None:
        """Hold some atoms more and refit all weights."""
        if len(more) == 0:
            return
        self.held += more.tolist()
        index = torch.tensor(self.held, device=self._atoms.device)
        few, here = self._atoms[index].double(), torch.arange(len(index), device=index.device)
        new = here[-len(more) :]
        columns = few.gram(new, 1 / self._norms[index[new]]) / self._norms[index, None]
        gram = np.zeros((len(index), len(index)))
        gram[: -len(more), : -len(more)] = self._gram
        gram[:, -len(more) :] = columns.cpu().numpy()
        gram[-len(more) :, :] = columns.T.cpu().numpy()
        self._gram = gram
        self._scaled = _non_negative(gram, self._direct[self.held])
        weights = torch.from_numpy(self._scaled).to(here.device) / self._norms[index]
        self._residual = self._target.to(weights.device) - few.combine(here, weights)

    @property
    def weights(self) -> Float[np.ndarray, " t"]:
        """One per atom held, in the order they came."""
        return np.asarray(self._scaled * self._length / self._norms[self.held].cpu().numpy())

    @property
    def unexplained(self) -> float:
        """||residual|| / ||target||; 0 for a target of zero."""
        return min(1.0, float(torch.linalg.vector_norm(self._residual)))

    def _cosines(self, direction: Tensor) -> Float[np.ndarray, " n"]:
        products = self._atoms.correlate(direction.to(self._atoms.device, self._atoms.dtype))
        return np.asarray((products.double() / self._norms).cpu().numpy())


def _non_negative(gram: np.ndarray, direct: np.ndarray) -> Float[np.ndarray, " t"]:
    """Return the w >= 0 that minimises w'Gw - 2 d'w: least squares with the root of G."""
    values, vectors = np.linalg.eigh(gram)
    kept = values > _LEAST_PIVOT
    root = np.sqrt(values[kept])
    weights, _ = nnls((vectors[:, kept] * root).T, (vectors[:, kept].T @ direct) / root)
    return np.asarray(weights)


def _unit(gains: np.ndarray) -> float:
    return float(gains.max()) if len(gains) and gains.max() > 0 else 1.0
