"""Scores by class at the trainer: what each class counts for, and how sure the noise leaves it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mycroft_fl.examples import Examples
from mycroft_fl.hard_set import HardSet
from mycroft_fl.protocol.messages import COUNT_WEIGHT, Statistic
from strategies.noised.scores import class_weights, score_by_class, scores_of_classes
from strategies.noised.steps import relevance_score


def hard_set(found: dict[int, int]) -> HardSet:
    """One example sent of each class, and so many found."""
    sent = Examples(np.zeros((len(found), 2), np.float32), np.array(list(found), np.int64))
    return HardSet(sent, np.repeat(list(found), list(found.values())))


def statistic(sums: list[float], records: float, sigma: float) -> Statistic:
    counts = [records * COUNT_WEIGHT / 2, 0.0, records * COUNT_WEIGHT / 2]
    return Statistic(np.array([*sums, *counts]), sigma)


FOUND = {7: 30, 1: 60, 4: 10}  # sums stand in the order of classes: 1, 4, 7


def test_one_is_the_score_of_an_owner_whose_records_are_all_hard_in_the_failures_shares() -> None:
    output = statistic([600.0, 100.0, 300.0], 1000, 1e-9)
    assert score_by_class(output, hard_set(FOUND), 0.95).gain == pytest.approx(1.0)
    assert class_weights(hard_set(FOUND)) == pytest.approx(np.array([0.6, 0.1, 0.3]) / 0.46)


def test_a_hard_set_of_one_class_is_scored_as_it_is_without_classes() -> None:
    output = statistic([300.0], 1000, 12.0)
    assert score_by_class(output, hard_set({3: 9}), 0.9) == relevance_score(output, 0.9)


@given(st.lists(st.integers(1, 50), min_size=2, max_size=6), st.integers(0, 2**31))
def test_no_other_weights_tell_owners_further_apart_beside_the_noise(
    found: list[int], seed: int
) -> None:
    failures = hard_set(dict(enumerate(found)))
    # What the sums of two owners differ by that hold more and fewer failures, over the noise.
    difference, best = failures.shares, class_weights(failures)
    other = np.random.default_rng(seed).normal(size=len(found))

    def told_apart(weights: np.ndarray) -> float:
        return abs(float(difference @ weights)) / float(np.linalg.norm(weights))

    assert told_apart(other) <= told_apart(best) * (1 + 1e-9)


def test_the_interval_holds_the_noiseless_score_as_often_as_it_says() -> None:
    rng, sums, sigma = np.random.default_rng(0), np.array([60.0, 20.0, 40.0]), 15.0
    failures, inside = hard_set(FOUND), 0
    true = score_by_class(statistic(list(sums), 1e6, 1e-9), failures, 0.9).gain
    for _ in range(2000):
        noised = sums + rng.normal(scale=sigma, size=3)
        score = score_by_class(statistic(list(noised), 1e6, sigma), failures, 0.9)
        inside += score.low <= true <= score.high
    assert inside / 2000 == pytest.approx(0.9, abs=0.03)


@pytest.mark.unchecked
def test_each_class_has_a_score_of_its_own_by_its_name() -> None:
    trainer: Any = SimpleNamespace(
        hard_set=hard_set(FOUND),
        config=SimpleNamespace(scoring_confidence=0.95),
        task=SimpleNamespace(classes=tuple("abcdefgh")),
    )
    output = scores_of_classes(statistic([50.0, -20.0, 10.0], 1000, 10.0), trainer)
    assert list(output) == ["b", "e", "h"]
    assert [each.gain for each in output.values()] == pytest.approx([0.05, -0.02, 0.01])
    for each in output.values():
        assert each.high - each.low == pytest.approx(2 * 1.959964 * 10 / 1000)


def test_an_owner_that_counts_nobody_is_divided_by_no_less_than_the_noise() -> None:
    assert score_by_class(statistic([4.0, 4.0, 4.0], -50, 8.0), hard_set(FOUND), 0.95).high < 10
