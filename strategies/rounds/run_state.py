"""The state of a run: what its rounds change, and what the next one starts from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float32

from mycroft_fl.models.fitting import AnyModel
from mycroft_fl.models.networks import Classifier
from mycroft_fl.models.weights import flat_weights
from mycroft_fl.protocol.messages import NoisedTarget, Request, Statistic
from mycroft_fl.selection.methods import Method, method_named, sent_in
from mycroft_fl.settings.run_config import RunConfig
from strategies.noised.steps import NoisedSteps
from strategies.rounds.scoreboard import Scoreboard
from strategies.training.trainer import Trainer


@dataclass
class Progress:
    """A trainer with its scoreboard, its model as it is now, the noised steps it has begun.

    With a `target`, owners are sent that in place of hard examples.
    """

    trainer: Trainer
    model: AnyModel
    scoreboard: Scoreboard = field(default_factory=Scoreboard)
    steps: NoisedSteps | None = None
    target: NoisedTarget | None = None

    @property
    def config(self) -> RunConfig:
        """The settings of the run."""
        return self.trainer.config

    @property
    def method(self) -> Method:
        """The method by which owners choose."""
        return method_named(self.config.method)

    def request(self, server_round: int, mode: str, k: int, **brings: Any) -> Request:
        """Build the request to an owner in this round: for up to `k` examples, or a noised answer.

        `brings` are fields of the request that only some modes have.
        """
        trainer, config = self.trainer, self.config
        sends = sent_in(config)
        through_trainer = mode != "raw" or (
            config.gradients_from == "trainer" and self._looks_through_model(sends)
        )
        hard = trainer.hard_set.sent
        return Request(
            server_round=server_round,
            k=k,
            hard=hard if sends == "hard-set" else hard[:0],
            num_classes=trainer.task.num_classes,
            model=trainer.gradient_model_name,
            weights=self._weights if through_trainer else None,
            seed=config.seed,
            mode=mode,
            target=self.target,
            detector=trainer.detector.detector if sends == "detector" else None,
            **config.selection(feature_weight=trainer.feature_weight),
            **brings,
        )

    def _looks_through_model(self, sends: str) -> bool:
        """Say whether owners choose through the trainer's model; a detector takes one where there is."""
        if sends == "detector":
            return isinstance(self.trainer.baseline, Classifier)
        return self.method.looks_through != "nothing" or self.config.feature_space == "model"

    @property
    def _weights(self) -> Float32[np.ndarray, " w"]:
        """Weights of what owners look through: the gradient model, or that of steps that have begun."""
        return self.steps.weights if self.steps else flat_weights(self.trainer.gradient_model)


@dataclass(frozen=True)
class Answers:
    """The answers of one round: who answered well, and the noised numbers among them."""

    owners: tuple[str, ...]
    statistics: Mapping[str, Statistic]
