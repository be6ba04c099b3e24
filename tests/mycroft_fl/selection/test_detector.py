"""The failure detector: its models by scikit-learn, its region on failures that were made."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from mycroft_fl.errors import DataError
from mycroft_fl.selection.detector import (
    CLASS_TERMS,
    LABEL_TERMS,
    RIDGE,
    Detector,
    Known,
    Standardisation,
    fit_detector,
)

CLASSES, D = 4, 6


def known(seed: int, n: int, shift: float = 0.0, labels: tuple[int, ...] = (0, 1, 2, 3)) -> Known:
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, D)).astype(np.float32)
    y = rng.choice(labels, n)
    z[:, 0] += shift
    return Known(z, y)


def phi(detector: Detector, examples: Known) -> np.ndarray:
    """The terms by definition, one example at a time."""
    scale = detector.standardisation
    rows = []
    for z, y in zip(examples.z, examples.y, strict=True):
        s = np.clip((z - scale.mean) / scale.deviation, -6, 6)
        crossed = [CLASS_TERMS * s * (y == label) for label in detector.classes]
        rows.append(np.concatenate([s, *crossed, LABEL_TERMS * (np.arange(CLASSES) == y)]))
    return np.array(rows, np.float64)


@pytest.fixture(scope="module")
def parts() -> tuple[Known, Known, Known]:
    return known(0, 30, shift=2.0, labels=(1, 2)), known(1, 60), known(2, 90)


@pytest.fixture(scope="module")
def detector(parts) -> Detector:
    return fit_detector(*parts, num_classes=CLASSES, seed=0)


@pytest.mark.parametrize("model", [0, 1])
def test_each_model_is_scikit_learns(parts, detector, model) -> None:
    failures, right, train = parts
    others = [right, train] if model == 0 else [train]
    terms = np.concatenate([phi(detector, each) for each in (failures, *others)])
    failed = np.arange(len(terms)) < len(failures)
    weight = np.where(failed, 0.5 / failed.sum(), 0.5 / (~failed).sum())
    theirs = LogisticRegression(C=D / RIDGE, tol=1e-10, max_iter=10_000)
    theirs.fit(terms, failed, sample_weight=weight)
    assert np.allclose(detector.weights[model], theirs.coef_[0], atol=1e-4)
    assert detector.bias[model] == pytest.approx(theirs.intercept_[0], abs=1e-4)


def test_a_probability_is_the_mean_of_both_models(parts, detector) -> None:
    terms = phi(detector, parts[0])
    each = 1 / (1 + np.exp(-(terms @ detector.weights.T + detector.bias)))
    assert np.allclose(detector.probability(parts[0]), each.mean(axis=1))


def test_the_region_holds_what_fails_and_little_else(detector) -> None:
    useful, others = known(7, 400, shift=2.0, labels=(1, 2)), known(8, 400)
    assert detector.region(useful).mean() > 0.4
    assert detector.region(others).mean() < 0.2
    # Another label in the same place is no failure.
    elsewhere = known(7, 400, shift=2.0, labels=(0, 3))
    assert detector.region(elsewhere).mean() < detector.region(useful).mean() / 2


def test_only_classes_with_two_failures_have_terms_of_their_own(parts) -> None:
    failures, right, train = parts
    one = failures[
        np.flatnonzero(failures.y == 1)[:1].tolist() + np.flatnonzero(failures.y == 2).tolist()
    ]
    assert fit_detector(one, right, train, num_classes=CLASSES, seed=0).classes.tolist() == [2]


def test_equal_seeds_give_equal_detectors_and_order_changes_nothing_of_the_models(parts) -> None:
    failures, right, train = parts
    first = fit_detector(failures, right, train, num_classes=CLASSES, seed=3)
    again = fit_detector(failures, right, train, num_classes=CLASSES, seed=3)
    assert np.array_equal(first.weights, again.weights)
    assert first.threshold == again.threshold
    turned = fit_detector(
        failures[np.arange(29, -1, -1)], right, train, num_classes=CLASSES, seed=3
    )
    assert np.allclose(first.weights, turned.weights, atol=1e-5)


def test_a_feature_that_never_changes_and_one_that_is_huge_do_no_harm() -> None:
    scale = Standardisation.of(np.array([[1.0, 0.0], [1.0, 1e6]], np.float32))
    assert scale(np.array([[5.0, 1e30]], np.float32)).tolist() == [[0.0, 6.0]]


def test_too_few_failures_are_said(parts) -> None:
    failures, right, train = parts
    with pytest.raises(
        DataError, match="2 failures and 2 training records at least; there are 1 and 90"
    ):
        fit_detector(failures[:1], right, train, num_classes=CLASSES, seed=0)
