"""The worth of owners' subsets to the trainer: by fine-tuning, or cheaply by one gradient."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64

from mycroft_fl.examples import Examples
from mycroft_fl.models.fitting import AnyModel, as_input, correct
from mycroft_fl.models.networks import Classifier
from mycroft_fl.represent.gradients.per_example import last_layer_gradients
from mycroft_fl.scoring import Score, alignment, gain_with_interval
from mycroft_fl.seeds import derived_seed
from mycroft_fl.settings.run_config import RunConfig
from strategies.training.cross_fitting import LARGEST_LOSS, Judge, Judged

log = logging.getLogger(__name__)


class Valuation:
    """Judges subsets on validation examples that nobody else sees.

    `gains` are of each judging example, by owner, as last scored.

    Args:
        scoring: the scoring split, whose failures the cheap score looks at.
        baseline: the model before anything was acquired; its failures are what an owner can mend.
        judge: judges what a subset leads to.
        repeats: how often, each time with other batches.
        by_loss: whether scores tell the fall in log-loss, by which owners are then ranked.
        gradient_model: gives the network through which the cheap score looks; called only for it.
        config: the run's settings.

    """

    def __init__(
        self,
        scoring: Examples,
        baseline: AnyModel,
        judge: Judge,
        gradient_model: Callable[[], Classifier],
        config: RunConfig,
        *,
        repeats: int,
        by_loss: bool = False,
    ) -> None:
        self._repeats = repeats
        self._scoring, self._baseline, self._judge = scoring, baseline, judge
        self._gradient_model, self._config, self._by_loss = gradient_model, config, by_loss
        self.gains: dict[str, Float[np.ndarray, " n"]] = {}

    def scores(self, subsets: Mapping[str, Examples]) -> dict[str, Score]:
        """Score each owner by the gain on judging examples from fine-tuning with its subset."""
        scores = {}
        for place, (owner, subset) in enumerate(sorted(subsets.items()), start=1):
            log.info("scoring owner %d of %d", place, len(subsets))
            scores[owner] = self._score(owner, self._judged(subset))
        return scores

    def _score(self, owner: str, judged: Sequence[Judged]) -> Score:
        confidence = self._config.scoring_confidence
        seed = derived_seed(self._config.seed, "trainer", "bootstrap", owner)
        right, before = _right(judged), _right(self._without)
        self.gains[owner] = right.mean(axis=0) - before.mean(axis=0)
        score = gain_with_interval(right, before, confidence=confidence, seed=seed)
        if not self._by_loss:
            return score
        fall = gain_with_interval(
            -_loss(judged), -_loss(self._without), confidence=confidence, seed=seed,
            most=LARGEST_LOSS,
        )  # fmt: skip
        return score.with_loss(fall)

    def alignments(self, subsets: Mapping[str, Examples]) -> dict[str, float]:
        """Score each subset cheaply, by a step along the kept hard examples' gradient."""
        kept = self._scoring[~correct(self._baseline, self._scoring)]
        if len(kept) == 0:
            return dict.fromkeys(subsets, 0.0)
        hard = self._mean_gradient(kept)
        return {
            owner: alignment(self._mean_gradient(subset), hard) if len(subset) else 0.0
            for owner, subset in subsets.items()
        }

    @cached_property
    def _without(self) -> list[Judged]:
        return self._judged(None)

    def _judged(self, subset: Examples | None) -> list[Judged]:
        """Judge what a subset leads to, repeat by repeat."""
        return [self._judge(subset, repeat) for repeat in range(self._repeats)]

    def _mean_gradient(self, examples: Examples) -> Float64[np.ndarray, " d"]:
        gradients = last_layer_gradients(
            self._gradient_model(), as_input(examples.x), torch.from_numpy(examples.y)
        )
        return gradients.mean().flatten().double().numpy()


def _right(judged: Sequence[Judged]) -> Bool[np.ndarray, "repeats n"]:
    return np.stack([each.right for each in judged])


def _loss(judged: Sequence[Judged]) -> Float[np.ndarray, "repeats n"]:
    return np.stack([each.loss for each in judged])
