"""The candidates that lie nearest the hard examples, exactly, in bounded memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mycroft_fl.errors import DataError, SettingError
from mycroft_fl.match.uniform import require_budget

_BLOCK_NUMBERS = 2**21  # 8 MiB of float32 distances at a time, and of differences looked at closely
_HARD_ROWS = 256  # hard examples compared in one product


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Pairs of a hard example and a near candidate, hard examples in order, nearest first."""

    hard: Int[Tensor, " pairs"]
    candidate: Int[Tensor, " pairs"]
    distance: Float[Tensor, " pairs"]
    """Euclidean, from a difference in float64, rounded to float32 so that equal ones compare so."""

    @property
    def depth(self) -> Int[Tensor, " pairs"]:
        """0 for a hard example's nearest, 1 for its second nearest, and so on."""
        place = torch.arange(len(self.hard), device=self.hard.device)
        return place - torch.searchsorted(self.hard, self.hard)

    def where(self, index: Int[Tensor, " kept"]) -> Neighbours:
        """Return the pairs at `index`."""
        return Neighbours(self.hard[index], self.candidate[index], self.distance[index])

    @staticmethod
    def joined(parts: list[Neighbours]) -> Neighbours:
        """Return all pairs of `parts`, one part after the other."""
        return Neighbours(
            torch.cat([part.hard for part in parts]),
            torch.cat([part.candidate for part in parts]),
            torch.cat([part.distance for part in parts]),
        )


