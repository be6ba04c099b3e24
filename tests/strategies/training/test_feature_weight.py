"""The tuned feature weight: only the trainer's own data, and the weight that serves its tuning split."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from mycroft_fl.examples import Examples
from mycroft_fl.metrics.metric import Metric
from mycroft_fl.models.networks import build
from mycroft_fl.selection.methods import METHODS, Method, Selection
from mycroft_fl.settings.run_config import RunConfig
from strategies.training import trainer as module
from strategies.training.feature_weight import WEIGHTS, tuned_feature_weight
from strategies.training.trainer import Trainer

MODEL = build("mlp", (3,), 2, seed=0)


def drawn(n: int, seed: int) -> Examples:
    rng = np.random.default_rng(seed)
    return Examples(rng.normal(size=(n, 3)).astype(np.float32), rng.integers(0, 2, n))


@dataclass
class Stage:
    """A trainer that is as good as `serves` says of the weight that picked its data."""

    selection: Examples = field(default_factory=lambda: drawn(42, 0))
    sent: int = 10
    serves: dict[float, float] = field(default_factory=lambda: dict.fromkeys(WEIGHTS, 0.5))
    seen: list[tuple[Examples, Any, int]] = field(default_factory=list)

    def picking(self, candidates: Examples, query: Any, k: int) -> Selection:
        self.seen.append((candidates, query, k))
        return Selection.unweighted(np.arange(k))

    def tuned(self) -> float:
        config = RunConfig(method="funcfeat", feature_space="model", gradient_layers="all")
        return tuned_feature_weight(
            self.selection[: self.sent], self.selection, MODEL, config,
            lambda picked: self.serves[self.seen[-1][1].feature_weight],
        )  # fmt: skip


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    stage = Stage()
    monkeypatch.setitem(METHODS, "funcfeat", Method(stage.picking, weighs_features=True))
    return stage


@pytest.mark.parametrize(
    ("reached", "chosen"),
    [((0.5, 0.6, 0.7), 10.0), ((0.7, 0.6, 0.5), 0.1), ((0.7, 0.7, 0.7), 1.0),
     ((0.7, 0.6, 0.7), 0.1)],
)  # fmt: skip
def test_the_weight_is_the_one_that_serves_tuning_best(stage, reached, chosen) -> None:
    stage.serves = dict(zip(WEIGHTS, reached, strict=True))
    assert stage.tuned() == chosen


def test_the_pretended_owner_holds_the_selection_split_without_the_hard_set(stage) -> None:
    stage.tuned()
    assert [query.feature_weight for _, query, _ in stage.seen] == list(WEIGHTS)
    for candidates, query, k in stage.seen:
        assert candidates.ids.tolist() == stage.selection[10:].ids.tolist()
        assert k == 8
        assert query.hard.ids.tolist() == stage.selection[:10].ids.tolist()
        assert query.model is MODEL
        assert (query.feature_space, query.gradient_layers) == ("model", "all")


def test_too_few_examples_to_tune_on_leave_the_default(stage) -> None:
    stage.sent = 40
    assert stage.tuned() == 1.0
    assert stage.seen == []


def test_it_looks_at_the_selection_and_the_tuning_split_and_at_no_other(
    trainer_of: Callable[..., Trainer], monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = trainer_of(method="funcfeat")
    looked_at: list[Examples] = []

    def noted(model: Any, examples: Examples, metric: Metric) -> float:
        assert metric is trainer.metric
        looked_at.append(examples)
        return 0.5

    monkeypatch.setattr(module, "judged", noted)
    assert trainer.tuned_feature_weight() == 1.0
    assert all(each is trainer.splits.tuning for each in looked_at)
    assert len(looked_at) == len(WEIGHTS)


@pytest.mark.parametrize(
    ("method", "given", "weight"),
    [("funcfeat", 3.0, 3.0), ("funcfeat", 0.0, 7.0), ("omp-coverage", 0.0, 7.0), ("omp", 0.0, 0.0)],
)
def test_it_takes_place_only_where_the_weight_is_left_to_it(
    method: str, given: float, weight: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Trainer, "tuned_feature_weight", lambda trainer: 7.0)
    trainer = object.__new__(Trainer)  # the baseline and all else do not matter here
    trainer.config = RunConfig(method=method, feature_weight=given)
    assert trainer.feature_weight == weight
