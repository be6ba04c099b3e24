"""The evidence for a model that knows more than the baseline: all that a trainer has to judge it by."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property

import numpy as np
from jaxtyping import Float64, Int64

from mycroft_fl.examples import Examples
from mycroft_fl.metrics.metric import Metric
from mycroft_fl.models.fitting import AnyModel, probabilities

Outputs = Float64[np.ndarray, "n C"]
"""The probability of each class, for each judging example."""
Judge = Callable[[Examples | None, int], Outputs]
"""Gives what an owner's subset, or none, leads to on judging examples; another repeat draws other batches."""
DOUBT = 0.5
"""How many standard errors speak against training on failures, which the trainer's task is to mend."""


class Evidence:
    """Judges models on the tuning split, and what they were made of on the other validation examples.

    Those are trained on, so a fold's model that has not seen an example stands for the model in
    question. Together they are about three times as many as the tuning split has.

    Args:
        baseline: The model to be better than. It has seen none of these examples.
        validation: Validation examples that are trained on.
        tuning: Examples that are not.
        judge: Gives outputs on `validation` after a cross-fitted fine-tune with a subset, or none.
        metric: What is compared.

    """

    def __init__(
        self,
        baseline: AnyModel,
        validation: Examples,
        tuning: Examples,
        judge: Judge,
        metric: Metric,
    ) -> None:
        self._baseline, self._validation, self._tuning = baseline, validation, tuning
        self._judge, self._metric = judge, metric

    def speaks_for(self, model: AnyModel, acquired: Examples | None = None) -> bool:
        """Say whether a model is better than the baseline; an equal one is not.

        Args:
            model: Fine-tuned on everything and on what was acquired.
            acquired: What it was fine-tuned on beside what the trainer holds.

        """
        return self._gain(self._outputs(model, acquired)) > 0

    def speaks_against(self, model: AnyModel) -> bool:
        """Say whether a model of everything that the trainer holds is worse, by `DOUBT` standard errors."""
        outputs = self._outputs(model, None)
        differs = self._right(outputs) - self._right(self._before)
        error = float(differs.std()) / math.sqrt(len(differs))
        return self._gain(outputs) < -DOUBT * error

    @cached_property
    def _without(self) -> Outputs:
        return self._judge(None, 0)

    @cached_property
    def _before(self) -> Outputs:
        parts = [probabilities(self._baseline, each) for each in (self._tuning, self._validation)]
        return np.concatenate(parts)

    def _outputs(self, model: AnyModel, acquired: Examples | None) -> Outputs:
        folds = self._without if acquired is None else self._judge(acquired, 0)
        return np.concatenate([probabilities(model, self._tuning), folds])

    def _gain(self, outputs: Outputs) -> float:
        value = self._metric.on(self._labels).value
        return value(outputs) - value(self._before)

    def _right(self, outputs: Outputs) -> Float64[np.ndarray, " n"]:
        return np.asarray(outputs.argmax(axis=1) == self._labels, np.float64)

    @property
    def _labels(self) -> Int64[np.ndarray, " n"]:
        return np.concatenate([self._tuning.y, self._validation.y])
