"""The worth of owners' subsets to the trainer: by fine-tuning, or cheaply by one gradient."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Float64

from mycroft_fl.examples import Examples
from mycroft_fl.metrics.metric import ACCURATE, Metric
from mycroft_fl.models.fitting import AnyModel, as_input, predict, probabilities
from mycroft_fl.models.networks import Classifier
from mycroft_fl.represent.gradients.per_example import last_layer_gradients
from mycroft_fl.scoring import Score, alignment, gain_with_interval
from mycroft_fl.seeds import derived_seed
from mycroft_fl.settings.run_config import RunConfig

log = logging.getLogger(__name__)


class Valuation:
    """Judges subsets on the scoring split, which nobody else sees.

    `gains` are in accuracy, whatever the metric, of each scoring example, by owner, as last scored:
    noise for publication is made for gains from -1 to 1.

    Args:
        scoring: the scoring split.
        baseline: the model before anything was acquired; its failures are what an owner can mend.
        fine_tuned: makes the model that a subset leads to; another `repeat` draws other batches.
        gradient_model: gives the network through which the cheap score looks; called only for it.
        config: the run's settings.
        metric: what a gain is in.

    """

    def __init__(
        self,
        scoring: Examples,
        baseline: AnyModel,
        fine_tuned: Callable[[Examples | None, int], AnyModel],
        gradient_model: Callable[[], Classifier],
        config: RunConfig,
        metric: Metric = ACCURATE,
    ) -> None:
        self._scoring = scoring
        self._baseline, self._fine_tuned = baseline, fine_tuned
        self._gradient_model, self._config = gradient_model, config
        self._metric = metric
        self.gains: dict[str, Float[np.ndarray, " n"]] = {}

    def scores(self, subsets: Mapping[str, Examples]) -> dict[str, Score]:
        """Score each owner by the gain on the scoring split from fine-tuning with its subset."""
        config, scores = self._config, {}
        for place, (owner, subset) in enumerate(sorted(subsets.items()), start=1):
            log.info("scoring owner %d of %d", place, len(subsets))
            with_subset = self._outputs_with(subset)
            self.gains[owner] = self._right(with_subset) - self._right(self._without)
            scores[owner] = gain_with_interval(
                with_subset,
                self._without,
                metric=self._metric.on(self._scoring.y),
                confidence=config.scoring_confidence,
                seed=derived_seed(config.seed, "trainer", "bootstrap", owner),
            )
        return scores

    def alignments(self, subsets: Mapping[str, Examples]) -> dict[str, float]:
        """Score each subset cheaply, by a step along the kept hard examples' gradient."""
        scoring = self._scoring
        lost = self._metric.lost(scoring.y, predict(self._baseline, scoring.x))
        if not lost.any():
            return dict.fromkeys(subsets, 0.0)
        hard = self._mean_gradient(scoring[lost > 0], lost[lost > 0])
        return {
            owner: alignment(self._mean_gradient(subset), hard) if len(subset) else 0.0
            for owner, subset in subsets.items()
        }

    @cached_property
    def _without(self) -> Float64[np.ndarray, "repeats n C"]:
        return self._outputs_with(None)

    def _outputs_with(self, subset: Examples | None) -> Float64[np.ndarray, "repeats n C"]:
        """Give the scoring examples' probabilities after a fine-tune with a subset, repeat by repeat."""
        return np.stack(
            [
                probabilities(self._fine_tuned(subset, repeat), self._scoring)
                for repeat in range(self._config.scoring_repeats)
            ]
        )

    def _right(self, outputs: Float64[np.ndarray, "repeats n C"]) -> Float64[np.ndarray, " n"]:
        """Give the share of repeats in which each scoring example is right."""
        right: np.ndarray = (outputs.argmax(axis=2) == self._scoring.y).mean(axis=0)
        return right

    def _mean_gradient(
        self, examples: Examples, weights: Float64[np.ndarray, " m"] | None = None
    ) -> Float64[np.ndarray, " d"]:
        gradients = last_layer_gradients(
            self._gradient_model(), as_input(examples.x), torch.from_numpy(examples.y)
        )
        if weights is None or np.ptp(weights) == 0:
            return gradients.mean().flatten().double().numpy()
        shares = torch.from_numpy(weights / weights.sum())
        mean = gradients.combine(torch.arange(len(examples)), shares)
        return mean.flatten().double().numpy()
