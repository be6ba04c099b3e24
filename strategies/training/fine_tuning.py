"""Every fine-tune of a run: from one start and with equal luck, so that data alone differ."""

from __future__ import annotations

from collections.abc import Sequence

from mycroft_fl.examples import Examples
from mycroft_fl.metrics.metric import ACCURATE, Metric
from mycroft_fl.models.fitting import AnyModel, FineTuneSettings, fine_tune, judged
from mycroft_fl.models.sources import Source
from mycroft_fl.seeds import derived_seed
from mycroft_fl.selection.methods import method_named
from mycroft_fl.settings.run_config import RunConfig

SHARES_TO_CHOOSE_FROM = (0.1, 0.25, 0.4)


def mixed(
    start: AnyModel, sources: Sequence[Source], config: RunConfig, repeat: int = 0
) -> AnyModel:
    """Fine-tune a model on batches that these sources share; another `repeat` draws other batches."""
    settings = FineTuneSettings(
        config.fine_tune_steps, config.fine_tune_batch_size, config.fine_tune_learning_rate
    )
    seed = derived_seed(config.seed, "trainer", "fine-tune", repeat)
    return fine_tune(start, sources, settings, seed=seed)


class FineTuning:
    """Fine-tunes of `start` on a trainer's `own` examples, its `hard` ones and an owner's subset."""

    def __init__(self, start: AnyModel, own: Examples, hard: Examples, config: RunConfig) -> None:
        self.start, self._own, self._hard = start, own, hard
        self._config = config

    def on(
        self, subset: Examples | None, *, hard: bool, repeat: int = 0, share: float | None = None
    ) -> AnyModel:
        """Fine-tune the model with a subset, which gets `share` of each batch, and with the hard set.

        Without a share, the subset gets what is set. Another `repeat` draws other batches.
        """
        sources = [Source(self._own, 1.0)]
        if hard:
            sources.append(Source(self._hard, self._config.hard_set_weight))
        if subset is not None and len(subset):
            sources.append(Source(subset, self._share(subset) if share is None else share))
        return mixed(self.start, sources, self._config, repeat)

    def best_share(self, subset: Examples, tuning: Examples, metric: Metric = ACCURATE) -> float:
        """Return the share as set, or the one that serves the tuning split best (of equals the least)."""
        if self._config.subset_weight or self._pools:
            return self._share(subset)
        hard = self._config.train_on_hard_set
        reached = {
            share: judged(self.on(subset, hard=hard, share=share), tuning, metric)
            for share in SHARES_TO_CHOOSE_FROM
        }
        return max(reached, key=lambda share: (reached[share], -share))

    @property
    def _pools(self) -> bool:
        return method_named(self._config.method).everything

    def _share(self, subset: Examples) -> float:
        """Return the owners' share of a batch; full information is pooled, with the share of its size."""
        if self._pools:
            pooled = len(subset) / (len(subset) + len(self._own))
            return pooled * (1 - self._config.hard_set_weight * self._config.train_on_hard_set)
        return self._config.subset_weight or SHARES_TO_CHOOSE_FROM[1]
