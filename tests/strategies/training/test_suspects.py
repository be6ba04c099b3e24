"""Failures whose labels look wrong: found where they were made, and real failures left alone."""

from __future__ import annotations

import numpy as np

from mycroft_fl.examples import Examples
from mycroft_fl.models.catalogue import build_model
from mycroft_fl.models.fitting import FitSettings, correct, fit
from strategies.training.detection import FeatureSpace
from strategies.training.suspects import suspects

CLASSES = 12
CENTRES = np.array(
    [[6.0 * (label % 4), 6.0 * (label // 4)] for label in range(CLASSES)], np.float32
)
FAR = np.array([40.0, 40.0], np.float32)


def clouds(seed: int, n: int) -> Examples:
    """Each class in a place of its own."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, CLASSES, n)
    x = CENTRES[y] + rng.normal(size=(n, 2)).astype(np.float32)
    return Examples(x.astype(np.float32), y)


def elsewhere(n: int, label: int) -> Examples:
    """A group of one class where the model has seen nothing."""
    x = FAR + np.random.default_rng(1).normal(size=(n, 2)).astype(np.float32)
    return Examples(x.astype(np.float32), np.full(n, label, np.int64))


def fitted(train: Examples) -> FeatureSpace:
    untrained = build_model("random-forest", (2,), CLASSES + 1, seed=0)
    model = fit(untrained, train, None, FitSettings(1, 32, 1e-3), seed=0)
    return FeatureSpace.of(model, "random-forest", train, seed=0)


def spoiled(examples: Examples, rows: np.ndarray, rng: np.random.Generator) -> Examples:
    y = examples.y.copy()
    y[rows] = (y[rows] + rng.integers(1, CLASSES, len(rows))) % CLASSES
    return Examples(examples.x, y)


def test_wrong_labels_are_found_and_a_failing_group_is_not() -> None:
    train, rng = clouds(0, 600), np.random.default_rng(3)
    rows = rng.choice(300, 15, replace=False)
    validation = Examples.concatenate([spoiled(clouds(2, 300), rows, rng), elsewhere(30, label=5)])
    space = fitted(train)
    found = suspects(space, train, validation)
    right = correct(space.model, validation)
    assert not found[right].any()
    assert found[rows].mean() > 0.6
    assert not found[300:].any()
    assert not right[300:].all()


def test_a_label_that_no_model_could_know_is_not_suspected() -> None:
    train = clouds(0, 600)
    usual = clouds(2, 300)
    y = usual.y.copy()
    lone = np.arange(0, 300, 60)
    y[lone] = CLASSES  # a class that the trainer has no record of, far from each other
    found = suspects(fitted(train), train, Examples(usual.x, y))
    assert not found[lone].any()


def test_with_few_failures_nothing_is_suspected() -> None:
    train, rng = clouds(0, 600), np.random.default_rng(3)
    clean = clouds(4, 100)
    space = fitted(train)
    clean = clean[correct(space.model, clean)]
    assert not suspects(space, train, spoiled(clean, np.arange(3), rng)).any()
    assert suspects(space, train, spoiled(clean, np.arange(12), rng)).any()
