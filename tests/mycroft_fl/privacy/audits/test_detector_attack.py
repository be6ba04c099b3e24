"""Attacks on a detector: they find members where little hides them, and nobody where nothing shows."""

from __future__ import annotations

import numpy as np
import pytest

from mycroft_fl.privacy.attacks.detection import (
    detector_shadows,
    direction_of,
    likenesses,
    suspicion,
)
from mycroft_fl.privacy.attacks.membership import Shadows, membership_auc
from mycroft_fl.protocol.detector import Detector
from mycroft_fl.selection.detector import Known, fit_detector

CLASSES = 3


def known(seed: int, n: int, d: int) -> Known:
    rng = np.random.default_rng(seed)
    return Known(rng.normal(size=(n, d)).astype(np.float32), rng.integers(0, CLASSES, n))


def attacked(d: int, suspects: int, others: int) -> float:
    found = detector_shadows(
        known(0, suspects, d), known(1, others, d), known(2, others, d), 8,
        num_classes=CLASSES, seed=0,
    )  # fmt: skip
    assert (found.member.sum(axis=0) == 4).all()  # each in half of the detectors
    return membership_auc(found).mean


def test_of_few_failures_in_many_dimensions_the_members_show() -> None:
    assert attacked(d=60, suspects=20, others=40) > 0.9


def test_of_many_failures_in_few_dimensions_hardly_anybody_shows() -> None:
    assert attacked(d=2, suspects=600, others=300) < 0.6


def test_where_the_halves_are_not_those_that_were_learnt_from_nobody_shows() -> None:
    found = detector_shadows(
        known(0, 40, 60), known(1, 40, 60), known(2, 40, 60), 8, num_classes=CLASSES, seed=0
    )
    wrong = np.random.default_rng(5).random(found.member.shape).argsort(axis=0) < 4
    assert membership_auc(Shadows(wrong, found.confidence)).mean == pytest.approx(0.5, abs=0.12)


@pytest.fixture(scope="module")
def detector() -> Detector:
    return fit_detector(
        known(0, 40, 6), known(1, 80, 6), known(2, 80, 6), num_classes=CLASSES, seed=0
    ).detector


def test_suspicion_is_the_log_odds_of_the_probability(detector: Detector) -> None:
    some = known(3, 9, 6)
    p = detector.probability(detector.seen(some.z, None), some.y)
    assert suspicion(detector, some) == pytest.approx(np.log(p / (1 - p)))


@pytest.mark.parametrize("label", range(CLASSES))
@pytest.mark.parametrize("with_basis", [False, True])
def test_the_direction_is_the_gradient_of_the_mean_log_odds(
    detector: Detector, label: int, with_basis: bool
) -> None:
    basis = np.random.default_rng(1).normal(size=(6, 8)).astype(np.float32) if with_basis else None
    of = Detector(
        basis, False, detector.mean, detector.scale, detector.classes, detector.weights,
        detector.bias, detector.threshold,
    )  # fmt: skip
    width, step = 8 if with_basis else 6, 1e-4

    def odds(x: np.ndarray) -> float:
        """Mean log-odds of both models, by the definition of the terms."""
        z = of.seen(x[None], None)[0]
        crossed = [0.7 * z * (label == each) for each in of.classes]
        terms = np.concatenate([z, *crossed, 2.0 * (np.arange(CLASSES) == label)])
        return float((of.weights.astype(float) @ terms + of.bias).mean())

    at = np.random.default_rng(2).normal(size=width) * 0.1
    slopes = [(odds(at + step * e) - odds(at - step * e)) / (2 * step) for e in np.eye(width)]
    assert direction_of(of, label) == pytest.approx(np.array(slopes), rel=1e-4, abs=1e-6)


def test_likeness_is_the_cosine() -> None:
    found = likenesses(np.array([3.0, 4.0]), np.array([[6.0, 8.0], [-4.0, 3.0], [0.0, 0.0]]))
    assert found == pytest.approx([1.0, 0.0, 0.0])
