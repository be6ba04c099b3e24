"""The price list of a result: what models gain on failures, and what they lose elsewhere."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from mycroft_fl.examples import Examples
from mycroft_fl.models.fitting import AnyModel, correct
from mycroft_fl.models.networks import Classifier

STEPS = (0.25, 0.5, 0.75)
"""How far between the baseline and a model the models in between lie."""


@dataclass(frozen=True)
class Price:
    """What a model costs: points lost of what the baseline gets right, for points of what it gets wrong."""

    harm: float
    gain: float

    @classmethod
    def of(cls, model: AnyModel, baseline: Bool[np.ndarray, " n"], examples: Examples) -> Price:
        """Compute it on examples some of which the baseline gets right; 0 where there are none."""
        right = correct(model, examples)
        kept, mended = right[baseline], right[~baseline]
        return cls(
            harm=100 * float(1 - kept.mean()) if len(kept) else 0.0,
            gain=100 * float(mended.mean()) if len(mended) else 0.0,
        )


def front(models: Iterable[AnyModel], baseline: AnyModel, examples: Examples) -> tuple[Price, ...]:
    """List the prices that no other model undercuts, from the least harm to the most gain."""
    right = correct(baseline, examples)
    prices = {Price.of(model, right, examples) for model in (baseline, *models)}
    best: list[Price] = []
    for price in sorted(prices, key=lambda each: (each.harm, -each.gain)):
        if not best or price.gain > best[-1].gain:
            best.append(price)
    return tuple(best)


def between(baseline: AnyModel, model: AnyModel) -> list[AnyModel]:
    """Make the models on the straight way between two networks, weight by weight; of others there are none.

    They cost no training: both are ends of one fine-tune (Wortsman et al. 2022, WiSE-FT).
    """
    if not (isinstance(baseline, Classifier) and isinstance(model, Classifier)):
        return []
    start, end = baseline.state_dict(), model.state_dict()
    found: list[AnyModel] = []
    for step in STEPS:
        mixed = {
            name: start[name].lerp(end[name], step) if value.is_floating_point() else value
            for name, value in end.items()
        }
        network = copy.deepcopy(model)
        network.load_state_dict(mixed)
        found.append(network)
    return found
