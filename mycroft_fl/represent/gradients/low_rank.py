"""Directions that two thin matrices make up, as the mean gradient of a few hard examples is."""

from __future__ import annotations

from collections import deque
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

Thin = tuple[Float[Tensor, "C r"], Float[Tensor, "r p"]]

_COLUMNS = 24  # of the direction's range that are drawn first; so many are cheap to draw
_BEYOND = 8  # columns beyond the rank, for what rounding hides from those within
_ERROR = 8 * torch.finfo(torch.float32).eps  # a share of the direction: what a pursuit calls noise
_GAIN = 0.75  # at most this share of the work with the whole direction, or the search is not made
_REMEMBERED_NUMBERS = 2**18  # of one of them: 1 MiB

# Blocks of one pass, and layers of one network, ask for the same directions again and again.
_remembered: deque[tuple[Tensor, int, Thin | None]] = deque(maxlen=8)


def low_rank(direction: Float[Tensor, "C p"], rows: int) -> Thin | None:
    """Return `left` and `right` with `left @ right = direction`, if `rows` products gain by them.

    A product with a mean over m examples then costs m (C + p) and not C p. The two are equal up to
    8 units of rounding of the direction's norm, about as much as a mean computed in float32 is
    off: the norm that `left`, which is orthonormal, leaves out tells it (Halko, Martinsson and
    Tropp 2011, algorithm 4.1: what is drawn at random decides whether a low rank is found, never
    whether the two are right). None where no rank is found that would gain, and for all but
    float32 on the CPU: a GPU would have to wait until the host knows the rank.
    """
    if direction.dtype != torch.float32 or direction.device.type != "cpu":
        return None
    direction, highest = direction.detach(), _highest_rank(direction, rows)
    if highest < _COLUMNS - _BEYOND:
        return None
    for known, limit, thin in tuple(_remembered):
        # NumPy compares four times as fast, which counts where blocks are small.
        if limit == highest and np.array_equal(known.numpy(), direction.numpy()):
            return thin
    thin = _found(direction, highest)
    if direction.numel() <= _REMEMBERED_NUMBERS:
        _remembered.append((direction.clone(), highest, thin))
    return thin


def _highest_rank(direction: Tensor, rows: int) -> int:
    """Return the highest rank at which finding the two and multiplying by them costs less than `_GAIN`."""
    outputs, inputs = direction.shape
    once = 2 / max(1, rows)  # a column of the search, over the work with the whole direction
    most = (_GAIN - _BEYOND * once) / ((outputs + inputs) / max(1, outputs * inputs) + once)
    return min(int(most), outputs, inputs) - _BEYOND


def _found(direction: Float[Tensor, "C p"], highest: int) -> Thin | None:
    exact = direction.double()
    whole = exact.square().sum()
    if not bool(whole.isfinite()):
        return None
    for columns in sorted({_COLUMNS, highest + _BEYOND}):
        sample = direction @ _drawn(direction.shape[1], columns)
        basis = torch.linalg.qr(sample.double()).Q
        right = basis.T @ exact
        left_out = whole - right.square().sum(1).cumsum(0)
        enough = (left_out <= _ERROR**2 * whole).nonzero()
        if len(enough):
            rank = int(enough[0]) + 1
            return basis[:, :rank].float(), right[:rank].float()
    return None


@lru_cache(maxsize=8)
def _drawn(rows: int, columns: int) -> Float[Tensor, "rows columns"]:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(0))
