"""The rehearsal: only the trainer's own data, and the weight that serves its tuning split."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from mycroft_fl.examples import Examples
from mycroft_fl.models.networks import build
from mycroft_fl.selection.methods import METHODS, Method, Selection
from mycroft_fl.settings.run_config import RunConfig
from strategies.training import feature_weight as rehearsal
from strategies.training import trainer as module
from strategies.training.feature_weight import WEIGHTS, tuned_feature_weight
from strategies.training.trainer import Trainer

MODEL = build("mlp", (3,), 2, seed=0)


def drawn(n: int, seed: int) -> Examples:
    rng = np.random.default_rng(seed)
    return Examples(rng.normal(size=(n, 3)).astype(np.float32), rng.integers(0, 2, n))


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A trainer whose model is as good as `reached` says of the weight that picked its data."""
    selection = drawn(42, 0)
    seen: list = []

    def picking(candidates, query, k):
        seen.append((candidates, query, k))
        return Selection.unweighted(np.arange(k))

    monkeypatch.setitem(METHODS, "funcfeat", Method(picking, weighs_features=True))
    trainer = SimpleNamespace(
        config=RunConfig(method="funcfeat", feature_space="model", gradient_layers="all"),
        hard_set=SimpleNamespace(sent=selection[:10]),
        splits=SimpleNamespace(selection=selection, tuning=drawn(9, 1), scoring=None),
        baseline=MODEL,
        gradient_model=MODEL,
        improved=lambda picked: (seen[-1][1].feature_weight, picked),
        seen=seen,
        reached={},
    )

    def accuracy(model, examples):
        assert examples is trainer.splits.tuning
        return trainer.reached[model[0]]

    monkeypatch.setattr(rehearsal, "accuracy", accuracy)
    return trainer


@pytest.mark.parametrize(
    ("reached", "chosen"),
    [((0.5, 0.6, 0.7), 10.0), ((0.7, 0.6, 0.5), 0.1), ((0.7, 0.7, 0.7), 1.0),
     ((0.7, 0.6, 0.7), 0.1)],
)  # fmt: skip
def test_the_weight_is_the_one_that_serves_tuning_best(stage, reached, chosen) -> None:
    stage.reached = dict(zip(WEIGHTS, reached, strict=True))
    assert tuned_feature_weight(stage) == chosen


def test_the_pretended_owner_holds_the_selection_split_without_the_hard_set(stage) -> None:
    stage.reached = dict.fromkeys(WEIGHTS, 0.5)
    tuned_feature_weight(stage)
    assert [query.feature_weight for _, query, _ in stage.seen] == list(WEIGHTS)
    for candidates, query, k in stage.seen:
        assert candidates.ids.tolist() == stage.splits.selection[10:].ids.tolist()
        assert k == 8
        assert query.hard is stage.hard_set.sent
        assert query.model is MODEL
        assert (query.feature_space, query.gradient_layers) == ("model", "all")


def test_too_few_examples_to_tune_on_leave_the_default(stage) -> None:
    stage.hard_set.sent = stage.splits.selection[:40]
    assert tuned_feature_weight(stage) == 1.0
    assert stage.seen == []


@pytest.mark.parametrize(
    ("method", "given", "weight"),
    [("funcfeat", 3.0, 3.0), ("funcfeat", 0.0, 7.0), ("omp-coverage", 0.0, 7.0), ("omp", 0.0, 0.0)],
)
def test_it_takes_place_only_where_the_weight_is_left_to_it(
    method: str, given: float, weight: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "tuned_feature_weight", lambda trainer: 7.0)
    trainer = object.__new__(Trainer)  # the baseline and all else do not matter here
    trainer.config = RunConfig(method=method, feature_weight=given)
    assert trainer.feature_weight == weight
