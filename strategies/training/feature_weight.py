"""The feature weight, tuned by asking the trainer itself as if it were an owner."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mycroft_fl.examples import Examples
from mycroft_fl.models.networks import Classifier
from mycroft_fl.seeds import derived_seed
from mycroft_fl.selection.methods import Query, method_named
from mycroft_fl.settings.run_config import RunConfig

WEIGHTS = (0.1, 1.0, 10.0)
PART = 4  # the pretended owner is asked for a quarter of what it holds


def tuned_feature_weight(
    hard: Examples,
    held: Examples,
    model: Classifier,
    config: RunConfig,
    reached: Callable[[Examples], float],
) -> float:
    """Choose the weight whose picks serve best; of equals the one nearest 1.

    No owner, no scoring example and no test example is looked at.

    Args:
        hard: the hard examples that are sent.
        held: what the pretended owner holds; those of them that are sent are left out.
        model: through which gradients and features are seen.
        config: the run's settings.
        reached: how well the trainer does on its tuning split once it has these picks.

    """
    held = held[~np.isin(held.ids, hard.ids)]
    k = len(held) // PART
    if k < 1:
        return 1.0
    select = method_named(config.method).select
    served = {}
    for weight in WEIGHTS:
        query = Query(
            hard=hard,
            model=model,
            seed=derived_seed(config.seed, "rehearsal"),
            device=config.device,
            **config.selection(feature_weight=weight),
        )
        served[weight] = reached(held[select(held, query, k).indices])
    return max(WEIGHTS, key=lambda weight: (served[weight], -abs(np.log(weight))))
