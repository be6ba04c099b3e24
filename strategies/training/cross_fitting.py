"""Models that are judged on validation examples which they have not seen, fold by fold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int64

from mycroft_fl.examples import Examples
from mycroft_fl.models.fitting import AnyModel, correct, losses
from strategies.training.everything import Everything

FOLDS = 4
LARGEST_LOSS = 5.0
"""No example's loss counts for more, in nats: a fine-tuned network can be sure and wrong."""
SHARE = 0.3
"""The share of a batch that failures and an owner's subset have together."""


@dataclass(frozen=True, eq=False)
class Judged:
    """Which of the judging examples a model gets right, and its loss on each."""

    right: Bool[np.ndarray, " n"]
    loss: Float[np.ndarray, " n"]

    @classmethod
    def of(cls, model: AnyModel, examples: Examples) -> Judged:
        """Judge one model on all of the examples."""
        return cls(correct(model, examples), _cut(losses(model, examples)))


Judge = Callable[[Examples | None, int], Judged]
"""Judges what an owner's subset leads to, or no subset at all; another repeat draws other batches."""


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

    def judge(self, subset: Examples | None, repeat: int) -> Judged:
        """Judge every example by the fold's model that has not seen it."""
        right, loss = np.zeros(len(self._fold), bool), np.zeros(len(self._fold))
        for each, (held, rest) in enumerate(zip(self._held, self._rest, strict=True)):
            judged = Judged.of(rest.tuned(SHARE, subset, repeat), held)
            right[self._fold == each], loss[self._fold == each] = judged.right, judged.loss
        return Judged(right, loss)


def _folds(wrong: Bool[np.ndarray, " n"], seed: int) -> Int64[np.ndarray, " n"]:
    """Deal out folds at random, failures spread evenly over them."""
    order = np.lexsort((np.random.default_rng(seed).random(len(wrong)), wrong))
    fold = np.empty(len(wrong), np.int64)
    fold[order] = np.arange(len(wrong)) % FOLDS
    return fold


def _cut(loss: np.ndarray) -> Float[np.ndarray, " n"]:
    cut: np.ndarray = np.nan_to_num(np.minimum(loss, LARGEST_LOSS), nan=LARGEST_LOSS)
    return cut.astype(np.float64)
