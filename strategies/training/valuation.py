"""What owners' subsets are worth to the trainer: by fine-tuning, or cheaply by one gradient."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64

from mycroft_fl.examples import Examples
from mycroft_fl.models.fitting import as_input, correct
from mycroft_fl.represent.gradients.per_example import last_layer_gradients
from mycroft_fl.scoring import Score, alignment, gain_with_interval
from mycroft_fl.seeds import derived_seed

if TYPE_CHECKING:
    from strategies.training.trainer import Trainer

log = logging.getLogger(__name__)


class Valuation:
    """Judges subsets on the scoring split, which nobody else sees.

    `gains` are of each scoring example, by owner, as last scored.
    """

    def __init__(self, trainer: Trainer) -> None:
        self._trainer = trainer
        self._scoring = trainer.splits.scoring
        self.gains: dict[str, Float[np.ndarray, " n"]] = {}

    def scores(self, subsets: Mapping[str, Examples]) -> dict[str, Score]:
        """Each owner's worth: the gain on the scoring split from fine-tuning with its subset."""
        config, scores = self._trainer.config, {}
        for place, (owner, subset) in enumerate(sorted(subsets.items()), start=1):
            log.info("scoring owner %d of %d", place, len(subsets))
            with_subset = self._right_with(subset)
            self.gains[owner] = with_subset.mean(axis=0) - self._without.mean(axis=0)
            scores[owner] = gain_with_interval(
                with_subset,
                self._without,
                confidence=config.scoring_confidence,
                seed=derived_seed(config.seed, "trainer", "bootstrap", owner),
            )
        return scores

    def alignments(self, subsets: Mapping[str, Examples]) -> dict[str, float]:
        """The cheap score of each subset: a step along the kept hard examples' gradient."""
        kept = self._scoring[~correct(self._trainer.baseline, self._scoring)]
        if len(kept) == 0:
            return dict.fromkeys(subsets, 0.0)
        hard = self._mean_gradient(kept)
        return {
            owner: alignment(self._mean_gradient(subset), hard) if len(subset) else 0.0
            for owner, subset in subsets.items()
        }

    @cached_property
    def _without(self) -> Bool[np.ndarray, "repeats n"]:
        return self._right_with(None)

    def _right_with(self, subset: Examples | None) -> Bool[np.ndarray, "repeats n"]:
        """Which scoring examples are right after a fine-tune with a subset, repeat by repeat."""
        fine_tuning, hard = self._trainer.fine_tuning, self._trainer.shows_hard_set
        return np.stack(
            [
                correct(fine_tuning.on(subset, hard=hard, repeat=repeat), self._scoring)
                for repeat in range(self._trainer.config.scoring_repeats)
            ]
        )

    def _mean_gradient(self, examples: Examples) -> Float64[np.ndarray, " d"]:
        gradients = last_layer_gradients(
            self._trainer.gradient_model, as_input(examples.x), torch.from_numpy(examples.y)
        )
        return gradients.mean().flatten().double().numpy()
