"""The use of noised answers: a score with its interval, steps of the trainer's last layer."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, Float64
from scipy import stats

from mycroft_fl.errors import BadMessage
from mycroft_fl.models.networks import Classifier
from mycroft_fl.models.weights import flat_head, flat_weights, load_head
from mycroft_fl.privacy.relevance.hard_set_target import Target
from mycroft_fl.protocol.messages import COUNT_WEIGHT, Statistic
from mycroft_fl.scoring import MOST, Score
from strategies.noised.shrinkage import Shrinkage, shrunk
from strategies.noised.trainer_gradient import OwnInputs
from strategies.noised.whitening import Whitening
from strategies.training.trainer import Trainer

FARTHER = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Shares of the way that owners' own training went; 0 is always tried too."""
WALKING_RATE, WALKING_MOMENTUM = 0.15, 0.9
WALKING, SETTLING = 20, 20
"""Steps that lead there, each along the trainer's own gradient too, and steps along that alone after them."""


def relevance_score(
    statistic: Statistic, confidence: float, weights: Float64[np.ndarray, " s"] | None = None
) -> Score:
    """Compute an owner's mean relevance per record, 1 for that of a hard example, with its interval.

    The interval is the noise's alone: the sum is over all the owner holds, not over a sample.
    Divided by the noised count, since the true one is private. Of a score by class `weights` say
    what each class's sum counts for.
    """
    sums = statistic.relevance()
    weights = np.ones(len(sums)) if weights is None else weights
    total, sigma = float(sums @ weights), statistic.sigma * float(np.linalg.norm(weights))
    records = max(float(statistic.counted().sum()), statistic.sigma, 1.0)
    half = float(stats.norm.ppf((1 + confidence) / 2)) * sigma
    return Score.within(MOST, total / records, (total - half) / records, (total + half) / records)


@dataclass(frozen=True, eq=False)
class StepsTaken:
    """All that steps are made of: how many useful records each owner counted, every last layer so far.

    The noised gradients so far, the latest counting most, with the variance of their noise; and the
    whitening by which they are found: found anew elsewhere, a direction could have another sign.
    """

    useful: Mapping[str, float]
    tried: tuple[Float32[np.ndarray, " h"], ...]
    noised: Float64[np.ndarray, " C_times_q"]
    variance: float
    whitening: Whitening


