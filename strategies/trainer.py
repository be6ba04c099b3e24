"""The trainer without the network: its data, its model, its judgement of what it is given."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from mycroft_fl.config import RunConfig
from mycroft_fl.errors import SettingError, suggestion
from mycroft_fl.examples import Examples
from mycroft_fl.hard_set import HardSet, Splits, find_hard_set, split_validation
from mycroft_fl.models.catalogue import build_model
from mycroft_fl.models.fitting import (
    AnyModel,
    FineTuneSettings,
    FitSettings,
    Source,
    accuracy,
    as_input,
    correct,
    fine_tune,
    fit,
    losses,
)
from mycroft_fl.models.networks import Classifier, build, is_network
from mycroft_fl.models.weights import loaded
from mycroft_fl.represent.gradients import last_layer_gradients
from mycroft_fl.scoring import Score, alignment, gain_with_interval
from mycroft_fl.seeds import derived_seed
from mycroft_fl.selection import method_named
from mycroft_fl.task import Task
from strategies.defences import copy_radii, is_copying
from strategies.rehearsal import rehearsed_feature_weight

log = logging.getLogger(__name__)

SHARES_TO_CHOOSE_FROM = (0.1, 0.25, 0.4)
HALVINGS = 50
VALUES_BEYOND_OWN = 100


@dataclass(frozen=True)
class TrainerData:
    """The trainer's own examples, and the weights it may start from. Test examples are not here."""

    train: Examples
    validation: Examples
    weights: Path | None = None


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
        self.gains: dict[str, np.ndarray] = {}  # of each scoring example, by owner, as last scored
        self.baseline = self._fitted(data.weights)
        self.hard_set = self._find_hard_set()

    @property
    def largest_value(self) -> float:
        """How large a value of an owner's example may be: far beyond the trainer's own, but finite."""
        return VALUES_BEYOND_OWN * float(np.abs(self.train.x).max())

    def hard_set_agreement(self) -> float:
        """How much two random halves of the sent hard set point the same way: a mean cosine.

        Near zero, the hard set is too small, or too mixed, to say what the model lacks.
        """
        hard = self.hard_set.sent
        gradients = last_layer_gradients(self.eyes, as_input(hard.x), torch.from_numpy(hard.y))
        rng = np.random.default_rng(self._seed("halves"))
        cosines = []
        for _ in range(HALVINGS if len(hard) > 1 else 0):
            order = torch.from_numpy(rng.permutation(len(hard)))
            halves = [gradients[half].mean().flatten() for half in order.tensor_split(2)]
            cosines.append(float(torch.cosine_similarity(halves[0], halves[1], dim=0)))
        return float(np.mean(cosines)) if cosines else 0.0

    @property
    def eyes_name(self) -> str:
        """The network through which gradients are seen: the model itself, or its stand-in."""
        return self.task.model if is_network(self.task.model) else self.config.proxy or "linear"

    @cached_property
    def eyes(self) -> Classifier:
        """That network, fitted: the baseline, or a stand-in fitted to the same examples."""
        if isinstance(self.baseline, Classifier):
            return self.baseline
        seed = self._seed("proxy")
        stand_in = build(self.eyes_name, self.task.shape, self.task.num_classes, seed=seed)
        return fit(stand_in, self.train, self.splits.tuning, self._fit_settings, seed=seed)

    @cached_property
    def control(self) -> AnyModel:
        """The same fine-tune on the trainer's own data alone."""
        return self._fine_tuned(None, hard=False)

    @cached_property
    def own_hard_set(self) -> AnyModel:
        """The same fine-tune with the sent hard examples and no owner: the rival that is free."""
        return self._fine_tuned(None, hard=True)

    @cached_property
    def feature_weight(self) -> float:
        """What features weigh beside gradients: as set, or by rehearsal where the method asks."""
        if self.config.feature_weight or not method_named(self.config.method).weighs_features:
            return self.config.feature_weight
        return rehearsed_feature_weight(self)

    def has_copied(self, answer: Examples) -> bool:
        """Whether an owner sends the hard set back instead of examples of its own."""
        return is_copying(answer, self.hard_set.sent, self._copy_radii)

    def could_be_real(self, answer: Examples) -> bool:
        """Whether rows of the task's table could have become these vectors; noise put on names shows."""
        table = self.task.table
        return table is None or bool(table.could_hold(answer.x).all())

    def improved(self, acquired: Examples | None, repeat: int = 0) -> AnyModel:
        """The baseline fine-tuned with all that was acquired, and with the hard set if so set.

        Another `repeat` draws other batches.
        """
        share = self._chosen_share(acquired) if acquired is not None else None
        hard = self.config.train_on_hard_set
        return self._fine_tuned(acquired, hard=hard, repeat=repeat, share=share)

    def scores(self, subsets: Mapping[str, Examples]) -> dict[str, Score]:
        """Each owner's worth: the gain on the scoring split from fine-tuning with its subset."""
        scoring = self.splits.scoring
        scores = {}
        for place, (owner, subset) in enumerate(sorted(subsets.items()), start=1):
            log.info("scoring owner %d of %d", place, len(subsets))
            with_subset = [
                correct(self._fine_tuned(subset, hard=self.shows_hard_set, repeat=repeat), scoring)
                for repeat in range(self.config.scoring_repeats)
            ]
            self.gains[owner] = np.mean(with_subset, axis=0) - self._without.mean(axis=0)
            scores[owner] = gain_with_interval(
                np.stack(with_subset),
                self._without,
                confidence=self.config.scoring_confidence,
                seed=self._seed("bootstrap", owner),
            )
        return scores

    def alignments(self, subsets: Mapping[str, Examples]) -> dict[str, float]:
        """The cheap score of each subset: a step along the kept hard examples' gradient."""
        scoring = self.splits.scoring
        kept = scoring[~correct(self.baseline, scoring)]
        if len(kept) == 0:
            return dict.fromkeys(subsets, 0.0)
        hard = self._mean_gradient(kept)
        return {
            owner: alignment(self._mean_gradient(subset), hard) if len(subset) else 0.0
            for owner, subset in subsets.items()
        }

    @cached_property
    def _copy_radii(self) -> np.ndarray:
        if self.task.table is not None:
            # Rows of tables lie close by nature (a flood of like packets): only equal ones are copies.
            return np.zeros(len(self.hard_set.sent))
        splits = self.splits
        parts = [self.train, splits.selection, splits.scoring, splits.tuning]
        return copy_radii(self.hard_set.sent, Examples.concatenate(parts))

    @property
    def shows_hard_set(self) -> bool:
        """Whether what owners can see a trace of may be trained on the hard set.

        Where a noised target stands in its place, scores by which owners are asked for more, and last
        layers that are sent, must know nothing else of it.
        """
        return self.config.train_on_hard_set and self.config.request == "hard-set"

    @cached_property
    def _without(self) -> np.ndarray:
        """Which scoring examples are right without any owner's subset, repeat by repeat."""
        return np.stack(
            [
                correct(
                    self._fine_tuned(None, hard=self.shows_hard_set, repeat=repeat),
                    self.splits.scoring,
                )
                for repeat in range(self.config.scoring_repeats)
            ]
        )

    def _fine_tuned(
        self,
        subset: Examples | None,
        *,
        hard: bool,
        repeat: int = 0,
        share: float | None = None,
    ) -> AnyModel:
        sources = [Source(self.train, 1.0)]
        if hard:
            sources.append(Source(self.hard_set.sent, self.config.hard_set_weight))
        if subset is not None and len(subset):
            sources.append(Source(subset, self._share(subset) if share is None else share))
        settings = FineTuneSettings(
            self.config.fine_tune_steps,
            self.config.fine_tune_batch_size,
            self.config.fine_tune_learning_rate,
        )
        start = self.baseline if self.config.fine_tune_from == "baseline" else self._fresh
        return fine_tune(start, sources, settings, seed=self._seed("fine-tune", repeat))

    def _share(self, subset: Examples) -> float:
        """The owners' share of a batch; full information is pooled, with the share of its size."""
        if method_named(self.config.method).everything:
            pooled = len(subset) / (len(subset) + len(self.train))
            return pooled * (1 - self.config.hard_set_weight * self.config.train_on_hard_set)
        return self.config.subset_weight or SHARES_TO_CHOOSE_FROM[1]

    def _chosen_share(self, subset: Examples) -> float:
        """The share as set, or the one that serves the tuning split best (of equals the least)."""
        if self.config.subset_weight or method_named(self.config.method).everything:
            return self._share(subset)
        reached = {
            share: accuracy(
                self._fine_tuned(subset, hard=self.config.train_on_hard_set, share=share),
                self.splits.tuning,
            )
            for share in SHARES_TO_CHOOSE_FROM
        }
        return max(reached, key=lambda share: (reached[share], -share))

    @cached_property
    def _fresh(self) -> AnyModel:
        """The model before it has seen anything, from which a retraining starts."""
        task, seed = self.task, self._seed("baseline")
        return build_model(task.model, task.shape, task.num_classes, seed=seed)

    def _fitted(self, weights: Path | None) -> AnyModel:
        seed, task = self._seed("baseline"), self.task
        model = build_model(task.model, task.shape, task.num_classes, seed=seed)
        if weights is not None:
            return loaded(model, weights)
        return fit(model, self.train, self.splits.tuning, self._fit_settings, seed=seed)

    @property
    def _fit_settings(self) -> FitSettings:
        config = self.config
        return FitSettings(config.fit_epochs, config.fit_batch_size, config.fit_learning_rate)

    def _find_hard_set(self) -> HardSet:
        selection = self.splits.selection
        return find_hard_set(
            selection,
            correct=correct(self.baseline, selection),
            loss=losses(self.baseline, selection),
            rule=self.config.hard_set_rule,
            sent=self.config.hard_set_sent,
            classes=self._hard_classes(),
        )

    def _hard_classes(self) -> frozenset[int]:
        names = [name.strip() for name in self.config.hard_set_classes.split(",") if name.strip()]
        for name in names:
            if name not in self.task.classes:
                hint = suggestion(name, list(self.task.classes))
                raise SettingError(f"hard-set.classes names the unknown class '{name}'{hint}")
        return frozenset(self.task.classes.index(name) for name in names)

    def _mean_gradient(self, examples: Examples) -> np.ndarray:
        gradients = last_layer_gradients(
            self.eyes, as_input(examples.x), torch.from_numpy(examples.y)
        )
        return gradients.mean().flatten().double().numpy()

    def _seed(self, *purpose: str | int) -> int:
        return derived_seed(self.config.seed, "trainer", *purpose)
