"""The failure detector: its models by scikit-learn, its region on failures that were made."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from mycroft_fl.errors import BadMessage, DataError
from mycroft_fl.protocol.detector import CLASS_TERMS, LABEL_TERMS, Detector
from mycroft_fl.selection.detector import (
    RIDGE,
    Known,
    Rehearsed,
    fit_detector,
    principal_components,
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
    rows = []
    for z, y in zip(examples.z, examples.y, strict=True):
        s = np.clip((z.astype(float) - detector.mean) * detector.scale, -6, 6)
        crossed = [CLASS_TERMS * s * (y == label) for label in detector.classes]
        rows.append(np.concatenate([s, *crossed, LABEL_TERMS * (np.arange(CLASSES) == y)]))
    return np.array(rows, np.float64)


@pytest.fixture(scope="module")
def parts() -> tuple[Known, Known, Known]:
    return known(0, 30, shift=2.0, labels=(1, 2)), known(1, 60), known(2, 90)


@pytest.fixture(scope="module")
def rehearsed(parts) -> Rehearsed:
    return fit_detector(*parts, num_classes=CLASSES, seed=0)


@pytest.fixture(scope="module")
def detector(rehearsed) -> Detector:
    return rehearsed.detector


def probability(detector: Detector, examples: Known) -> np.ndarray:
    return detector.probability(detector.seen(examples.z, None), examples.y)


def region(detector: Detector, examples: Known) -> np.ndarray:
    return detector.region(detector.seen(examples.z, None), examples.y)


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
    assert np.allclose(probability(detector, parts[0]), each.mean(axis=1))


def test_the_region_holds_what_fails_and_little_else(detector) -> None:
    useful, others = known(7, 400, shift=2.0, labels=(1, 2)), known(8, 400)
    assert region(detector, useful).mean() > 0.4
    assert region(detector, others).mean() < 0.2
    # Another label in the same place is no failure.
    elsewhere = known(7, 400, shift=2.0, labels=(0, 3))
    assert region(detector, elsewhere).mean() < region(detector, useful).mean() / 2


def test_only_classes_with_two_failures_have_terms_of_their_own(parts) -> None:
    failures, right, train = parts
    one = failures[
        np.flatnonzero(failures.y == 1)[:1].tolist() + np.flatnonzero(failures.y == 2).tolist()
    ]
    found = fit_detector(one, right, train, num_classes=CLASSES, seed=0)
    assert found.detector.classes.tolist() == [2]


def test_equal_seeds_give_equal_detectors_and_order_changes_nothing_of_the_models(parts) -> None:
    failures, right, train = parts
    first = fit_detector(failures, right, train, num_classes=CLASSES, seed=3).detector
    again = fit_detector(failures, right, train, num_classes=CLASSES, seed=3).detector
    assert np.array_equal(first.weights, again.weights)
    assert first.threshold == again.threshold
    turned = fit_detector(
        failures[np.arange(29, -1, -1)], right, train, num_classes=CLASSES, seed=3
    ).detector
    assert np.allclose(first.weights, turned.weights, atol=1e-5)


def test_a_feature_that_never_changes_and_one_that_is_huge_do_no_harm(parts) -> None:
    odd = [Known(np.column_stack([each.z, np.ones(len(each))]), each.y) for each in parts]
    detector = fit_detector(*odd, num_classes=CLASSES, seed=0).detector
    row = np.zeros((1, D + 1))
    row[0, 0], row[0, D] = 1e30, 5.0
    assert detector.seen(row, None)[0, [0, D]].tolist() == [6.0, 0.0]


def test_rehearsal_tells_what_the_region_holds_of_examples_it_has_not_seen(rehearsed) -> None:
    useful, others = known(17, 4000, shift=2.0, labels=(1, 2)), known(18, 4000)
    assert region(rehearsed.detector, useful).mean() == pytest.approx(rehearsed.recall, abs=0.2)
    alarms = region(rehearsed.detector, others).mean()
    # The threshold was chosen on the same folds, so that these alarms are on the low side.
    assert abs(alarms - rehearsed.alarms) < 0.1


def test_a_record_has_the_same_bits_alone_and_among_others(detector) -> None:
    many = known(9, 300)
    together = detector.seen(many.z, None)
    alone = np.concatenate([detector.seen(many.z[[each]], None) for each in range(300)])
    assert np.array_equal(together, alone)
    one_by_one = [detector.probability(alone[[each]], many.y[[each]]) for each in range(300)]
    assert np.array_equal(detector.probability(together, many.y), np.concatenate(one_by_one))


def test_with_a_basis_and_a_hidden_layer_both_are_seen(parts) -> None:
    rng = np.random.default_rng(5)
    inputs, hidden = rng.normal(size=(40, 12)), rng.normal(size=(40, 3))
    basis = principal_components(inputs, seed=1)
    z = np.concatenate([inputs @ basis.T, hidden], axis=1).astype(np.float32)
    y = rng.integers(0, 2, 40)
    wrong, rest, own = (Known(z[part], y[part]) for part in np.split(rng.permutation(40), [10, 25]))
    fitted = fit_detector(wrong, rest, own, num_classes=2, seed=0, basis=basis, hidden=True)
    seen = fitted.detector.seen(inputs, hidden)
    scaled = np.clip((z - fitted.detector.mean) * fitted.detector.scale, -6, 6)
    assert np.allclose(seen, scaled, atol=1e-4)
    with pytest.raises(BadMessage, match="a detector of 12 inputs; examples have 11"):
        fitted.detector.seen(inputs[:, :11], hidden)
    with pytest.raises(BadMessage, match="a detector of 15 features; there are 12"):
        fitted.detector.seen(inputs, None)


def test_principal_components_are_scikit_learns_directions() -> None:
    x = np.random.default_rng(3).normal(size=(200, 5)) * [9, 5, 3, 1, 0.1]
    found = principal_components(x, seed=2**62 + 1)
    _, _, directions = np.linalg.svd(x - x.mean(axis=0))
    assert np.allclose(np.abs(np.sum(found * directions, axis=1)), 1, atol=1e-4)


def test_a_label_that_the_trainer_has_never_seen_counts_as_one_that_fails() -> None:
    failures, right = known(0, 30, 2.0, (1, 2)), known(1, 60, 0.0, (0, 1, 2))
    fitted = fit_detector(
        failures, right, known(2, 90, 0.0, (0, 1, 2)), num_classes=CLASSES, seed=0
    )
    labels = fitted.detector.weights[:, -CLASSES:]
    assert np.allclose(labels[:, 3], labels[:, 1:3].mean(axis=1))
    assert (labels[:, 3] > labels[:, 0]).all()


def test_too_few_failures_are_said(parts) -> None:
    failures, right, train = parts
    with pytest.raises(
        DataError, match="2 failures and 2 training records at least; there are 1 and 90"
    ):
        fit_detector(failures[:1], right, train, num_classes=CLASSES, seed=0)
