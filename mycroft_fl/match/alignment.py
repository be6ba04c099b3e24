"""The candidates whose gradients point the same way as a hard example's, each in turn."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mycroft_fl.match.uniform import require_budget
from mycroft_fl.represent.gradients.atoms import Atoms

_BLOCK_NUMBERS = 2**22  # cosines at a time


def most_aligned(
    atoms: Atoms, candidates: Int[Tensor, " n"], hard: Int[Tensor, " m"], k: int
) -> Int[Tensor, " j"]:
    """Return up to `k` places within `candidates`: each hard atom's best by cosine, then its second best.

    Within one depth by cosine; equal ones go to the lowest place. Only candidates at an acute
    angle to a hard atom count for it, and none of length zero. Cosines come from the products
    of the atoms: of gradients as factors, nothing is built. SettingError for `k` below 1.

    Args:
        atoms: gradients of candidates and hard examples together.
        candidates: numbers of the candidates among `atoms`.
        hard: numbers of the hard examples among `atoms`.
        k: how many places at most, 1 or more.
    """
    require_budget(k)
    norms = atoms.squared_norms().sqrt()
    most = min(k, len(candidates))
    if len(hard) == 0 or most == 0:
        return torch.empty(0, dtype=torch.int64)
    depth = min(most, 4 + 2 * -(-k // len(hard)))
    while True:
        cosine, place = _best(atoms, norms, candidates, hard, depth)
        chosen = in_turn(cosine, place, cosine > 0)[:k]
        if len(chosen) == k or depth >= most:
            return chosen
        depth = min(most, 4 * depth)


def nearest_to(
    atoms: Atoms, candidates: Int[Tensor, " n"], direction: Float[Tensor, "*direction"], k: int
) -> Int[Tensor, " j"]:
    """Return places within `candidates` for one direction that is no atom, best cosine first.

    Args:
        atoms: gradients, the candidates' among them.
        candidates: numbers of the candidates among `atoms`.
        direction: a vector as the atoms are.
        k: how many places at most.
    """
    require_budget(k)
    norms = atoms.squared_norms().sqrt()
    lengths = norms.masked_fill(norms == 0, torch.inf)
    cosines = (atoms.correlate(direction).double() / lengths)[candidates.to(atoms.device)]
    value, place = cosines.float().sort(descending=True, stable=True)
    return place[value > 0][:k].cpu()


def in_turn(
    score: Float[Tensor, "m depth"], place: Int[Tensor, "m depth"], counts: Tensor
) -> Int[Tensor, " j"]:
    """Return the distinct places column by column, within a column by falling score, then by place."""
    depth = torch.arange(score.shape[1]).expand_as(score)
    depth, score, place = depth[counts], score[counts], place[counts]
    order = torch.arange(len(place))
    for key in (place, -score, depth):
        order = order[key[order].argsort(stable=True)]
    first: dict[int, None] = dict.fromkeys(place[order].tolist())
    return torch.tensor(list(first), dtype=torch.int64)


def _best(
    atoms: Atoms, norms: Tensor, candidates: Tensor, hard: Tensor, depth: int
) -> tuple[Float[Tensor, "m depth"], Int[Tensor, "m depth"]]:
    """Return each hard atom's `depth` best cosines in falling order, equal ones by place; on the CPU."""
    candidates, hard = candidates.to(atoms.device), hard.to(atoms.device)
    lengths = norms[candidates].masked_fill(norms[candidates] == 0, torch.inf)
    cosines, places = [], []
    step = max(1, _BLOCK_NUMBERS // max(1, len(atoms)))
    for start in range(0, len(hard), step):
        few = hard[start : start + step]
        scale = 1 / norms[few].masked_fill(norms[few] == 0, torch.inf)
        products = atoms.gram(few, scale)[candidates].double() / lengths[:, None]
        # Rounded, so that copies of one candidate are equal whatever block they stand in.
        value, place = products.float().sort(dim=0, descending=True, stable=True)
        cosines.append(value[:depth].T.cpu())
        places.append(place[:depth].T.cpu())
    return torch.cat(cosines), torch.cat(places)
