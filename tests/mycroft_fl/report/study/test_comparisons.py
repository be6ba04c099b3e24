"""Differences between methods, against scipy, statsmodels and Holm's own words."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from mycroft_fl.report.study.cells import panels
from mycroft_fl.report.study.comparisons import OWN, compared, paired_tests
from mycroft_fl.report.study.folder import Axis, Part, Study

METHODS = ("omp", "features", "random")
BUDGETS = (40, 80)


def study(rows, seeds=10) -> Study:
    axes = (Axis("method", METHODS), Axis("budget", BUDGETS))
    part = Part("", "What a budget buys", axes, 60)
    return Study("s", "What a budget buys", tuple(range(seeds)), axes, (part,), (), tuple(rows))


def rows(seeds=10, shift=0.1):
    rng = np.random.default_rng(0)
    luck = rng.normal(0, 0.05, seeds)
    return [
        {
            "part": "", "method": method, "budget": budget, "seed": seed, "status": "done",
            "hard": 0.5 + luck[seed] + shift * (method != "random") + rng.normal(0, 0.02),
            "own_hard_set_hard": 0.3 + luck[seed],
        }
        for method in METHODS
        for budget in BUDGETS
        for seed in range(seeds)
    ]  # fmt: skip


def values(data, method, budget):
    return [r["hard"] for r in data if (r["method"], r["budget"]) == (method, budget)]


def test_every_pair_and_the_own_hard_set_at_every_place():
    found = compared(panels(study(rows())))
    assert {(each.where, each.first, each.second) for each in found} == {
        (f"budget {budget}", first, second)
        for budget in BUDGETS
        for first, second in [
            ("omp", "features"), ("omp", "random"), ("features", "random"),
            *((method, OWN) for method in METHODS),
        ]
    }  # fmt: skip


def test_agrees_with_scipys_paired_tests():
    data = rows()
    for each in compared(panels(study(data))):
        if each.second == OWN:
            continue
        budget = int(each.where.removeprefix("budget "))
        one, other = values(data, each.first, budget), values(data, each.second, budget)
        truth = stats.ttest_rel(one, other)
        assert each.p == pytest.approx(truth.pvalue)
        interval = truth.confidence_interval(0.95)
        half = each.difference.half_width
        assert (each.difference.mean - half, each.difference.mean + half) == pytest.approx(
            (interval.low, interval.high)
        )
        assert each.wilcoxon == pytest.approx(stats.wilcoxon(one, other).pvalue)


def test_correction_is_holms():
    """Step down: the i-th smallest of m is multiplied by m - i + 1, and none falls below one before."""
    found = sorted(compared(panels(study(rows(shift=0.01)))), key=lambda each: each.p)
    most, so_far = len(found), 0.0
    for place, each in enumerate(found):
        so_far = max(so_far, min(1.0, (most - place) * each.p))
        assert each.corrected == pytest.approx(so_far)


def test_pairs_only_the_seeds_that_both_have():
    data = [r for r in rows() if not (r["method"] == "omp" and r["seed"] < 4)]
    found = {(e.where, e.first, e.second): e for e in compared(panels(study(data)))}
    assert found["budget 40", "omp", "random"].seeds == 6
    assert found["budget 40", "features", "random"].seeds == 10


def test_failed_cells_and_cells_without_a_value_are_left_out():
    data = rows()
    for row in data:
        if row["method"] == "omp":
            row["status"] = "failed"
        if row["method"] == "features":
            row["hard"] = None
    assert {each.first for each in compared(panels(study(data)))} == {"random"}


def test_one_seed_compares_nothing():
    assert compared(panels(study(rows(seeds=1), seeds=1))) == []


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=15))
def test_any_differences_have_a_p_between_nought_and_one(differences):
    array = np.array(differences)
    assume(not array.any() or np.abs(array).max() > 1e-6)
    p, rank = paired_tests(array)
    assert 0 <= p <= 1
    assert 0 < rank <= 1


def test_no_difference_at_all_is_no_evidence_and_equal_ones_are_judged_by_rank():
    assert paired_tests(np.zeros(10)) == (1.0, 1.0)
    p, rank = paired_tests(np.full(10, 0.2))
    assert p == rank == pytest.approx(2 / 2**10)


@pytest.mark.slow
def test_luck_alone_is_called_clear_about_as_seldom_as_promised():
    """Over many studies without any difference, at most 5 % (and some luck) name even one."""
    alarms = 0
    for number in range(200):
        rng = np.random.default_rng(number)
        data = [
            {"part": "", "method": m, "budget": b, "seed": s, "status": "done",
             "hard": rng.normal(0.5, 0.05), "own_hard_set_hard": None}
            for m in METHODS for b in BUDGETS for s in range(10)
        ]  # fmt: skip
        alarms += any(each.is_clear for each in compared(panels(study(data))))
    assert alarms <= stats.binom.ppf(0.999, 200, 0.05)


def test_parts_with_the_same_axes_are_told_apart():
    axes = (Axis("method", METHODS), Axis("budget", BUDGETS))
    parts = tuple(Part(name, name.title(), axes, 60) for name in ("first", "second"))
    data = [row | {"part": part.name} for part in parts for row in rows()]
    both = Study("s", "Two parts", tuple(range(10)), axes, parts, (), tuple(data))
    found = compared(panels(both))
    assert len({(each.where, each.first, each.second) for each in found}) == len(found) == 24
    assert {each.where for each in found if each.where.startswith("first")} == {
        "first: budget 40",
        "first: budget 80",
    }
