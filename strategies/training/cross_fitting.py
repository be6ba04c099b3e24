"""Models that are judged on validation examples which they have not seen, fold by fold."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Int64

from mycroft_fl.examples import Examples
from mycroft_fl.models.fitting import probabilities
from strategies.training.everything import Everything
from strategies.training.evidence import Outputs

FOLDS = 4
SHARE = 0.3
"""The share of a batch that failures and an owner's subset have together."""


class CrossFitting:
    """Fine-tunes on everything but one fold of validation, each judged on that fold.

    All that a trainer knows takes part, and no example is judged by a model that has seen it.

    Args:
        validation: Examples that are trained on and judged on in turn.
        wrong: Which of them the baseline gets wrong; folds have equally many.
        without: Makes the fine-tunes on everything that a trainer holds, of validation only the part given.
        seed: Seed of the folds.

    """

    def __init__(
        self,
        validation: Examples,
        wrong: Bool[np.ndarray, " n"],
        without: Callable[[Examples], Everything],
        seed: int,
    ) -> None:
        self._fold = _folds(wrong, seed)
        self._held = [validation[self._fold == each] for each in range(FOLDS)]
        self._rest = [without(validation[self._fold != each]) for each in range(FOLDS)]

    def judge(self, subset: Examples | None, repeat: int) -> Outputs:
        """Judge every example by the fold's model that has not seen it."""
        parts = [
            probabilities(rest.tuned(SHARE, subset, repeat), held)
            for held, rest in zip(self._held, self._rest, strict=True)
        ]
        outputs = np.empty((len(self._fold), parts[0].shape[1]))
        for each, part in enumerate(parts):
            outputs[self._fold == each] = part
        return outputs


def _folds(wrong: Bool[np.ndarray, " n"], seed: int) -> Int64[np.ndarray, " n"]:
    """Deal out folds at random, failures spread evenly over them."""
    order = np.lexsort((np.random.default_rng(seed).random(len(wrong)), wrong))
    fold = np.empty(len(wrong), np.int64)
    fold[order] = np.arange(len(wrong)) % FOLDS
    return fold
