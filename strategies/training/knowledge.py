"""The knowledge that a trainer has of its failures, before any owner has told it anything."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from jaxtyping import Bool

from mycroft_fl.examples import Examples
from mycroft_fl.hard_set import Splits
from mycroft_fl.metrics.metric import Metric
from mycroft_fl.models.fitting import AnyModel, correct
from mycroft_fl.seeds import derived_seed
from mycroft_fl.selection.detector import Rehearsed
from mycroft_fl.settings.own_names import is_own
from mycroft_fl.settings.run_config import RunConfig
from strategies.training.cross_fitting import CrossFitting
from strategies.training.detection import FeatureSpace, learnt_detector
from strategies.training.everything import Everything
from strategies.training.evidence import Evidence
from strategies.training.failing_groups import FailingGroup, failing_groups
from strategies.training.suspects import suspects


class Knowledge:
    """All that follows from a trainer's data, its baseline and its settings alone; each made once.

    Args:
        model: The baseline, and what its architecture is called.
        start: The model that fine-tunes begin with.
        train: The trainer's own data.
        splits: Its validation examples.
        config: The run's settings.
        metric: What models are chosen by.

    """

    def __init__(
        self,
        model: tuple[AnyModel, str],
        start: AnyModel,
        train: Examples,
        splits: Splits,
        config: RunConfig,
        metric: Metric,
    ) -> None:
        self._baseline, self._name = model
        self._start, self._train, self._splits = start, train, splits
        self._config, self._metric = config, metric

    @cached_property
    def suspects(self) -> Bool[np.ndarray, " n"]:
        """Which validation examples but tuning's have labels that look wrong."""
        return suspects(self._space, self._train, self._splits.not_tuning)

    @cached_property
    def validation(self) -> Examples:
        """All validation examples but tuning's, without those whose labels look wrong."""
        return self._splits.not_tuning[~self.suspects]

    @cached_property
    def everything(self) -> Everything:
        """Fine-tunes on all that the trainer holds but its tuning split."""
        judge, tuning = self.cross_fitting.judge, self._splits.tuning
        evidence = Evidence(self._baseline, self.validation, tuning, judge, self._metric)
        return self._everything_of(self.validation, evidence)

    @cached_property
    def cross_fitting(self) -> CrossFitting:
        """Fine-tunes on everything but a fold, judged on that fold."""
        wrong = ~correct(self._baseline, self.validation)
        return CrossFitting(self.validation, wrong, self._everything_of, self._seed("folds"))

    def detector(self, num_classes: int, hard_classes: frozenset[int]) -> Rehearsed:
        """Learn the detector of failures from all that the trainer may tell of.

        `DataError` where the model fails on fewer than two examples.

        Args:
            num_classes: Number of labels.
            hard_classes: Only these classes' failures count; empty: all.
        """
        # Published scores hide a record of the scoring split only if nothing else knows of it.
        hides = self._config.publish_epsilon > 0
        return learnt_detector(
            self._shown_space,
            self._train,
            self._splits.selection if hides else self.validation,
            num_classes=num_classes,
            hard_classes=hard_classes,
            seed=self._seed("detector"),
        )

    @cached_property
    def failing(self) -> list[FailingGroup]:
        """The groups of the baseline's failures. For the trainer's own eyes: owners see no trace of them."""
        return failing_groups(self._space, self.validation, self._seed("failing groups"))

    @cached_property
    def _space(self) -> FeatureSpace:
        return FeatureSpace.of(self._baseline, self._name, self._train, self._seed("detector"))

    @cached_property
    def _shown_space(self) -> FeatureSpace:
        """The space in which owners can see too: for a network of one's own they may get a stand-in."""
        if not (is_own(self._name) and self._config.proxy):
            return self._space
        seed = self._seed("detector")
        return FeatureSpace.of(self._baseline, self._name, self._train, seed, travels=False)

    def _everything_of(self, validation: Examples, evidence: Evidence | None = None) -> Everything:
        return Everything(
            self._start, self._baseline, self._train, validation, self._splits.tuning, self._config,
            self._metric, evidence,
        )  # fmt: skip

    def _seed(self, purpose: str) -> int:
        return derived_seed(self._config.seed, "trainer", purpose)
