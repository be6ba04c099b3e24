"""Euclidean distances between candidates and hard examples, exactly, in bounded memory."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from mycroft_fl.errors import DataError

_BLOCK_NUMBERS = 2**22  # features in float64 at a time


def distances(candidates: Float[Tensor, "n d"], hard: Float[Tensor, "m d"]) -> Float[Tensor, "n m"]:
    """Return all distances, by differences in float64, on the CPU.

    Not through a product of the vectors, which is faster but loses the small ones: equal
    examples are at distance 0 and copies at equal distances. DataError for shapes that do not fit
    or numbers that are not finite.
    """
    if candidates.ndim != 2 or hard.ndim != 2 or candidates.shape[1] != hard.shape[1]:
        raise DataError(
            f"candidates have shape {tuple(candidates.shape)}, hard examples {tuple(hard.shape)}; "
            "give one vector a row, equally long on both sides"
        )
    there = hard.cpu().double()
    found = torch.empty(len(candidates), len(hard), dtype=torch.float64)
    step = max(1, _BLOCK_NUMBERS // max(1, candidates.shape[1]))
    for start in range(0, len(candidates), step):
        block = candidates[start : start + step].cpu().double()
        found[start : start + step] = torch.cdist(
            block, there, compute_mode="donot_use_mm_for_euclid_dist"
        )
    if not found.isfinite().all():
        raise DataError("candidates or hard examples hold NaN or infinity; mend or leave them out")
    return found
