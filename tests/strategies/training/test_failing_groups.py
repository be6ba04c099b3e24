"""Groups of failures: what was planted is found, and what is said of a group is counted."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from mycroft_fl.examples import Examples
from mycroft_fl.models.fitting import predict
from mycroft_fl.models.networks import build
from mycroft_fl.selection.detector import Known
from strategies.training import failing_groups as module
from strategies.training.detection import FeatureSpace
from strategies.training.failing_groups import FEWEST, MOST_GROUPS, SHOWN, failing_groups

MODEL = build("linear", (6,), 4, seed=0)


@pytest.fixture
def space() -> FeatureSpace:
    return FeatureSpace(MODEL, None, hidden=False)


def planted(sizes: dict[tuple[int, int], int], monkeypatch, right: int = 200) -> tuple:
    """Failures of (label, answer) far apart in space, among right ones; and which kind each is of."""
    rng = np.random.default_rng(0)
    x, y, answers, kinds = (
        [rng.normal(size=(right, 6))],
        [rng.integers(0, 4, right)],
        [],
        [-1] * right,
    )
    answers.append(y[0])
    for kind, ((label, answer), count) in enumerate(sizes.items()):
        x.append(rng.normal(size=(count, 6)) * 0.3 + 9 * np.eye(6)[kind])
        y.append(np.full(count, label))
        answers.append(np.full(count, answer))
        kinds += [kind] * count
    said = np.concatenate(answers).astype(np.int64)
    monkeypatch.setattr(module, "predict", lambda model, inputs: said)
    examples = Examples(np.concatenate(x).astype(np.float32), np.concatenate(y).astype(np.int64))
    return examples, np.array(kinds)


@pytest.mark.unchecked
def test_planted_groups_are_found_and_counted_the_largest_first(space, monkeypatch) -> None:
    sizes = {(0, 1): 30, (2, 3): 50, (2, 0): 20}
    examples, kinds = planted(sizes, monkeypatch)
    found = failing_groups(space, examples, 0)
    assert [each.failures for each in found] == [50, 30, 20]
    assert [each.labels for each in found] == [Counter({2: 50}), Counter({0: 30}), Counter({2: 20})]
    assert [each.taken_for for each in found] == [
        Counter({3: 50}),
        Counter({1: 30}),
        Counter({0: 20}),
    ]
    for each, kind in zip(found, (1, 0, 2), strict=True):
        assert len(each.typical) == SHOWN
        assert np.isin(each.typical.ids, examples.ids[kinds == kind]).all()
        # Typical ones lie nearer to the group's middle than most.
        group = examples.x[kinds == kind]
        away = ((group - group.mean(axis=0)) ** 2).sum(axis=1)
        typical = np.isin(examples.ids[kinds == kind], each.typical.ids)
        assert away[typical].max() < np.quantile(away, 0.6)


@pytest.mark.unchecked
def test_two_kinds_of_one_place_are_told_apart_by_their_labels(space, monkeypatch) -> None:
    examples, _ = planted({(0, 1): 40}, monkeypatch)
    y = examples.y.copy()
    y[200:220] = 3
    found = failing_groups(space, Examples(examples.x, y), 0)
    assert sorted(each.labels.most_common(1)[0] for each in found) == [(0, 20), (3, 20)]


@pytest.mark.unchecked
@pytest.mark.parametrize("count", [1, 2, FEWEST, 2 * FEWEST - 1])
def test_failures_too_few_for_two_groups_are_one(space, monkeypatch, count) -> None:
    examples, _ = planted({(0, 1): count}, monkeypatch)
    found = failing_groups(space, examples, 0)
    assert [each.failures for each in found] == [count]
    assert len(found[0].typical) == min(count, SHOWN)


@pytest.mark.unchecked
def test_where_nothing_fails_there_is_no_group(space, monkeypatch) -> None:
    examples, _ = planted({}, monkeypatch)
    assert failing_groups(space, examples, 0) == []


@pytest.mark.unchecked
def test_copies_of_one_failure_are_one_group(space, monkeypatch) -> None:
    examples, _ = planted({(0, 1): 12}, monkeypatch)
    x = examples.x.copy()
    x[200:] = x[200]
    assert [each.failures for each in failing_groups(space, Examples(x, examples.y), 0)] == [12]


def test_every_failure_is_in_one_group_of_no_fewer_than_may_be(space) -> None:
    rng = np.random.default_rng(1)
    examples = Examples(rng.normal(size=(300, 6)).astype(np.float32), rng.integers(0, 4, 300))
    wrong = predict(MODEL, examples.x) != examples.y
    found = failing_groups(space, examples, 0)
    assert sum(each.failures for each in found) == wrong.sum()
    assert 1 <= len(found) <= MOST_GROUPS
    assert min(each.failures for each in found) >= FEWEST
    again = failing_groups(space, examples, 0)
    assert [each.typical.ids.tolist() for each in again] == [
        each.typical.ids.tolist() for each in found
    ]


@pytest.mark.unchecked
@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf, 3e38])
def test_what_is_not_finite_ends_no_run(space, monkeypatch, odd) -> None:
    examples, _ = planted({(0, 1): 30, (2, 3): 20}, monkeypatch)
    known = space.known

    def broken(given: Examples) -> Known:
        found = known(given)
        z = found.z.copy()
        z[::7, 2] = odd
        return Known(z, found.y)

    monkeypatch.setattr(type(space), "known", lambda self, given: broken(given))
    found = failing_groups(space, examples, 0)
    assert sum(each.failures for each in found) == 50
