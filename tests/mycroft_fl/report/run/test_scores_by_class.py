"""Scores by class as people see them: the clearest classes first, and nothing where there are none."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from mycroft_fl.errors import DataError
from mycroft_fl.report.run.answer import answer
from mycroft_fl.report.run.by_class import MEANING, class_lines, class_rows, classes_text, clearest
from mycroft_fl.report.run.files import read_run
from mycroft_fl.report.run.page import run_page
from mycroft_fl.report.run.summary import summary
from mycroft_fl.report.run.terminal import show


def output(low: float) -> dict[str, float]:
    return {"score": low + 0.01, "low": low, "high": low + 0.02}


CLASSES = {"coat": output(0.1), "bag": output(-0.005), "shirt": output(0.2), "shoe": output(0.1)}


def by_class(result: dict) -> None:
    result["owners"][0]["by_class"] = CLASSES


def test_classes_that_are_clear_of_zero_come_by_their_lower_bound() -> None:
    assert clearest(CLASSES) == ["shirt", "coat", "shoe"]
    assert classes_text(CLASSES) == (
        "shirt +21.0 [+20.0, +22.0]; coat +11.0 [+10.0, +12.0]; shoe +11.0 [+10.0, +12.0]"
    )
    assert classes_text({"bag": output(-0.005)}) == "-"
    many = {f"c{place}": output(0.1 * (9 - place)) for place in range(8)}
    assert classes_text(many).endswith("; c4 +51.0 [+50.0, +52.0]; and 3 more")


def test_where_no_score_was_by_class_nothing_is_said_of_classes(runs, copied) -> None:
    result = json.loads((runs["score"] / "result.json").read_text())
    assert [each["by_class"] for each in result["owners"]] == [{}] * len(result["owners"])
    assert class_rows(result)[1] == class_lines(result) == []
    assert "By class" not in summary(result)
    # A result of an older version has no such key.
    older = copied("score", lambda result: [each.pop("by_class") for each in result["owners"]])
    assert class_rows(read_run(older).result)[1] == []


def test_summary_terminal_page_and_answer_say_which_class(copied) -> None:
    files = read_run(copied("score", by_class))
    owner, text = files.result["owners"][0]["owner"], classes_text(CLASSES)
    assert f"- {owner}: {text}" in summary(files.result)
    seen = io.StringIO()
    show(files.result, Console(file=seen, width=200))
    assert text in seen.getvalue()
    page, _ = run_page(files)
    assert text in page
    assert MEANING in page
    files.result["owners"][0].update(score=0.2, low=0.1, high=0.3)
    assert "+20.0 [+10.0, +30.0] %, most of class shirt" in " ".join(answer(files.result).reasons)


def test_by_class_only_who_is_clear_of_the_last_in_the_ranking_is_to_be_asked(copied) -> None:
    result = read_run(copied("score", by_class)).result
    first, *others = result["owners"]
    first.update(score=0.4, low=0.35, high=0.45)
    for each in others:
        each.update(score=0.15, low=0.1, high=0.2)
    told_by_class = answer(result)
    assert told_by_class.verdict == f"Ask {first['owner']}"
    assert (
        "clearly more like your failures than what the last in the ranking"
        in told_by_class.reasons[0]
    )
    first.update(score=0.15, low=0.1, high=0.2)
    nobody = answer(result)
    assert nobody.verdict == "Ask nobody on this evidence"
    assert "clearly above that of the last in the ranking" in nobody.reasons[0]
    # Alone there is nobody to be compared with; and a plain score is held against zero.
    del result["owners"][1:]
    assert answer(result).verdict == f"Ask {first['owner']}"
    first["by_class"] = {}
    assert "What they hold is clearly like your failures" in answer(result).reasons[0]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"coat": {"score": 0.1, "low": 0.0}}, "'high' is a required property"),
        ({"coat": {"score": 1e9, "low": 0.0, "high": 1.0}}, "is greater than the maximum"),
        ([], "is not of type 'object'"),
    ],
    ids=["no bound", "beyond reason", "a list"],
)
def test_half_a_score_of_a_class_is_named_with_its_place(copied, wrong, said) -> None:
    with pytest.raises(DataError, match=said) as error:
        read_run(copied("score", lambda result: result["owners"][0].update(by_class=wrong)))
    assert "owners.0.by_class" in str(error.value)
