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
from mycroft_fl.models.fitting import AnyModel, as_input, as_tensor, predict
from mycroft_fl.models.networks import Classifier
from mycroft_fl.represent.gradients.per_example import last_layer_gradients
from mycroft_fl.scoring import Score, alignment, gain_with_interval
from mycroft_fl.seeds import derived_seed
from mycroft_fl.settings.run_config import RunConfig
from strategies.training.evidence import Judge

log = logging.getLogger(__name__)

LARGEST_LOSS = 5.0
"""No example's loss counts for more, in nats: a fine-tuned network can be sure and wrong."""


class Valuation:
    """Judges subsets on validation examples that nobody else sees.

    `gains` are in accuracy, whatever the metric, of each judging example, by owner, as last scored:
    noise for publication is made for gains from -1 to 1.

    Args:
        scoring: the scoring split, whose failures the cheap score looks at.
        baseline: the model before anything was acquired; its failures are what an owner can mend.
        judge: gives the judging examples' probabilities after a fine-tune with a subset.
        gradient_model: gives the network through which the cheap score looks; called only for it.
        config: the run's settings.
        metric: what a gain is in.
        judging: the examples that judge.
        repeats: how often each is judged, every time with other batches.
        by_loss: whether scores tell the fall in log-loss, by which owners are then ranked.

    """

    def __init__(
        self,
        scoring: Examples,
        baseline: AnyModel,
        judge: Judge,
        gradient_model: Callable[[], Classifier],
        config: RunConfig,
        metric: Metric = ACCURATE,
        *,
        judging: Examples,
        repeats: int,
        by_loss: bool = False,
    ) -> None:
        self._scoring, self._baseline = scoring, baseline
        self._judge, self._y, self._repeats = judge, judging.y, repeats
        self._gradient_model, self._config = gradient_model, config
        self._metric, self._by_loss = metric, by_loss
        self.gains: dict[str, Float[np.ndarray, " n"]] = {}

    def scores(self, subsets: Mapping[str, Examples]) -> dict[str, Score]:
        """Score each owner by the gain on judging examples from fine-tuning with its subset."""
        scores = {}
        for place, (owner, subset) in enumerate(sorted(subsets.items()), start=1):
            log.info("scoring owner %d of %d", place, len(subsets))
            scores[owner] = self._score(owner, self._outputs_with(subset))
        return scores

    def _score(self, owner: str, outputs: Float64[np.ndarray, "repeats n C"]) -> Score:
        config = self._config
        seed = derived_seed(config.seed, "trainer", "bootstrap", owner)
        self.gains[owner] = self._right(outputs) - self._right(self._without)
        score = gain_with_interval(
            outputs,
            self._without,
            metric=self._metric.on(self._y),
            confidence=config.scoring_confidence,
            seed=seed,
        )
        return score.with_loss(self._fall(outputs, seed)) if self._by_loss else score

    def helps_together(self, acquired: Examples | None) -> bool:
        """Say whether all that was acquired helps beyond doubt, by the fall in log-loss.

        Of a dozen examples each none may be clear, and of all together it is. Where owners are judged
        by accuracy, it is not asked.
        """
        if not self._by_loss or acquired is None or not len(acquired):
            return False
        seed = derived_seed(self._config.seed, "trainer", "bootstrap together")
        return self._fall(self._outputs_with(acquired), seed).low > 0

    def _fall(self, outputs: Float64[np.ndarray, "repeats n C"], seed: int) -> Score:
        """Compute the fall in log-loss, with its interval."""
        return gain_with_interval(
            self._likelihood(outputs),
            self._likelihood(self._without),
            confidence=self._config.scoring_confidence,
            seed=seed,
            most=LARGEST_LOSS,
        )

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
        """Give the judging examples' probabilities after a fine-tune with a subset, repeat by repeat."""
        return np.stack([self._judge(subset, repeat) for repeat in range(self._repeats)])

    def _right(self, outputs: Float64[np.ndarray, "repeats n C"]) -> Float64[np.ndarray, " n"]:
        """Give the share of repeats in which each judging example is right."""
        right: np.ndarray = (outputs.argmax(axis=2) == self._y).mean(axis=0)
        return right

    def _likelihood(
        self, outputs: Float64[np.ndarray, "repeats n C"]
    ) -> Float64[np.ndarray, "repeats n"]:
        """Give the log-likelihood of each judging example's label, cut off from below."""
        likely = np.nan_to_num(outputs[:, np.arange(len(self._y)), self._y])
        logs: np.ndarray = np.log(np.maximum(likely, np.exp(-LARGEST_LOSS)))
        return logs

    def _mean_gradient(
        self, examples: Examples, weights: Float64[np.ndarray, " m"] | None = None
    ) -> Float64[np.ndarray, " d"]:
        gradients = last_layer_gradients(
            self._gradient_model(), as_input(examples.x), as_tensor(examples.y)
        )
        if weights is None or np.ptp(weights) == 0:
            return gradients.mean().flatten().double().numpy()
        shares = torch.from_numpy(weights / weights.sum())
        mean = gradients.combine(torch.arange(len(examples)), shares)
        return mean.flatten().double().numpy()
