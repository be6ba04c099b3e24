"""The trainer's own examples as its last layer sees them, and their gradient there."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64

from mycroft_fl.examples import Examples
from mycroft_fl.models.fitting import as_input, as_tensor
from mycroft_fl.models.networks import Classifier
from mycroft_fl.represent.gradients.factors import GradientFactors
from mycroft_fl.represent.gradients.per_example import last_layer_gradients
from strategies.training.trainer import Trainer

Atoms = tuple[torch.Tensor, torch.Tensor]


class OwnInputs:
    """Inputs of the last layer of `model`, whose body no step changes, with their labels.

    Where owners must not see a trace of the hard set, only what knows nothing of it is looked at.
    """

    def __init__(self, trainer: Trainer, model: Classifier) -> None:
        self._trainer, self._model = trainer, model
        self._train = self.of(trainer.train)
        self._hard = self.of(trainer.hard_set.sent) if trainer.shows_hard_set else None

    def of(self, examples: Examples) -> Atoms:
        """Take examples as the last layer sees them."""
        y = as_tensor(examples.y)
        return last_layer_gradients(self._model, as_input(examples.x), y).inputs, y

    @property
    def lots(self) -> list[Float32[np.ndarray, "_m p"]]:
        """Inputs by which directions are found: all there are, and the hard set's by themselves."""
        lots = [np.concatenate([inputs.numpy() for inputs, _ in self._held()])]
        return lots if self._hard is None else [*lots, self._hard[0].numpy()]

    @property
    def classes(self) -> Bool[np.ndarray, " C"]:
        """Which classes there are examples of; all, where the hard set may not tell."""
        every, splits = np.arange(self._model.head.out_features), self._trainer.splits
        if self._hard is None:
            return np.ones(len(every), bool)
        held = (self._trainer.train, splits.selection, splits.tuning)
        return np.isin(every, np.concatenate([each.y for each in held]))

    def gradient(self) -> Float64[np.ndarray, " h"]:
        """Compute the mean gradient at the model's last layer; the hard set weighs as it does there."""
        own = self._mean(*self._train)
        if self._hard is None:
            return own
        weight = self._trainer.config.hard_set_weight
        mixed: np.ndarray = (1 - weight) * own + weight * self._mean(*self._hard)
        return mixed

    def _held(self) -> list[Atoms]:
        if self._hard is None:
            return [self._train]
        splits = self._trainer.splits
        return [self._train, self._hard, self.of(splits.selection), self.of(splits.tuning)]

    def _mean(self, inputs: torch.Tensor, y: torch.Tensor) -> np.ndarray:
        with torch.no_grad():
            delta = self._model.head(inputs).softmax(1)
            delta[torch.arange(len(y)), y] -= 1
        flat: np.ndarray = GradientFactors(delta, inputs).mean().flatten().double().numpy()
        return flat