class NoisedSteps:
    """Gradient steps of the last layer, along the trainer's own gradient and owners' noised ones.

    `owners` are those whose score's lower bound is above zero; their sums are divided by how many
    useful records their noised scores counted. Gradients are in the coordinates of `whitening`.
    Steps begin at `start`: unless given, the trainer's model after the fine-tune with its own hard
    set, which is free. All that is done here is done to noised answers, and costs no privacy.
    """

    def __init__(
        self,
        trainer: Trainer,
        useful: Mapping[str, float],
        start: Classifier | None = None,
        whitening: Whitening | None = None,
    ) -> None:
        self.owners = sorted(useful)
        self._trainer = trainer
        self._useful = dict(useful)
        self._model: Classifier = copy.deepcopy(start or _beginning(trainer))
        self.weights = flat_weights(_with_first_head(self._model, trainer))
        self._own = OwnInputs(trainer, self._model)
        self.whitening = whitening or Whitening.of(self._own.lots)
        self._tried: list[Float32[np.ndarray, " h"]] = [self.head]
        self._velocity = np.zeros(self.head.size)
        self._noised, self._variance = np.zeros(self.values), 0.0

    @classmethod
    def begun(
        cls, trainer: Trainer, statistics: Mapping[str, Statistic], scores: Mapping[str, Score]
    ) -> NoisedSteps | None:
        """Begin steps with the owners whose scores earn it; None where there are none."""
        useful = {
            owner: max(float(statistic.counted()[-1]), statistic.sigma / COUNT_WEIGHT)
            for owner, statistic in statistics.items()
            if owner in scores and scores[owner].low > 0
        }
        return cls(trainer, useful) if useful else None

    @classmethod
    def resumed(cls, trainer: Trainer, taken: StepsTaken) -> NoisedSteps:
        """Resume steps where they stood."""
        steps = cls(trainer, taken.useful, whitening=taken.whitening)
        # The same sums in the same order: the velocity comes out to the last bit.
        for head in taken.tried[:-1]:
            load_head(steps._model, head)
            steps._speed_up(trainer.config.gradient_momentum)
        load_head(steps._model, taken.tried[-1])
        steps._tried = list(taken.tried)
        steps._noised, steps._variance = taken.noised, taken.variance
        return steps

    @property
    def taken(self) -> StepsTaken:
        """The state from which `resumed` makes the same steps."""
        tried, there = tuple(self._tried), self.whitening
        return StepsTaken(self._useful, tried, self._noised, self._variance, there)

    @property
    def head(self) -> Float32[np.ndarray, " h"]:
        """The last layer as it is now."""
        return flat_head(self._model)

    @property
    def values(self) -> int:
        """Length of a noised gradient: a number a class for each direction."""
        return self._model.head.out_features * len(self.whitening.matrix)

    def step(self, statistics: Mapping[str, Statistic]) -> None:
        """Take one step; owners that did not answer in this round are left out of it."""
        config = self._trainer.config
        self._noised = config.gradient_momentum * self._noised
        self._variance *= config.gradient_momentum**2
        if statistics:
            useful = sum(self._useful[owner] for owner in statistics)
            total = np.sum([each.values for each in statistics.values()], axis=0)
            self._noised = self._noised + total / useful
            self._variance += sum(each.sigma**2 for each in statistics.values()) / useful**2
        self._speed_up(config.gradient_momentum)
        along = shrunk(self._noised, self._variance, self._own.classes)
        mixed = self.whitening.coordinates(self._velocity) + config.gradient_weight * along
        self._move(config.gradient_learning_rate * self.whitening.step(mixed))

    @property
    def rate(self) -> float:
        """Factor of DP-SGD on a summed gradient, for steps along the mean of useful records."""
        mean = float(np.mean(list(self._useful.values())))
        return self._trainer.config.dp_sgd_learning_rate / mean

    def moved(self, deltas: Mapping[str, Statistic]) -> Classifier:
        """Move the last layer by the owners' mean, each counting by its useful records.

        Step by step, each along the trainer's own gradient as well, and a few more along that alone
        bring back what the owners' records alone undid. How far, and how many steps, serves the tuning
        split best: how far is among `FARTHER`.
        """
        useful = sum(self._useful[owner] for owner in deltas)
        start = self.head.astype(np.float64)
        shares = {owner: self._useful[owner] / useful for owner in deltas}
        denoised = Shrinkage(self._own.lots, self._own.classes)
        variance = sum((shares[owner] * each.sigma) ** 2 for owner, each in deltas.items())
        for farther in FARTHER if deltas else ():
            mean = np.sum([shares[owner] * each.values for owner, each in deltas.items()], axis=0)
            along = farther * denoised(mean, variance) / WALKING
            self._begin_at(start)
            for step in range(WALKING + SETTLING):
                self._speed_up(WALKING_MOMENTUM)
                self._move(WALKING_RATE * self._velocity - (along if step < WALKING else 0.0))
        return self.best()

    def best(self) -> Classifier:
        """Return the model after the step that serves the tuning split best (of equals the last)."""
        tuning = self._trainer.splits.tuning
        inputs = self._own.of(tuning)[0]
        model = copy.deepcopy(self._model)
        reached = []
        for head in self._tried:
            load_head(model, head)
            with torch.no_grad():
                guessed = model.head(inputs).double().softmax(1).numpy()
            reached.append(self._trainer.metric.value(tuning.y, guessed))
        best = len(reached) - 1 - int(np.argmax(reached[::-1]))
        load_head(model, self._tried[best])
        return model

    def _begin_at(self, head: Float64[np.ndarray, " h"]) -> None:
        load_head(self._model, head.astype(np.float32))
        self._velocity = np.zeros(head.size)
        self._tried.append(self.head)

    def _speed_up(self, momentum: float) -> None:
        """Add to the velocity the trainer's own gradient at the last layer as it is."""
        self._velocity = momentum * self._velocity + self._own.gradient()

    def _move(self, step: Float64[np.ndarray, " h"]) -> None:
        """Move one step against `step`."""
        load_head(self._model, (self.head - step).astype(np.float32))
        self._tried.append(self.head)


def _beginning(trainer: Trainer) -> Classifier:
    """Return the model fine-tuned with the own hard set; the gradient model where that would not do.

    Owners see a trace of it, and look through its body with the first last layer: where the hard set
    says nothing there, nothing would be relevant to it.
    """
    own = trainer.own_hard_set
    tuned = trainer.shows_hard_set and trainer.config.fine_tune_from == "baseline"
    if not tuned or not isinstance(own, Classifier):
        return trainer.gradient_model
    try:
        Target.of(_with_first_head(own, trainer), trainer.hard_set.sent)
    except BadMessage:
        return trainer.gradient_model
    return own


def _with_first_head(model: Classifier, trainer: Trainer) -> Classifier:
    """Give `model` the last layer that fails on the hard set, by which relevance is judged."""
    through = copy.deepcopy(model)
    load_head(through, flat_head(trainer.gradient_model))
    return through
