"""Each candidate's part in the transport distance to the hard set."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from mycroft_fl.errors import DataError
from mycroft_fl.match.distances import distances

_ENTROPY = 0.05  # of the mean cost
_HALVINGS = 6  # from a coarse entropy down to the one asked for
_ITERATIONS = 500  # at each
_TOLERANCE = 1e-5  # of a candidate's mass, on average


def transport_gradient(
    cost: Float[Tensor, "n m"], entropy: float = _ENTROPY
) -> Float[Tensor, " n"]:
    """Return the calibrated gradient of the entropic transport cost by each candidate's weight.

    With the dual potential f, f_i - mean of the others' f: below zero where more of candidate i
    would bring the candidates nearer the hard set (Just et al. 2023, "LAVA: data valuation
    without pre-specified learning algorithms", equation 6). Candidates and hard examples weigh
    the same each; `entropy` is a share of the mean cost. Sinkhorn's algorithm in logarithms
    (Peyré and Cuturi 2019, section 4.4).
    """
    n, m = cost.shape
    if n == 0 or m == 0:
        raise DataError(f"{n} candidates and {m} hard examples; give at least one of each")
    cost = cost.double()
    blur = entropy * float(cost.mean()) or 1.0
    f = cost.new_zeros(n)
    # From coarse to fine, each starting where the last one ended: far fewer steps in all.
    for power in range(_HALVINGS, -1, -1):
        f = _balanced(cost, f, blur * 2**power)
    return (f - f.mean()) * (n / max(1, n - 1))


def _balanced(cost: Tensor, f: Float[Tensor, " n"], blur: float) -> Float[Tensor, " n"]:
    """Return the candidates' potential once both sides' masses are met, starting from `f`."""
    log_n, log_m = (float(np.log(size)) for size in cost.shape)
    for _ in range(_ITERATIONS):
        g = -blur * (torch.logsumexp((f[:, None] - cost) / blur, 0) - log_n)
        new = -blur * (torch.logsumexp((g[None, :] - cost) / blur, 1) - log_m)
        # exp((f - new) / blur) is by what a candidate's mass was off.
        off = float(torch.expm1((f - new) / blur).abs().mean())
        f = new
        if off < _TOLERANCE:
            break
    return f


def labelled_cost(
    candidates: Float[Tensor, "n d"],
    candidate_labels: Int[np.ndarray, " n"],
    hard: Float[Tensor, "m d"],
    hard_labels: Int[np.ndarray, " m"],
) -> Float[Tensor, "n m"]:
    """Return Euclidean distance, plus that between the means of the two labels' features.

    The distance between labels is LAVA's (after Alvarez-Melis and Fusi 2020), with the distance
    of the means where theirs is the transport distance between the classes: a hard set holds too
    few of a class to tell more. It is 0 where the labels agree.

    Args:
        candidates: features, a row each.
        candidate_labels: a class each.
        hard: features, as long.
        hard_labels: a class each.
    """
    distance = distances(candidates, hard)
    for label in np.unique(hard_labels):
        centre = hard[torch.from_numpy(hard_labels == label)].double().mean(0)
        column = torch.from_numpy(np.flatnonzero(hard_labels == label))
        for other in np.unique(candidate_labels):
            if other == label:
                continue
            row = torch.from_numpy(np.flatnonzero(candidate_labels == other))
            apart = torch.linalg.vector_norm(candidates[row].double().mean(0) - centre)
            distance[row[:, None], column[None, :]] += apart
    return distance
