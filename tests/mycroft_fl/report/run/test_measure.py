"""What ranked owners: the right figure, in the right words, wherever a result tells of it."""

from __future__ import annotations

from typing import Any

import pytest

from mycroft_fl.report.run.answer import answer
from mycroft_fl.report.run.measure import gain_measure, measure_of
from mycroft_fl.report.run.plots import run_plots
from mycroft_fl.report.run.summary import owner_rows


def owner(name: str, **known: Any) -> dict[str, Any]:
    return {
        "owner": name, "status": "scored", "rank": 1, "score": 0.2, "low": 0.1, "high": 0.3,
        "loss_fall": None, "loss_low": None, "loss_high": None, "stock": None, "by_class": {},
        "disclosed": 0, "card": None, **known,
    }  # fmt: skip


FALLEN = {"loss_fall": 0.05, "loss_low": 0.04, "loss_high": 0.06}


@pytest.mark.parametrize(
    ("mode", "known", "head", "text"),
    [
        ("raw", {}, "gain, points", "+20.0 [+10.0, +30.0]"),
        ("raw", FALLEN, "log-loss falls by, 1/100 nat", "+5.0 [+4.0, +6.0]"),
        ("score", {}, "relevance, %", "+20.0 [+10.0, +30.0]"),
        ("score-then-raw", {"stock": 40.0}, "useful records, %", "+20.0 [+10.0, +30.0]"),
    ],
)
def test_the_ranking_is_told_in_what_made_it(mode, known, head, text) -> None:
    result = {
        "settings": {"mode": mode}, "owners": [owner("a", **known), owner("b", score=None)],
        "rounds": [], "seed": 0, "disclosed": 0, "privacy": [], "method": "m",
    }  # fmt: skip
    measure = measure_of(result)
    assert (measure.head, measure.text(result["owners"][0])) == (head, text)
    heads, rows = owner_rows(result)
    assert rows[0][heads.index(head)] == text
    assert ("gain, points" in heads) == (mode == "raw")
    (plot,) = run_plots({**result, "owners": [owner("a", **known)]})
    assert f"a {text}" in plot.alt
    assert measure.axis in plot.alt


def test_where_scores_are_cross_fitted_nothing_is_said_of_the_own_hard_set() -> None:
    result = {"settings": {}, "owners": [owner("a", **FALLEN)]}
    assert "over what the trainer knows itself" in gain_measure(result).caption
    result["owners"] = [owner("a")]
    assert "over the own hard set" in gain_measure(result).caption


def test_shares_are_said_of_a_region_and_relevance_of_a_hard_set() -> None:
    result = {
        "settings": {"mode": "score"}, "owners": [owner("a", stock=40.0)], "rounds": [], "seed": 0,
        "disclosed": 0, "privacy": [], "method": "m",
    }  # fmt: skip
    said = " ".join(answer(result).reasons)
    assert "Of what they hold, this share is like your failures" in said
    assert "a +20.0 [+10.0, +30.0] %" in said
    assert "hard example" not in said
    result["owners"][0].update(low=-0.1)
    assert "the share of useful records clearly above zero" in " ".join(answer(result).reasons)
    result["owners"][0].update(stock=None)
    assert "is the relevance clearly above zero" in " ".join(answer(result).reasons)
