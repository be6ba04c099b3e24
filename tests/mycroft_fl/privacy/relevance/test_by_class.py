"""Scores by class: whose hard examples a record is aligned with, and how little it can add."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mycroft_fl.examples import Examples, hard_classes
from mycroft_fl.models.networks import build
from mycroft_fl.privacy.relevance.by_class import ClassTargets
from mycroft_fl.privacy.relevance.hard_set_target import (
    SCORE_BOUND,
    SPREAD,
    WHOLE,
    RecordView,
    Target,
    score_rows,
)

CLASSES, WIDE = 4, 6
MODEL = build("linear", (WIDE,), CLASSES, seed=0)


def drawn(labels: list[int], seed: int = 0, scale: float = 1.0) -> Examples:
    x = scale * np.random.default_rng(seed).normal(size=(len(labels), WIDE))
    return Examples(x.astype(np.float32), np.array(labels, np.int64))


HARD = drawn([2, 0, 2, 3, 0, 2, 3], seed=1)


def lensed(x: np.ndarray, label: int) -> np.ndarray:
    """A record's gradient C x (p + 1) with what wrong classes have levelled by `SPREAD`, by hand."""
    with torch.no_grad():
        likely = MODEL(torch.from_numpy(x[None])).double().softmax(1).numpy()[0]
    wrong = np.arange(CLASSES) != label
    delta = np.where(wrong, (1 - SPREAD) * likely + SPREAD * likely[wrong].mean(), 0)
    delta[label] = -delta.sum()
    gradient: np.ndarray = np.outer(delta, np.append(x.astype(np.float64), 1))
    return gradient


def relevance_by_hand(x: np.ndarray, label: int) -> float:
    """Its alignment with the mean gradient of the hard examples of its label."""
    own = HARD[np.flatnonzero(HARD.y == label)]
    plain = []
    for each in own.x:
        with torch.no_grad():
            likely = MODEL(torch.from_numpy(each[None])).double().softmax(1).numpy()[0]
        plain.append(np.outer(likely - np.eye(CLASSES)[label], np.append(each, 1)))
    direction = np.mean(plain, axis=0)
    seen = [lensed(each, label) for each in own.x]
    clip = min(np.linalg.norm(each) for each in seen)

    def along(gradient: np.ndarray) -> float:
        short = min(1.0, clip / np.linalg.norm(gradient))
        return float((short * gradient * direction).sum())

    return along(lensed(x, label)) / (WHOLE * float(np.median([along(each) for each in seen])))


def relevances_of(examples: Examples) -> np.ndarray:
    targets = ClassTargets(MODEL, HARD)
    return targets.relevances(MODEL.head, RecordView.through(MODEL, examples))


def test_a_record_is_aligned_with_the_hard_examples_of_its_own_class_alone() -> None:
    examples = drawn([0, 1, 2, 3] * 5)
    expected = np.zeros((20, 3))
    for place, (x, label) in enumerate(zip(examples.x, examples.y, strict=True)):
        if label != 1:
            column = {0: 0, 2: 1, 3: 2}[int(label)]
            expected[place, column] = relevance_by_hand(x, int(label))
    assert relevances_of(examples) == pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_other_hard_examples_of_other_classes_change_nothing_for_a_class() -> None:
    examples = drawn([0] * 10)
    fewer = HARD[np.flatnonzero(HARD.y != 3)]
    alone = ClassTargets(MODEL, fewer).relevances(MODEL.head, RecordView.through(MODEL, examples))
    assert np.array_equal(alone[:, 0], relevances_of(examples)[:, 0])


@given(
    st.lists(st.integers(0, CLASSES - 1), max_size=12),
    st.integers(0, 2**31),
    st.sampled_from([1e-3, 1.0, 1e6]),
)
def test_a_record_adds_to_one_sum_at_most_and_no_more_than_to_a_plain_score(
    labels: list[int], seed: int, scale: float
) -> None:
    examples = drawn(labels, seed, scale)
    plain = RecordView.through(MODEL, examples).relevances(MODEL.head, Target.of(MODEL, HARD))
    rows = score_rows(relevances_of(examples), plain)
    assert rows.shape == (len(labels), 3 + 3)  # three classes are hard, whatever the records are
    assert ((rows[:, :3] != 0).sum(axis=1) <= 1).all()
    assert ((rows**2).sum(axis=1) <= float(SCORE_BOUND)).all()
    assert (rows[examples.y == 1, :3] == 0).all()  # class 1 has no hard examples
    assert (rows[:, 3:].sum(axis=1) == 0.5).all()  # but is counted


def test_a_record_that_is_not_finite_is_so_in_all_its_row_and_left_out() -> None:
    examples = Examples(np.full((2, WIDE), np.nan, np.float32), np.array([0, 1]))
    plain = RecordView.through(MODEL, examples).relevances(MODEL.head, Target.of(MODEL, HARD))
    assert np.isnan(score_rows(relevances_of(examples), plain)).all()


def test_a_class_whose_hard_examples_point_nowhere_adds_nothing_and_has_its_sum_all_the_same() -> (
    None
):
    sure = build("linear", (WIDE,), CLASSES, seed=0)
    with torch.no_grad():
        sure.head.bias[0] = 1e4  # of class 0, whatever it sees: nothing to learn of its examples
    hard = Examples(HARD.x[:4], np.array([0, 0, 1, 1]))
    targets = ClassTargets(sure, hard)
    assert hard_classes(hard).tolist() == [0, 1]
    assert [targets.target(label) is None for label in targets.classes.tolist()] == [True, False]
    found = targets.relevances(sure.head, RecordView.through(sure, drawn([0, 0, 1])))
    assert found.shape == (3, 2)
    assert found[:2].tolist() == [[0, 0], [0, 0]]
    assert found[2, 1] != 0