def nearest(
    candidates: Float[Tensor, "n d"],
    hard: Float[Tensor, "m d"],
    k: int,
    *,
    candidate_labels: Int[Tensor, " n"] | None = None,
    hard_labels: Int[Tensor, " m"] | None = None,
    per: Literal["example", "set"] = "example",
) -> Int[Tensor, " j"]:
    """Return up to `k` distinct candidates near the hard examples, most useful first.

    Distances are Euclidean; of vectors at norm one they order as cosines do. Equal ones go to the
    lowest index. Fewer than `k` where no more candidates count.

    Args:
        k: 1 or more.
        candidate_labels: each candidate's class; with both, only those of its class count for a hard example.
        hard_labels: each hard example's class.
        per: "example": each hard example's nearest, then each one's second nearest and so on, within
            one depth by distance. "set": by the distance to the nearest hard example.

    `SettingError` for `k` or `per`; `DataError` for shapes that do not fit, NaN, labels on one side
    only, or no hard example.
    """
    require_budget(k)
    if per not in ("example", "set"):
        raise SettingError(f"per is {per!r}; choose from ['example', 'set']")
    _require_vectors(candidates, hard)
    classes = _classes(len(candidates), len(hard), candidate_labels, hard_labels)
    most = min(k, len(candidates))
    # A shallow look is often enough: m hard examples bring up to m new candidates per depth.
    depth = most if per == "set" else min(most, 4 + 2 * -(-k // len(hard)))
    while True:
        found = _by_class(candidates, hard, classes, depth)
        chosen = _distinct(found, per)[:k]
        if len(chosen) == k or depth >= most:
            return chosen
        depth = min(most, 4 * depth)


def nearest_each(
    candidates: Float[Tensor, "n d"], hard: Float[Tensor, "m d"], k: int
) -> Neighbours:
    """Find each hard example's min(k, n) nearest candidates; of equal distances, the lowest index.

    A product in the vectors' own precision, block by block, finds all that may be among the
    nearest; these few are then measured by their difference in float64, free of cancellation.
    The vectors must be finite.
    """
    parts = [_no_neighbours(hard)]
    for start in range(0, len(hard), _HARD_ROWS):
        few = _nearest_few(candidates, hard[start : start + _HARD_ROWS], k)
        parts.append(Neighbours(few.hard + start, few.candidate, few.distance))
    return Neighbours.joined(parts)


def _nearest_few(candidates: Tensor, hard: Tensor, k: int) -> Neighbours:
    """Return `nearest_each` for so few hard examples that a block of distances stays small."""
    best = _no_neighbours(hard)
    bound = hard.new_full((len(hard), 1), torch.inf)  # squared; none of the k best is farther
    step = max(1, _BLOCK_NUMBERS // max(len(hard), hard.shape[1]))
    coarse = _has_fast_bfloat16(hard)
    for start in range(0, len(candidates), step):
        block = candidates[start : start + step]
        near, bound = _near(hard, block, k, bound, coarse)
        # So many in doubt that looking at them costs more than a better product.
        if coarse and int(near.count_nonzero()) > (4 * k + len(block) // 64) * len(hard):
            coarse = False
            near, bound = _near(hard, block, k, bound, coarse)
        row, column = near.nonzero(as_tuple=True)
        found = Neighbours(row, column + start, _distances(hard, block, row, column))
        best = _nearest_of(Neighbours.joined([best, found]), k)
        if start + len(block) >= k:
            bound = best.distance.reshape(len(hard), k)[:, -1:].to(hard.dtype).square()
    return best


def _near(
    hard: Tensor, block: Tensor, k: int, bound: Float[Tensor, "m 1"], coarse: bool
) -> tuple[Bool[Tensor, "m b"], Float[Tensor, "m 1"]]:
    """Tell which of the block may be among the k nearest; and the bound, from the first block if new."""
    rough, doubt = _rough_distances(hard, block, coarse)
    if k <= len(block) and bool(bound.isinf().any()):
        bound = rough.topk(k, largest=False).values[:, -1:] + doubt
    # Not `<=`: where squares overflow, NaN must count as near.
    return (rough > bound + doubt).logical_not_(), bound


def _has_fast_bfloat16(vectors: Tensor) -> bool:
    """Return whether a product in bfloat16 is cheaper here by more than the doubt it leaves."""
    if vectors.dtype != torch.float32:
        return False
    if vectors.device.type == "cpu":
        return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return vectors.device.type == "cuda" and torch.cuda.is_bf16_supported()


def _rough_distances(
    hard: Float[Tensor, "m d"], block: Float[Tensor, "b d"], coarse: bool
) -> tuple[Float[Tensor, "m b"], Float[Tensor, "m 1"]]:
    """Return squared distances through one product, and how far from the truth rounding may put them."""
    here = torch.linalg.vector_norm(hard, dim=1, keepdim=True).square_()
    there = torch.linalg.vector_norm(block, dim=1).square_()
    length = 8 + hard.shape[1] ** 0.5
    doubt = 4 * torch.finfo(hard.dtype).eps * length * (here + there.max())
    if coarse:
        products = hard.bfloat16() @ block.bfloat16().T
        # Twice three roundings to 8 bits, of either factor and of the product: 6 * 2^-9.
        doubt = doubt + 7 * 2**-9 * (here * there.max()).sqrt()
        return torch.sub(there, products, alpha=2).add_(here), doubt
    return torch.addmm(there, hard, block.T, alpha=-2).add_(here), doubt


def _distances(
    hard: Tensor, block: Tensor, row: Int[Tensor, " pairs"], column: Int[Tensor, " pairs"]
) -> Float[Tensor, " pairs"]:
    """Return the pairs' distances by their difference, free of cancellation."""
    distance = torch.empty(len(row), device=row.device)
    step = max(1, _BLOCK_NUMBERS // max(1, hard.shape[1]))
    for start in range(0, len(row), step):
        few = slice(start, start + step)
        difference = block[column[few]].double() - hard[row[few]].double()
        distance[few] = torch.linalg.vector_norm(difference, dim=1).float()
    return distance


def _nearest_of(pairs: Neighbours, k: int) -> Neighbours:
    """Return each hard example's `k` nearest pairs."""
    ordered = pairs.where(_order(pairs.hard, pairs.distance, pairs.candidate))
    return ordered.where((ordered.depth < k).nonzero()[:, 0])


def _distinct(pairs: Neighbours, per: str) -> Int[Tensor, " j"]:
    """Return all candidates of the pairs once, in the order that `nearest` promises."""
    if per == "example":
        order = _order(pairs.depth, pairs.distance, pairs.candidate)
    else:
        order = _order(pairs.distance, pairs.candidate)
    candidate = pairs.candidate[order]
    by_candidate = candidate.argsort(stable=True)
    grouped = candidate[by_candidate]
    first = torch.ones_like(grouped, dtype=torch.bool)
    first[1:] = grouped[1:] != grouped[:-1]
    return candidate[by_candidate[first].sort().values]


def _order(*keys: Tensor) -> Int[Tensor, " pairs"]:
    """Return the order by the first key, where equal by the second, and so on."""
    order = torch.arange(len(keys[0]), device=keys[0].device)
    for key in reversed(keys):
        order = order[key[order].argsort(stable=True)]
    return order


def _by_class(
    candidates: Tensor, hard: Tensor, classes: list[tuple[Tensor, Tensor]] | None, depth: int
) -> Neighbours:
    """Return neighbours within each class, in the numbering of the whole sets."""
    if classes is None:
        return nearest_each(candidates, hard, depth)
    parts = [_no_neighbours(hard)]
    for mine, theirs in classes:
        pairs = nearest_each(candidates[mine], hard[theirs], depth)
        parts.append(Neighbours(theirs[pairs.hard], mine[pairs.candidate], pairs.distance))
    joined = Neighbours.joined(parts)
    return joined.where(joined.hard.argsort(stable=True))


def _no_neighbours(hard: Tensor) -> Neighbours:
    index = torch.empty(0, dtype=torch.int64, device=hard.device)
    return Neighbours(index, index, torch.empty(0, device=hard.device))


def _classes(
    n: int, m: int, candidate_labels: Tensor | None, hard_labels: Tensor | None
) -> list[tuple[Int[Tensor, " _mine"], Int[Tensor, " _theirs"]]] | None:
    """Tell which candidates meet which hard examples; None where all meet all."""
    if candidate_labels is None and hard_labels is None:
        return None
    if candidate_labels is None or hard_labels is None:
        raise DataError("labels on one side only; give labels for candidates and hard, or neither")
    if len(candidate_labels) != n or len(hard_labels) != m:
        raise DataError(
            f"{n} candidates with {len(candidate_labels)} labels, {m} hard examples with "
            f"{len(hard_labels)}; give one label per example"
        )
    return [
        ((candidate_labels == label).nonzero()[:, 0], (hard_labels == label).nonzero()[:, 0])
        for label in torch.unique(hard_labels)
    ]


def _require_vectors(candidates: Tensor, hard: Tensor) -> None:
    if candidates.ndim != 2 or hard.ndim != 2 or candidates.shape[1] != hard.shape[1]:
        raise DataError(
            f"candidates have shape {tuple(candidates.shape)}, hard examples {tuple(hard.shape)}; "
            "give one vector a row, equally long on both sides"
        )
    if not len(hard):
        raise DataError("no hard example to be near to; give at least one")
    for name, vectors in (("candidates", candidates), ("hard examples", hard)):
        # A finite sum has finite terms, and is far cheaper than asking each of them.
        if not vectors.sum().isfinite() and not vectors.isfinite().all():
            bad = int((~vectors.isfinite()).any(1).nonzero()[0])
            raise DataError(f"row {bad} of the {name} holds NaN or infinity; mend or leave it out")
