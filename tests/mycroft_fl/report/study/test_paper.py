"""The paper beside ours: figures as printed, cells that exist, verdicts that can go either way."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from mycroft_fl.report.study.folder import Axis, Part, Study
from mycroft_fl.report.study.paper import NEITHER, PaperClaim, claims, ours_of, paper_rows, verdict

AXES = (Axis("scenario", ("x", "y")), Axis("method", ("features", "random", "full")))
CLAIM = PaperClaim("c", "s", "methods", "method", "features", "random", "more", "why")


def study(difference: float, spread: float = 0.01, seeds: int = 10) -> Study:
    rng = np.random.default_rng(0)
    rows = [
        {
            "part": "methods", "scenario": scenario, "method": method, "seed": seed, "status": "done",
            "hard": 0.4 + difference * (method == "features") + rng.normal(0, spread),
            "useful": 0.8 if method == "features" else 0.6,
        }
        for scenario in ("x", "y")
        for method in ("features", "random", "full")
        for seed in range(seeds)
    ]  # fmt: skip
    part = Part("methods", "Methods", AXES, 6 * seeds)
    return Study("paper", "Again", tuple(range(seeds)), AXES, (part,), (), tuple(rows))


def test_ours_are_paired_by_seed_and_all_else_is_equal():
    data = study(0.1)
    found = {each.on: each for each in ours_of(CLAIM, data)}
    assert set(found) == {"x", "y"}
    for scenario, each in found.items():
        one, other = (
            [r["hard"] for r in data.rows if (r["scenario"], r["method"]) == (scenario, method)]
            for method in ("features", "random")
        )
        interval = stats.ttest_rel(one, other).confidence_interval(0.95)
        assert each.difference.mean == pytest.approx(np.mean(one) - np.mean(other))
        assert each.difference.half_width == pytest.approx((interval.high - interval.low) / 2)


@pytest.mark.parametrize(
    ("expected", "difference", "spread", "output"),
    [
        ("more", 0.1, 0.01, "As in the paper, in all 2 rows."),
        ("more", -0.1, 0.01, "As in the paper in 0 of 2 rows, the other way in 2, not clear in 0."),
        ("more", 0.02, 0.2, "As in the paper in 0 of 2 rows, the other way in 0, not clear in 2."),
        ("less", -0.1, 0.01, "As in the paper, in all 2 rows."),
        ("alike", 0.01, 0.01, "As in the paper, in all 2 rows."),
        ("alike", 0.2, 0.01, "As in the paper in 0 of 2 rows, the other way in 2, not clear in 0."),
        ("alike", 0.0, 0.5, "As in the paper in 0 of 2 rows, the other way in 0, not clear in 2."),
        ("reaches", 0.2, 0.01, "As in the paper, in all 2 rows."),
        ("reaches", -0.02, 0.01, "As in the paper, in all 2 rows."),
        (
            "reaches",
            -0.2,
            0.01,
            "As in the paper in 0 of 2 rows, the other way in 2, not clear in 0.",
        ),
        ("open", 0.2, 0.01, "Ours alone: the paper gives nothing to compare with."),
    ],
)
def test_every_verdict(expected, difference, spread, output):
    claim = replace(CLAIM, expected=expected)
    assert verdict(claim, ours_of(claim, study(difference, spread))) == output


def test_another_measure_may_be_compared():
    (first, _) = ours_of(replace(CLAIM, measure="useful"), study(0.0))
    assert (first.first.mean, first.second.mean) == pytest.approx((0.8, 0.6))


def test_what_was_not_run_is_no_verdict():
    assert verdict(CLAIM, ours_of(replace(CLAIM, part="other"), study(0.1))) == NEITHER
    assert ours_of(replace(CLAIM, axis="budget"), study(0.1)) == []
    assert ours_of(CLAIM, study(0.1, seeds=1)) == []


def test_the_papers_figures_stand_as_they_were_printed():
    printed = {row for claim in claims() for row in claim.paper}
    assert {
        ("Dogs & Wolves, swapped backgrounds", "81.3", "20"),
        ("Food-101, helped by UPMC-Food-101", "55", "40"),
        ("Food-101, helped by ISIA-Food-500", "55", "40"),
        ("ImageNet dogs, helped by Tsinghua Dogs", "65", "50"),
        ("budget 16", "55", "40"),
        ("budget 32", "68.8", "56"),
        ("budget 64", "74.4", "59.3"),
        ("budget 128", "84.1", "72.5"),
        ("first against last checkpoint", "89", "61"),
    } <= printed
    assert {claim.expected for claim in claims()} <= {"more", "less", "alike", "reaches", "open"}


def test_the_page_shows_the_paper_first_and_ours_below():
    table = next(
        each for each in paper_rows(study(0.1)) if each["claim"].startswith("The same where")
    )
    assert [row[0] for row in table["rows"]] == ["ours", "ours"]
    first = paper_rows(study(0.1))[0]
    assert first["rows"][0] == [
        "the paper",
        "Dogs & Wolves, swapped backgrounds",
        "81.3",
        "20",
        "+61.3",
    ]
    assert first["verdict"] == NEITHER
