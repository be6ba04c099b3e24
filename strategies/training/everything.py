"""Models of everything that a trainer knows: the free rival, and the final model beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mycroft_fl.examples import Examples
from mycroft_fl.metrics.metric import ACCURATE, Metric
from mycroft_fl.models.fitting import AnyModel, correct, judged
from mycroft_fl.models.sources import Source
from mycroft_fl.settings.run_config import RunConfig
from strategies.training.evidence import Evidence
from strategies.training.fine_tuning import mixed
from strategies.training.front import Price, between

SHARES = (0.15, 0.3, 0.45)
"""Shares of a batch that failures, and what was acquired, may have together."""
BASELINE = "baseline"
MARGIN = 0.04  # of the metric, all of which go from 0 to 1 or from -1 to 0
"""A model is given up for one that knows less only where tuning says that it is worse by more.

A tuning split is small: a strict choice threw half of the gain away where there was one. On fifty
examples it took the baseline for the best that a trainer can have without owners in two of ten runs.
"""


@dataclass(frozen=True)
class FreeRival:
    """The strongest model without any owner, and the name of the candidate that it is."""

    name: str
    model: AnyModel


@dataclass(frozen=True)
class FinalModel:
    """The model that a run ends with, how it came about, and what else there was to choose from.

    "with owners"; "free"; "baseline", where no other model keeps what it can do; or "last round".
    """

    how: str
    model: AnyModel
    candidates: tuple[AnyModel, ...] = ()

    @property
    def has_owners(self) -> bool:
        """Whether what owners gave has a part in it."""
        return self.how not in ("free", "baseline")


class Everything:
    """Fine-tunes of `start` on all that a trainer holds but its tuning split.

    Validation examples that the baseline gets right join the own data. Its failures, and what was
    acquired, are one source with a share of each batch.

    Args:
        start: The model that each fine-tune begins with.
        baseline: The model whose failures are to be mended.
        train: The trainer's own data.
        validation: Validation examples that may be trained on.
        tuning: Examples on which candidates are compared, and nothing is trained.
        config: The run's settings.
        metric: What is compared.
        evidence: What all validation examples say against the baseline; without it tuning alone speaks.

    """

    def __init__(
        self,
        start: AnyModel,
        baseline: AnyModel,
        train: Examples,
        validation: Examples,
        tuning: Examples,
        config: RunConfig,
        metric: Metric = ACCURATE,
        evidence: Evidence | None = None,
    ) -> None:
        right = correct(baseline, validation)
        self.own = Examples.concatenate([train, validation[right]])
        self.failures = validation[~right]
        self._start, self._tuning, self._config = start, tuning, config
        self._baseline, self._metric = baseline, metric
        self._evidence = evidence

    def free(self, others: Mapping[str, AnyModel]) -> FreeRival:
        """Choose the strongest model that no owner has any part in.

        The best on tuning of those that know everything. `others` are models of less, by name: one of
        them only where it is clearly better. The baseline where the evidence is against training on
        failures: many of them may be noise.
        """
        shares = {f"all failures, share {each:g}": self.tuned(each) for each in self._shares()}
        name, model = self._best(shares)
        if self._evidence and self._evidence.speaks_against(model):
            return FreeRival(BASELINE, self._baseline)
        better = {
            other: each for other, each in others.items() if self._is_clearly_better(each, model)
        }
        return FreeRival(*self._best(better)) if better else FreeRival(name, model)

    def with_acquired(
        self, acquired: Examples | None, free: FreeRival, repeat: int = 0
    ) -> FinalModel:
        """Fine-tune on everything and what was acquired, at the share that serves tuning best.

        Where nothing was acquired there is the free model to choose alone. Another `repeat` draws other
        batches.
        """
        if acquired is None or not len(acquired):
            return self.better_of([], free)
        models = [self.tuned(each, acquired, repeat) for each in self._shares(acquired)]
        chosen = self.better_of(models, free)
        # Where failures alone do not better the baseline, the burden of proof is on what owners gave.
        in_doubt = free.name == BASELINE and chosen.has_owners
        if self._evidence and in_doubt and not self._evidence.speaks_for(chosen.model, acquired):
            return FinalModel("free", free.model, chosen.candidates)
        return chosen

    def better_of(self, models: Sequence[AnyModel], free: FreeRival) -> FinalModel:
        """Choose the best of `models` on tuning; `free` where it is clearly better.

        Only among models that do no more harm there than may be. Where none is, one on the way from
        the baseline to one of them, the free model, or the baseline itself.
        """
        ways = [way for model in models for way in between(self._baseline, model)]
        candidates = (*models, *ways)
        kept = self._harmless(models) or self._harmless(ways)
        unharmed = self._harmless([free.model])
        if not kept and not unharmed:
            return FinalModel("baseline", self._baseline, candidates)
        best = max(kept, key=self._reached) if kept else free.model
        if not kept or (unharmed and self._is_clearly_better(free.model, best)):
            return FinalModel("free", free.model, candidates)
        return FinalModel("with owners", best, candidates)

    def _harmless(self, models: Sequence[AnyModel]) -> list[AnyModel]:
        """Keep those that lose no more on tuning than may be of what the baseline gets right."""
        most = self._config.harm_at_most
        if most >= 100:
            return list(models)
        right = correct(self._baseline, self._tuning)
        return [each for each in models if Price.of(each, right, self._tuning).harm <= most]

    def _best(self, models: Mapping[str, AnyModel]) -> tuple[str, AnyModel]:
        """Find the best on tuning, with its name; of equals the last."""
        reached = {name: self._reached(model) for name, model in models.items()}
        name = [each for each, value in reached.items() if value == max(reached.values())][-1]
        return name, models[name]

    def _is_clearly_better(self, rival: AnyModel, model: AnyModel) -> bool:
        """Say whether tuning speaks for a rival that knows less: by `MARGIN`, and one standard error."""
        tuning = self._tuning
        differs = correct(rival, tuning).astype(float) - correct(model, tuning)
        error = float(differs.std()) / math.sqrt(len(tuning))
        return self._reached(rival) - self._reached(model) > max(MARGIN, error)

    def _reached(self, model: AnyModel) -> float:
        return judged(model, self._tuning, self._metric)

    def _shares(self, acquired: Examples | None = None) -> list[float]:
        """List the shares to choose from: fixed ones, and one in proportion to the examples."""
        return sorted({*SHARES, self.proportional(acquired)})

    def proportional(self, acquired: Examples | None = None) -> float:
        """Compute the share of failures and what was acquired among all examples, .01 to .9."""
        hard = len(self.failures) + (0 if acquired is None else len(acquired))
        return round(min(0.9, max(0.01, hard / (hard + len(self.own)))), 3)

    def tuned(self, share: float, acquired: Examples | None = None, repeat: int = 0) -> AnyModel:
        """Fine-tune on everything, failures and what was acquired with this share of a batch."""
        hard = [self.failures] if acquired is None else [self.failures, acquired]
        sources = [Source(self.own, 1.0), Source(Examples.concatenate(hard), share)]
        return mixed(self._start, sources, self._config, repeat)
