"""The test examples that no decision of a run can see, and what models reach on them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from mycroft_fl.examples import Examples
from mycroft_fl.metrics.metric import ACCURATE, Metric
from mycroft_fl.models.fitting import AnyModel, correct, probabilities
from mycroft_fl.report.run.result import Accuracies, ExampleCounts, Gains
from mycroft_fl.scoring import Score, gain_with_interval
from mycroft_fl.seeds import derived_seed
from mycroft_fl.settings.run_config import RunConfig


@dataclass(frozen=True, eq=False)
class HeldOut:
    """The test examples, which of them the baseline gets wrong, and the group of each, if known.

    Models are held to accuracy, and to `metric`.
    """

    examples: Examples
    hard: Bool[np.ndarray, " n"]
    groups: np.ndarray | None = None
    metric: Metric = ACCURATE

    @classmethod
    def of(
        cls,
        examples: Examples,
        baseline: AnyModel,
        groups: np.ndarray | None = None,
        metric: Metric = ACCURATE,
    ) -> HeldOut:
        """Find which examples the baseline gets wrong."""
        return cls(examples, ~correct(baseline, examples), groups, metric)

    def accuracies(self, model: AnyModel) -> Accuracies:
        """Compute a model's accuracy over all, over the baseline's failures, by group; and the metric."""
        right, groups = correct(model, self.examples), self.groups
        return Accuracies(
            test=float(right.mean()),
            hard=float(right[self.hard].mean()) if self.hard.any() else None,
            groups=None
            if groups is None
            else {str(group): float(right[groups == group].mean()) for group in np.unique(groups)},
            metric=float(right.mean()) if self.metric.is_accuracy else self._value(model),
        )

    def counts(self) -> ExampleCounts:
        """Count the examples that each accuracy is a share of."""
        groups = None
        if self.groups is not None:
            names, counts = np.unique(self.groups, return_counts=True)
            groups = {str(name): int(count) for name, count in zip(names, counts, strict=True)}
        return ExampleCounts(len(self.examples), int(self.hard.sum()), groups)

    def gains(self, final: AnyModel, rival: AnyModel, config: RunConfig) -> Gains:
        """Compute what a model gains over a rival on the same examples, with paired intervals.

        The intervals say how far other test examples could move the figure, not what another seed
        would.
        """
        better, worse = correct(final, self.examples), correct(rival, self.examples)

        def gain(name: str, which: Bool[np.ndarray, " n"]) -> Score | None:
            if not which.any():
                return None
            return gain_with_interval(
                better[None, which],
                worse[None, which],
                confidence=config.scoring_confidence,
                seed=derived_seed(config.seed, "gain", name),
            )

        whole = gain("test", np.ones_like(self.hard))
        in_metric = whole if self.metric.is_accuracy else self._gain(final, rival, config)
        return Gains(whole, gain("hard", self.hard), in_metric)

    def _value(self, model: AnyModel) -> float:
        judge = self.metric.on(self.examples.y, self.groups)
        return judge.value(probabilities(model, self.examples))

    def _gain(self, final: AnyModel, rival: AnyModel, config: RunConfig) -> Score:
        return gain_with_interval(
            probabilities(final, self.examples)[None],
            probabilities(rival, self.examples)[None],
            metric=self.metric.on(self.examples.y, self.groups),
            confidence=config.scoring_confidence,
            seed=derived_seed(config.seed, "gain", "metric"),
        )
