"""Steps of a pursuit that are as plain as can be, with as little as can be around each."""

from __future__ import annotations

import numpy as np
import torch

from mycroft_fl.match.correlations import LEAST_PIVOT, TIE, Correlations, Problem
from mycroft_fl.match.least_squares import Fit

_LEAST_GAIN = 1e-14


def sprint(
    problem: Problem,
    correlations: Correlations,
    fit: Fit,
    room: int,
    signed: bool,
    floor: float,
    tolerance: float,
) -> list[int]:
    """Pick up to `room` atoms while each step is plain: one clear best, no weight to be dropped.

    For float64 on the CPU, the rule norm, no penalty, and a fit that never dropped an atom. What
    is not plain is left to the search, in the very state that it would have brought about itself.
    The atoms that got a slot come back; the last of them may have been left unchosen.
    """
    cosines, rows = correlations.now.numpy().copy(), correlations.rows()
    direct, barred = correlations.start, np.where(correlations.shut.numpy(), -np.inf, 0.0)
    assert direct is not None  # so in float64
    entered: list[int] = []
    for _ in range(min(room, len(rows) - fit.slots)):
        scores = (cosines if signed else np.abs(cosines)) + barred
        best = int(scores.argmax())
        if scores[best] <= floor or np.count_nonzero(scores >= scores[best] - TIE) > 1:
            break
        index = torch.tensor([best])
        column = problem.atoms.gram(index, 1 / problem.norms[index])[:, 0]
        slot = fit.new_slot(rows[: fit.slots, best], float(direct[best]))
        correlations.enter(slot, column)
        entered.append(best)
        row = fit.insert(slot)
        weights, step = fit.grown(row)
        plain = row[-1] ** -2 > LEAST_PIVOT and step * step > _LEAST_GAIN
        if not plain or (signed and weights.min() <= 0):
            fit.drop_last()
            break
        fit.weights = weights
        barred[best] = -np.inf
        cosines -= (step * row) @ rows[: fit.slots]
        if fit.objective <= tolerance**2:
            break
    correlations.now = torch.from_numpy(cosines)
    return entered
