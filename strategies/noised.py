"""What the trainer makes of noised answers: a score with its interval, steps of its last layer."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, Float64
from scipy import stats

from mycroft_fl.exchange import COUNT_WEIGHT, Statistic
from mycroft_fl.models.fitting import accuracy, as_input
from mycroft_fl.models.networks import Classifier
from mycroft_fl.models.weights import flat_head, load_head
from mycroft_fl.represent.factors import GradientFactors
from mycroft_fl.represent.gradients import last_layer_gradients
from mycroft_fl.scoring import Score
from strategies.trainer import Trainer

FARTHER = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Of the way that owners' own training went; none of it is always tried too."""
SETTLING = 20
"""Steps along the trainer's own gradient after that."""


def relevance_score(statistic: Statistic, confidence: float) -> Score:
    """An owner's mean relevance per record, 1 for as much as a hard example has, with its interval.

    The interval is the noise's alone: the sum is over all the owner holds, not over a sample.
    Divided by the noised count, since the true one is private.
    """
    total = float(statistic.values[0])
    records = max(float(statistic.counted().sum()), statistic.sigma, 1.0)
    half = float(stats.norm.ppf((1 + confidence) / 2)) * statistic.sigma
    return Score(total / records, (total - half) / records, (total + half) / records)


@dataclass(frozen=True, eq=False)
class StepsTaken:
    """All that steps are made of: how many useful records each owner counted, every last layer so far."""

    useful: Mapping[str, float]
    tried: tuple[Float32[np.ndarray, " h"], ...]


class NoisedSteps:
    """Gradient steps of the last layer, along the trainer's own gradient and owners' noised ones.

    `owners` are those whose score's lower bound is above zero; their sums are divided by how many
    useful records their noised scores counted. All that is done here is done to noised answers, and
    costs no privacy.
    """

    def __init__(self, trainer: Trainer, useful: Mapping[str, float]) -> None:
        self.owners = sorted(useful)
        self._trainer = trainer
        self._useful = dict(useful)
        self._model: Classifier = copy.deepcopy(trainer.eyes)
        self._own = self._atoms(trainer.train.x, trainer.train.y)
        hard = trainer.hard_set.sent
        self._hard = self._atoms(hard.x, hard.y)
        self._tried: list[Float32[np.ndarray, " h"]] = [self.head]
        self._before = self.head

    @classmethod
    def begun(
        cls, trainer: Trainer, statistics: Mapping[str, Statistic], scores: Mapping[str, Score]
    ) -> NoisedSteps | None:
        """Steps with the owners whose scores earn it; None where there are none."""
        useful = {
            owner: max(float(statistic.counted()[-1]), statistic.sigma / COUNT_WEIGHT)
            for owner, statistic in statistics.items()
            if owner in scores and scores[owner].low > 0
        }
        return cls(trainer, useful) if useful else None

    @classmethod
    def resumed(cls, trainer: Trainer, taken: StepsTaken) -> NoisedSteps:
        """Steps that go on where they stood."""
        steps = cls(trainer, taken.useful)
        steps._tried = list(taken.tried)
        load_head(steps._model, steps._tried[-1])
        steps._before = steps._tried[-2:][0]
        return steps

    @property
    def taken(self) -> StepsTaken:
        """What `resumed` makes the same steps of."""
        return StepsTaken(self._useful, tuple(self._tried))

    @property
    def head(self) -> Float32[np.ndarray, " h"]:
        """The last layer as it is now."""
        return flat_head(self._model)

    def step(self, statistics: Mapping[str, Statistic]) -> None:
        """One step; owners that did not answer in this round are left out of it."""
        config = self._trainer.config
        direction = self._own_direction()
        if statistics:
            total = np.sum([each.values for each in statistics.values()], axis=0)
            along = total / sum(self._useful[owner] for owner in statistics)
            share = config.gradient_share
            direction = (1 - share) * direction + share * along
        self._go(direction)

    @property
    def rate(self) -> float:
        """What DP-SGD is to move by a summed gradient, for steps along the mean of useful records."""
        mean = float(np.mean(list(self._useful.values())))
        return self._trainer.config.dp_sgd_learning_rate / mean

    def moved(self, deltas: Mapping[str, Statistic]) -> Classifier:
        """The last layer moved by the owners' mean, each counting by its useful records.

        From wherever that leads, a few steps along the trainer's own gradient bring back what the
        owners' records alone undid. How far, and how many steps, serves the tuning split best: how far
        is among `FARTHER`.
        """
        useful = sum(self._useful[owner] for owner in deltas)
        start = self.head.astype(np.float64)
        for farther in FARTHER if deltas else ():
            parts = [self._useful[owner] / useful * each.values for owner, each in deltas.items()]
            self._begin_at(start + farther * np.sum(parts, axis=0))
            for _ in range(SETTLING):
                self._go(self._own_direction())
        return self.best()

    def best(self) -> Classifier:
        """The model after the step that serves the tuning split best (of equals the last)."""
        tuning = self._trainer.splits.tuning
        model = copy.deepcopy(self._model)
        reached = []
        for head in self._tried:
            load_head(model, head)
            reached.append(accuracy(model, tuning))
        best = len(reached) - 1 - int(np.argmax(reached[::-1]))
        load_head(model, self._tried[best])
        return model

    def _begin_at(self, head: Float64[np.ndarray, " h"]) -> None:
        load_head(self._model, head.astype(np.float32))
        self._before = self.head
        self._tried.append(self.head)

    def _go(self, direction: Float64[np.ndarray, " h"]) -> None:
        """One step with momentum, which is taken from the last layers alone: they are all that is kept."""
        config, head = self._trainer.config, self.head.astype(np.float64)
        repeated = config.gradient_momentum * (head - self._before)
        self._before = self.head
        stepped = head + repeated - config.gradient_learning_rate * direction
        load_head(self._model, stepped.astype(np.float32))
        self._tried.append(self.head)

    def _atoms(self, x: np.ndarray, y: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        inputs = last_layer_gradients(self._model, as_input(x), torch.from_numpy(y)).inputs
        return inputs, torch.from_numpy(y)

    def _own_direction(self) -> np.ndarray:
        weight = self._trainer.config.hard_set_weight
        own = self._mean(*self._own)
        if not self._trainer.shows_hard_set:
            return own
        mixed: np.ndarray = (1 - weight) * own + weight * self._mean(*self._hard)
        return mixed

    def _mean(self, inputs: torch.Tensor, y: torch.Tensor) -> np.ndarray:
        """The mean gradient by the last layer, from inputs that no step changes."""
        with torch.no_grad():
            delta = self._model.head(inputs).softmax(1)
            delta[torch.arange(len(y)), y] -= 1
        flat: np.ndarray = GradientFactors(delta, inputs).mean().flatten().double().numpy()
        return flat
