"""Failures whose labels look wrong: found where they were made, and real failures left alone."""

from __future__ import annotations

import numpy as np

from mycroft_fl.examples import Examples
from mycroft_fl.models.catalogue import build_model
from mycroft_fl.models.fitting import FitSettings, correct, fit
from strategies.training.detection import FeatureSpace
from strategies.training.suspects import suspects

CENTRES = np.array([[0.0, 0.0], [6.0, 0.0], [0.0, 6.0], [6.0, 6.0]], np.float32)


def clouds(seed: int, n: int, label: int | None = None, at: int | None = None) -> Examples:
    """Four classes in four places; one of them may lie in another's."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, n) if label is None else np.full(n, label)
    x = CENTRES[y if at is None else np.full(n, at)] + rng.normal(size=(n, 2)).astype(np.float32)
    return Examples(x.astype(np.float32), y.astype(np.int64))


def test_wrong_labels_are_found_and_a_failing_group_is_not() -> None:
    train = clouds(0, 300)
    group = clouds(1, 30, label=1, at=3)  # what the model has never seen, and fails on
    usual = clouds(2, 150)
    rng = np.random.default_rng(3)
    spoiled = rng.choice(150, 12, replace=False)
    y = usual.y.copy()
    y[spoiled] = rng.integers(3, 15, 12)  # of many classes, as most wrong labels are
    validation = Examples.concatenate([Examples(usual.x, y), group])
    model = fit(
        build_model("mlp", (2,), 15, seed=0), train, None, FitSettings(20, 32, 3e-3), seed=0
    )
    space = FeatureSpace.of(model, "mlp", train, seed=0)
    found = suspects(space, train, validation)
    wrong = ~correct(model, validation)
    assert not found[~wrong].any()
    bad = np.isin(np.arange(180), spoiled) & wrong
    assert found[bad].mean() > 0.6
    assert found[150:].sum() <= 1


def test_with_few_failures_nothing_is_suspected() -> None:
    train, validation = clouds(0, 300), clouds(4, 60)
    model = fit(
        build_model("mlp", (2,), 15, seed=0), train, None, FitSettings(20, 32, 3e-3), seed=0
    )
    space = FeatureSpace.of(model, "mlp", train, seed=0)
    assert (~correct(model, validation)).sum() <= 3
    assert not suspects(space, train, validation).any()
