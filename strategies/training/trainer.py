"""The trainer without the network: its data, its models, and how it improves them."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from mycroft_fl.data.task import Task
from mycroft_fl.errors import SettingError, suggestion
from mycroft_fl.examples import Examples
from mycroft_fl.hard_set import HardSet, Splits, find_hard_set, split_validation
from mycroft_fl.metrics.metric import Metric
from mycroft_fl.models.fitting import (
    AnyModel,
    FitSettings,
    as_input,
    as_tensor,
    fit,
    judged,
    losses,
    predict,
    probabilities,
)
from mycroft_fl.models.networks import Classifier, build, is_network
from mycroft_fl.models.weights import loaded
from mycroft_fl.represent.gradients.per_example import last_layer_gradients
from mycroft_fl.seeds import derived_seed
from mycroft_fl.selection.detector import Rehearsed
from mycroft_fl.selection.methods import method_named, sent_in
from mycroft_fl.settings.own_names import is_own
from mycroft_fl.settings.run_config import RunConfig
from strategies.training.built import built
from strategies.training.cross_fitting import FOLDS
from strategies.training.everything import BASELINE, Everything, FinalModel, FreeRival
from strategies.training.evidence import Outputs
from strategies.training.feature_weight import tuned_feature_weight
from strategies.training.fine_tuning import FineTuning
from strategies.training.knowledge import Knowledge
from strategies.training.valuation import Valuation

HALVINGS = 50
FREE_TO_CHANGE = ("timeout", "min-owners", "train-on-validation", "harm-at-most")
"""Settings that may differ when a run is resumed: they change no request and no score."""


@dataclass(frozen=True)
class TrainerData:
    """The trainer's own examples, and the weights it may start from. Test examples are not here.

    With `as_it_stands` the model is one in memory that is fitted already.
    """

    train: Examples
    validation: Examples
    weights: Path | None = None
    as_it_stands: bool = False


class Trainer:
    """A trainer whose model fails somewhere.

    The baseline depends on the data and the seed only, never on the method. All that is drawn at
    random takes its seed from the purpose, so that two methods are compared on equal luck.
    """

    def __init__(self, task: Task, data: TrainerData, config: RunConfig) -> None:
        self.since = time.monotonic()
        self.task = task
        self.config = config
        self.train = data.train
        self.splits: Splits = split_validation(
            data.validation,
            selection=config.split_selection,
            scoring=config.split_scoring,
            seed=self._seed("split"),
        )
        self.metric = Metric.chosen(config.metric, task.classes, self._told.y)
        self.baseline = self._fitted(data)
        self.hard_set = self._find_hard_set()

    @property
    def _told(self) -> Examples:
        """The validation examples that the metric may follow.

        Not those of the scoring split, where scores are published: they hide a record of it only if
        nothing else that is seen knows of it.
        """
        splits = self.splits
        if self.config.publish_epsilon:
            return Examples.concatenate([splits.selection, splits.tuning])
        return Examples.concatenate([splits.not_tuning, splits.tuning])

    def hard_set_agreement(self) -> float:
        """Compute how much two random halves of the sent hard set point the same way: a mean cosine.

        Near zero, the hard set is too small, or too mixed, to say what the model lacks.
        """
        hard = self.hard_set.sent
        gradients = last_layer_gradients(self.gradient_model, as_input(hard.x), as_tensor(hard.y))
        rng = np.random.default_rng(self._seed("halves"))
        cosines = []
        for _ in range(HALVINGS if len(hard) > 1 else 0):
            order = torch.from_numpy(rng.permutation(len(hard)))
            halves = [gradients[half].mean().flatten() for half in order.tensor_split(2)]
            cosines.append(float(torch.cosine_similarity(halves[0], halves[1], dim=0)))
        return float(np.mean(cosines)) if cosines else 0.0

    def fingerprint(self) -> str:
        """Name the run this trainer is of, by its settings, task, data and splits.

        A run is resumed only by a trainer of the same fingerprint.
        """
        settings = {k: v for k, v in self.config.settings().items() if k not in FREE_TO_CHANGE}
        task, splits = self.task, self.splits
        parts = [settings, list(task.classes), list(task.shape), str(task.dtype), task.model]
        costs = self.metric.costs
        parts += [] if costs is None else [costs.tolist()]
        hasher = hashlib.sha256(json.dumps(parts, sort_keys=True).encode())
        for part in (self.train, splits.selection, splits.scoring, splits.tuning):
            hasher.update(part.ids.tobytes() + part.y.tobytes())
        return hasher.hexdigest()

    @property
    def gradient_model_name(self) -> str:
        """The network through which gradients are seen: the model itself, or its stand-in.

        A stand-in for a network of one's own where a proxy is set, or owners fit theirs: they may
        not have its code.
        """
        model, config = self.task.model, self.config
        if is_own(model) and (config.proxy or config.gradients_from == "owner"):
            return config.proxy or "linear"
        return model if is_network(model) else config.proxy or "linear"

    @cached_property
    def gradient_model(self) -> Classifier:
        """That network, fitted: the baseline, or a stand-in fitted to the same examples."""
        if isinstance(self.baseline, Classifier) and self.gradient_model_name == self.task.model:
            return self.baseline
        seed = self._seed("proxy")
        stand_in = build(
            self.gradient_model_name, self.task.shape, self.task.num_classes, seed=seed
        )
        return fit(stand_in, self.train, self.splits.tuning, self._fit_settings, seed=seed)

    @property
    def fine_tuning(self) -> FineTuning:
        """The way in which every model after the baseline comes about."""
        start = self.baseline if self.config.fine_tune_from == "baseline" else self._fresh
        return FineTuning(start, self.train, self.hard_set.sent, self.config)

    @cached_property
    def valuation(self) -> Valuation:
        """The judge of owners' subsets."""
        crossed = self._scores_by_all
        return Valuation(
            self.splits.scoring,
            self.baseline,
            self.knowledge.cross_fitting.judge if crossed else self._judged_on_scoring,
            lambda: self.gradient_model,
            self.config,
            self.metric,
            judging=self.knowledge.validation if crossed else self.splits.scoring,
            repeats=-(-self.config.scoring_repeats // FOLDS)
            if crossed
            else self.config.scoring_repeats,
            by_loss=crossed,
        )

    @cached_property
    def control(self) -> AnyModel:
        """The same fine-tune on the trainer's own data alone."""
        return self.fine_tuning.on(None, hard=False)

    @cached_property
    def own_hard_set(self) -> AnyModel:
        """The same fine-tune with the sent hard examples and no owner."""
        return self.fine_tuning.on(None, hard=True)

    @cached_property
    def knowledge(self) -> Knowledge:
        """All that follows from the trainer's own data."""
        return Knowledge(
            (self.baseline, self.task.model), self.fine_tuning.start, self.train, self.splits,
            self.config, self.metric,
        )  # fmt: skip

    @property
    def everything(self) -> Everything:
        """Fine-tunes on all that the trainer holds but its tuning split."""
        return self.knowledge.everything

    @cached_property
    def detector(self) -> Rehearsed:
        """The detector of failures. `DataError` where the model fails on fewer than two examples."""
        return self.knowledge.detector(self.task.num_classes, self._hard_classes())

    @cached_property
    def free(self) -> FreeRival:
        """The strongest model that the trainer can have without any owner."""
        return self.everything.free(
            {BASELINE: self.baseline, "control": self.control, "own hard set": self.own_hard_set}
        )

    def final(self, acquired: Examples | None, repeat: int = 0) -> FinalModel:
        """Fine-tune on all that is known and acquired; as in a round where that is not wanted.

        No owner sees a trace of this model. Another `repeat` draws other batches.
        """
        if not self._trains_on_validation:
            return FinalModel("last round", self.improved(acquired, repeat))
        return self.everything.with_acquired(acquired, self.free, repeat)

    def kept(self, model: AnyModel) -> FinalModel:
        """Keep a model that owners had a part in, or take the free one where tuning prefers it."""
        if not self._trains_on_validation:
            return FinalModel("last round", model)
        return self.everything.better_of([model], self.free)

    @property
    def _trains_on_validation(self) -> bool:
        return self.config.train_on_hard_set and self.config.train_on_validation

    @cached_property
    def feature_weight(self) -> float:
        """Weight of features beside gradients: as set, or tuned where the method asks."""
        if self.config.feature_weight or not method_named(self.config.method).weighs_features:
            return self.config.feature_weight
        return self.tuned_feature_weight()

    def tuned_feature_weight(self) -> float:
        """Tune the feature weight on the trainer's own selection and tuning splits."""

        def reached(picked: Examples) -> float:
            return judged(self.improved(picked), self.splits.tuning, self.metric)

        return tuned_feature_weight(
            self.hard_set.sent, self.splits.selection, self.gradient_model, self.config, reached
        )

    def improved(self, acquired: Examples | None, repeat: int = 0) -> AnyModel:
        """Fine-tune the baseline with all that was acquired, and with the hard set if so set.

        Another `repeat` draws other batches.
        """
        share = None
        if acquired is not None:
            share = self.fine_tuning.best_share(acquired, self.splits.tuning, self.metric)
        hard = self.config.train_on_hard_set
        return self.fine_tuning.on(acquired, hard=hard, repeat=repeat, share=share)

    @property
    def _scores_by_all(self) -> bool:
        """Whether all validation examples but tuning's judge owners, each in its turn.

        Not where owners, or whoever reads published scores, must learn nothing of the others.
        """
        hidden = self.config.publish_epsilon > 0 or not self.shows_hard_set
        return self._trains_on_validation and not hidden

    def _judged_on_scoring(self, subset: Examples | None, repeat: int) -> Outputs:
        model = self.fine_tuning.on(subset, hard=self.shows_hard_set, repeat=repeat)
        return probabilities(model, self.splits.scoring)

    @property
    def shows_hard_set(self) -> bool:
        """Whether what owners can see a trace of may be trained on the hard set.

        Where a noised target stands in its place, scores by which owners are asked for more, and last
        layers that are sent, must know nothing else of it.
        """
        return self.config.train_on_hard_set and sent_in(self.config) != "target"

    @cached_property
    def _fresh(self) -> AnyModel:
        """The model before it has seen anything, from which a retraining starts."""
        return built(self.task, seed=self._seed("baseline"))

    def _fitted(self, data: TrainerData) -> AnyModel:
        seed = self._seed("baseline")
        model = built(self.task, seed=seed)
        if data.weights is not None:
            return loaded(model, data.weights)
        if data.as_it_stands:
            return model
        return fit(model, self.train, self.splits.tuning, self._fit_settings, seed=seed)

    @property
    def _fit_settings(self) -> FitSettings:
        config = self.config
        return FitSettings(config.fit_epochs, config.fit_batch_size, config.fit_learning_rate)

    def _find_hard_set(self) -> HardSet:
        selection, metric = self.splits.selection, self.metric
        answers = predict(self.baseline, selection.x)
        return find_hard_set(
            selection,
            correct=answers == selection.y,
            loss=losses(self.baseline, selection),
            rule=self.config.hard_set_rule,
            sent=self.config.hard_set_sent,
            classes=self._hard_classes(),
            lost=None if metric.is_accuracy else metric.lost(selection.y, answers),
        )

    def _hard_classes(self) -> frozenset[int]:
        """Find the only classes that may be hard: as set, else the one whose recall counts, else all."""
        if not self.config.hard_set_classes.strip() and self.metric.label is not None:
            return frozenset({self.metric.label})
        names = [name.strip() for name in self.config.hard_set_classes.split(",") if name.strip()]
        for name in names:
            if name not in self.task.classes:
                hint = suggestion(name, list(self.task.classes))
                raise SettingError(f"hard-set.classes names the unknown class '{name}'{hint}")
        return frozenset(self.task.classes.index(name) for name in names)

    def _seed(self, *purpose: str | int) -> int:
        return derived_seed(self.config.seed, "trainer", *purpose)
