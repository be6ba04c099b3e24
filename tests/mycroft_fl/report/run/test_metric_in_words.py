"""A verdict speaks in the run's metric, with its figures, wherever that is not accuracy."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from mycroft_fl.report.run.answer import answer
from mycroft_fl.report.run.files import read_run
from mycroft_fl.report.run.gains import gain_over
from mycroft_fl.report.run.judged import metric_words
from mycroft_fl.report.run.page import run_page
from mycroft_fl.report.run.schema import check_result
from mycroft_fl.report.run.summary import accuracy_rows, headline, owner_rows, round_rows, summary
from mycroft_fl.report.run.terminal import show

REACHED = {
    "baseline": 0.5,
    "control": 0.5,
    "own_hard_set": 0.55,
    "free": 0.6,
    "random": 0.7,
    "final": 0.75,
}


def by_auc(result: dict) -> None:
    """The result as one of a run that went by AUC."""
    result["metric"] = "auc"
    result["settings"]["metric"] = "auc"
    for name, value in REACHED.items():
        result[name]["metric"] = value
    for each in result["rounds"]:
        each["metric"] = 0.65
    result["gains"]["free"]["metric"] = {"gain": 0.15, "low": 0.05, "high": 0.25}
    result["gains"]["random"]["metric"] = {"gain": 0.05, "low": 0.01, "high": 0.09}
    result["disclosed"] = 40
    for each in result["owners"]:
        each.update(score=None, low=None, high=None, loss_fall=None, loss_low=None)
    result["owners"][0].update(score=0.08, low=0.02, high=0.14, disclosed=40)


@pytest.fixture
def folder(copied):
    return copied("images", by_auc)


@pytest.fixture
def result(folder):
    found = json.loads((folder / "result.json").read_text())
    check_result(found)
    return found


def test_the_verdict_goes_by_the_metric_on_the_whole_test(result):
    found = answer(result)
    assert found.verdict == "Buy from a"
    assert found.reasons[0] == (
        "With what owners gave, the model reaches 75.0 % in AUC on the whole test; trained on all that "
        "you hold yourself, which costs nothing, 60.0 %: +15.0 [+5.0, +25.0] points for 40 examples, 2.7 "
        "(1.6 to 8.0) a point."
    )
    assert "each of these clearly raises AUC on your scoring examples" in found.reasons[-1]
    assert ("60.0 → 75.0", "% in AUC: free model, then with owners") in [
        (tile.figure, tile.meaning) for tile in found.tiles
    ]


def test_a_gain_in_accuracy_alone_buys_nothing(result):
    result["gains"]["free"]["hard"] = {"gain": 0.2, "low": 0.1, "high": 0.4}
    result["gains"]["free"]["metric"] = {"gain": 0.15, "low": -0.05, "high": 0.25}
    assert answer(result).verdict == "Keep your model"


def test_where_the_free_model_is_the_final_one_its_metric_is_said(result):
    result["final_is"] = "free"
    assert "Its AUC is, trained on all that you hold yourself" in answer(result).reasons[0]


def test_tables_have_a_column_of_the_metric_and_name_it(result):
    head, rows = accuracy_rows(result)
    assert head[:4] == ["model", "AUC", "failures", "whole test"]
    assert [row[1] for row in rows] == [f"{100 * REACHED[key]:.1f}" for key in REACHED]
    assert owner_rows(result)[0][3] == "gain in AUC, points"
    head, rows = round_rows(result)
    assert head[5:] == ["AUC", "failures", "whole test"]
    assert {row[5] for row in rows} == {"65.0"}
    assert "AUC on the whole test 75.0: +15.0 points over the free model, +5.0 over" in headline(
        result
    )
    assert "Choices, scores and the verdict go by AUC; the other figures" in summary(result)
    result["settings"]["metric"] = "auto"
    assert "go by AUC (set as auto); the other figures" in summary(result)


def test_page_and_terminal_name_it_too(folder, result):
    page, plots = run_page(read_run(folder))
    assert "Choices, scores and the verdict go by AUC" in page
    assert "The gain in AUC is on the trainer" in page
    assert "AUC, points" in page
    assert {plot.name for plot in plots} == {"ranking", "disclosed", "rounds", "groups", "front"}
    shown = io.StringIO()
    show(result, Console(file=shown, width=200))
    assert "Accuracy and AUC, %" in shown.getvalue()


@pytest.mark.parametrize("name", ["accuracy", None, "without figures"])
def test_by_accuracy_nothing_is_said_that_was_not_said_before(result, name):
    result["metric"] = name
    if name is None:
        del result["metric"]
    elif name != "accuracy":  # a file that somebody wrote by hand
        del result["free"]["metric"]
    assert gain_over(result, "free").points == pytest.approx(
        100 * result["gains"]["free"]["hard"]["gain"]
    )
    assert accuracy_rows(result)[0][:3] == ["model", "failures", "whole test"]
    assert "go by" not in summary(result)
    assert owner_rows(result)[0][3] == "gain, points"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("balanced-accuracy", "balanced accuracy"),
        ("recall:big\x1b[2J cat", "recall of big?[2J cat"),
        ("worst-group", "accuracy of the worst group"),
        ("cost:/a/b.csv", "minus the mean cost"),
        ("one of a later version", "one of a later version"),
    ],
)
def test_each_metric_has_words(name, words):
    assert metric_words(name) == words
