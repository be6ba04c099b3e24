"""A rehearsal: the trainer asks itself, as if it were an owner, and sees which setting serves best."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mycroft_fl.models.fitting import accuracy
from mycroft_fl.seeds import derived_seed
from mycroft_fl.selection.methods import Query, method_named

if TYPE_CHECKING:
    from strategies.training.trainer import Trainer

WEIGHTS = (0.1, 1.0, 10.0)
PART = 4  # the pretended owner is asked for a quarter of what it holds


def tuned_feature_weight(trainer: Trainer) -> float:
    """The weight whose picks serve the tuning split best; of equals the one nearest 1.

    The pretended owner holds the selection split but for the hard examples that are sent. No
    owner, no scoring example and no test example is looked at.
    """
    hard, held = trainer.hard_set.sent, trainer.splits.selection
    held = held[~np.isin(held.ids, hard.ids)]
    k = len(held) // PART
    if k < 1:
        return 1.0
    select = method_named(trainer.config.method).select
    reached = {}
    for weight in WEIGHTS:
        query = Query(
            hard=hard,
            model=trainer.gradient_model,
            seed=derived_seed(trainer.config.seed, "rehearsal"),
            device=trainer.config.device,
            **trainer.config.selection(feature_weight=weight),
        )
        picked = held[select(held, query, k).indices]
        reached[weight] = accuracy(trainer.improved(picked), trainer.splits.tuning)
    return max(WEIGHTS, key=lambda weight: (reached[weight], -abs(np.log(weight))))
