"""What is hard: balanced, hardest first, by rule and class; and the three splits."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mycroft_fl.errors import DataError
from mycroft_fl.examples import Examples
from mycroft_fl.hard_set import HardSet, find_hard_set, split_validation


def numbered(y: list[int]) -> Examples:
    """Examples whose x is their place."""
    return Examples(np.arange(len(y), dtype=np.float32)[:, None], np.array(y, dtype=np.int64))


def places(found: HardSet) -> list[int]:
    return found.sent.x[:, 0].astype(int).tolist()


@st.composite
def selections(draw: st.DrawFn) -> tuple[list[int], list[bool], list[float], int]:
    n = draw(st.integers(1, 25))
    y = draw(st.lists(st.integers(0, 3), min_size=n, max_size=n))
    right = draw(st.lists(st.booleans(), min_size=n, max_size=n))
    loss = draw(st.lists(st.integers(0, 5).map(float), min_size=n, max_size=n))
    right[draw(st.integers(0, n - 1))] = False
    return y, right, loss, draw(st.integers(1, 12))


@given(selections())
def test_failures_are_sent_balanced_over_classes_and_the_hardest_of_each(case) -> None:
    y, right, loss, sent = case
    found = find_hard_set(
        numbered(y), correct=np.array(right), loss=np.array(loss), rule="misclassified", sent=sent
    )
    wrong = [place for place in range(len(y)) if not right[place]]
    picked = places(found)
    assert found.found == len(wrong)
    assert len(picked) == len(set(picked)) == min(sent, len(wrong))
    assert set(picked) <= set(wrong)
    held, given_ = Counter(y[place] for place in wrong), Counter(y[place] for place in picked)
    for a in held:
        # A class gives less than another only where it has no more, or is one turn behind.
        assert given_[a] == held[a] or given_[a] >= max(given_.values()) - 1
        of_class = [loss[place] for place in wrong if y[place] == a]
        assert [loss[place] for place in picked if y[place] == a] == sorted(of_class)[::-1][
            : given_[a]
        ]


@given(selections())
def test_the_highest_losses_are_hard_whether_right_or_wrong(case) -> None:
    y, right, loss, sent = case
    found = find_hard_set(
        numbered(y), correct=np.array(right), loss=np.array(loss), rule="highest-loss", sent=sent
    )
    assert len(found.sent) == min(sent, len(y))
    worst = sorted(loss, reverse=True)[: 4 * sent]
    assert all(loss[place] >= worst[-1] for place in places(found))


def test_of_many_only_the_hardest_few_of_the_whole_are_balanced() -> None:
    # Class 1 is easy throughout: its examples are not among the hardest 4 * 2.
    y = [0] * 10 + [1] * 10
    loss = np.array([9.0] * 10 + [1.0] * 10)
    found = find_hard_set(
        numbered(y), correct=np.ones(20, bool), loss=loss, rule="highest-loss", sent=2
    )
    assert found.sent.y.tolist() == [0, 0]


@pytest.mark.parametrize("rule", ["misclassified", "highest-loss"])
def test_only_named_classes_are_hard(rule: str) -> None:
    y = [0, 1, 2] * 4
    found = find_hard_set(
        numbered(y),
        correct=np.zeros(12, bool),
        loss=np.arange(12.0),
        rule=rule,
        sent=5,
        classes=frozenset({1, 2}),
    )
    assert Counter(found.sent.y.tolist()) == {1: 2, 2: 3}
    # The hardest come first, class by class.
    assert places(found)[:2] == [11, 10]


def test_a_model_without_failures_has_no_hard_set_and_the_error_says_what_to_do() -> None:
    with pytest.raises(DataError, match=r'none of 2 eligible .* hard-set\.rule = "highest-loss"'):
        find_hard_set(
            numbered([0, 1, 1]),
            correct=np.array([False, True, True]),
            loss=np.zeros(3),
            rule="misclassified",
            sent=3,
            classes=frozenset({1}),
        )


@pytest.mark.parametrize("rule", ["misclassified", "highest-loss"])
def test_classes_that_nobody_has_are_named_as_the_cause(rule: str) -> None:
    with pytest.raises(DataError, match=r"none of 2 validation examples is of the classes .* name"):
        find_hard_set(
            numbered([0, 1]),
            correct=np.zeros(2, bool),
            loss=np.zeros(2),
            rule=rule,
            sent=3,
            classes=frozenset({5}),
        )


@given(st.integers(20, 120), st.floats(0.1, 0.6), st.floats(0.1, 0.3), st.integers(0, 2**40))
def test_splits_cover_validation_and_share_nothing(
    n: int, selection: float, scoring: float, seed: int
) -> None:
    splits = split_validation(numbered([0] * n), selection=selection, scoring=scoring, seed=seed)
    parts = [part.x[:, 0].astype(int) for part in (splits.selection, splits.scoring, splits.tuning)]
    assert sorted(np.concatenate(parts).tolist()) == list(range(n))
    assert len(parts[0]) == pytest.approx(selection * n, abs=1)
    assert len(parts[1]) == pytest.approx(scoring * n, abs=1)


def test_the_split_hangs_on_the_seed_alone() -> None:
    def selected(seed: int) -> list[float]:
        parts = split_validation(numbered([0] * 50), selection=0.4, scoring=0.4, seed=seed)
        return parts.selection.x[:, 0].tolist()

    assert selected(1) == selected(1)
    assert selected(1) != selected(2)


@pytest.mark.parametrize("n", [0, 1, 2])
def test_too_few_validation_examples_are_an_error_that_counts_them(n: int) -> None:
    with pytest.raises(DataError, match=rf"{n} validation examples are too few for shares 0\.4"):
        split_validation(numbered([0] * n), selection=0.4, scoring=0.4, seed=0)


def test_shares_are_of_all_that_was_found_and_not_of_what_is_sent() -> None:
    found = find_hard_set(
        numbered([3] * 6 + [1] * 2 + [2]),
        correct=np.zeros(9, bool),
        loss=np.array([9.0] * 8 + [0.0]),
        rule="misclassified",
        sent=2,
    )
    assert sorted(found.sent.y) == [1, 3]  # class 2 is not sent, and has no share
    assert found.shares.tolist() == [2 / 8, 6 / 8]
    assert found.found == 9


@given(selections(), st.floats(0.01, 100))
def test_where_all_classes_lose_alike_it_is_as_without_a_metric(case, each) -> None:
    y, right, loss, sent = case
    wrong = np.array(y)[~np.array(right)]
    lost = np.array(
        [each / np.count_nonzero(wrong == label) if label in wrong else 0 for label in y]
    )
    shared = {"correct": np.array(right), "loss": np.array(loss), "rule": "misclassified"}
    found = find_hard_set(numbered(y), **shared, sent=sent, lost=lost)
    # Sums of rounded parts may settle a tie of turns elsewhere, and no more than that.
    plain = find_hard_set(numbered(y), **shared, sent=sent)
    counts = [Counter(each.sent.y.tolist()) for each in (found, plain)]
    assert all(abs(counts[0][label] - counts[1][label]) <= 1 for label in set(y))


@pytest.mark.parametrize(
    ("lost", "given_"),
    [
        # Class 1 is rare and wrong throughout, class 0 has ten failures of a hundred: 10 to 1.
        (lambda y: np.where(y == 1, 100 / 10, 1.0), {0: 1, 1: 10}),
        (lambda y: np.where(y == 1, 1.0, 1.0), {0: 5, 1: 6}),
        (lambda y: np.where(y == 1, 0.0, 1.0), {0: 10, 1: 1}),
    ],
)
def test_classes_give_in_proportion_to_what_the_metric_loses_by_them(lost, given_) -> None:
    y = np.array([0] * 10 + [1] * 10)
    found = find_hard_set(
        numbered(y.tolist()),
        correct=np.zeros(20, bool),
        loss=np.arange(20.0),
        rule="misclassified",
        sent=11,
        lost=np.asarray(lost(y), dtype=np.float64),
    )
    assert Counter(found.sent.y.tolist()) == given_
    # Within a class the hardest go first, as ever.
    for label, count in given_.items():
        mine = [place for place in places(found) if y[place] == label]
        assert mine == sorted(np.flatnonzero(y == label).tolist())[::-1][:count]


def test_the_hard_set_of_largest_weights_is_webster_s_division() -> None:
    # 30 seats for 53, 24 and 23 of a hundred, as in textbooks on apportionment.
    y = np.repeat([0, 1, 2], 40)
    lost = np.repeat([53.0, 24.0, 23.0], 40) / 40
    found = find_hard_set(
        numbered(y.tolist()), correct=np.zeros(120, bool), loss=np.zeros(120),
        rule="misclassified", sent=30, lost=lost,
    )  # fmt: skip
    assert Counter(found.sent.y.tolist()) == {0: 16, 1: 7, 2: 7}
