"""A typed result: its file passes the schema, simulated or real, and reports read both."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mycroft_fl.errors import DataError
from mycroft_fl.protocol.card import Card
from mycroft_fl.report.board import final_figures, scalars
from mycroft_fl.report.board import settings as board_settings
from mycroft_fl.report.run.answer import answer
from mycroft_fl.report.run.by_class import MEANING
from mycroft_fl.report.run.files import OUTCOME, RESULT, read_run
from mycroft_fl.report.run.result import (
    SUPERLINK,
    Accuracies,
    Attack,
    ExampleCounts,
    Gains,
    OwnerResult,
    Release,
    Result,
    RoundResult,
)
from mycroft_fl.report.run.schema import check_result
from mycroft_fl.report.run.summary import headline, owner_rows, round_rows, summary
from mycroft_fl.report.writing import write_report
from mycroft_fl.scoring import Score

CARD = Card(
    mode="raw", unit="record", records=6, records_total=6, delta=1e-6, epsilon=0.0, epsilon_total=0.0,
    rho=0.0, rho_total=0.0, epsilon_limit=1.0, epsilon_minus_total=0.0, noise="none", raw=True,
)  # fmt: skip
SOME = Accuracies(0.8, 0.3)
SURE = Gains(Score(0.1, 0.05, 0.15), Score(0.2, 0.1, 0.3))
REAL = Result(
    task="/data/digits.toml",
    method="omp",
    engine=SUPERLINK,
    seed=0,
    settings={"mode": "raw", "budget": 20},
    warnings=["did not connect and were not asked: c"],
    baseline=replace(SOME, hard=0.0),
    control=SOME,
    own_hard_set=SOME,
    final=Accuracies(0.9, 0.5),
    tested=ExampleCounts(200, 40),
    gains={"control": SURE, "own_hard_set": SURE},
    rounds=[RoundResult(1, 2, 1, {"b": "malformed"}, 6, 1.5, SOME)],
    owners=[
        OwnerResult("a", "scored", 1, Score(0.2, 0.1, 0.3), {}, 6, CARD, lost=0),
        OwnerResult("b", "failed", None, None, {}, 0, None, failure="malformed", lost=6),
    ],
    privacy=[Release("a", 1, CARD.as_json())],
    disclosed=6,
    spent=12,
    seconds=3.0,
    environment={"python": "3.12"},
)
UNTESTED = replace(
    REAL,
    baseline=None, control=None, own_hard_set=None, final=None, tested=None, gains={},
    rounds=[replace(REAL.rounds[0], reached=None)],
)  # fmt: skip


def simulated() -> Result:
    """The same run as a simulator tells it."""

    def grouped(part: Accuracies | None) -> Accuracies:
        assert part is not None
        return replace(part, groups={"rotated": 0.25})

    return replace(
        REAL,
        task=None, scenario="digits", engine="in-process", spent=None,
        baseline=grouped(REAL.baseline), control=grouped(SOME), own_hard_set=grouped(SOME),
        random=grouped(SOME), final=grouped(REAL.final),
        tested=ExampleCounts(200, 40, {"rotated": 200}),
        gains={**REAL.gains, "random": Gains(None, None)},
        rounds=[replace(REAL.rounds[0], reached=grouped(SOME))],
        owners=[
            replace(each, failure=None, lost=None, disclosed_groups={}, holds={"rotated": 9})
            for each in REAL.owners
        ],
    )  # fmt: skip


@pytest.mark.parametrize("result", [REAL, UNTESTED, simulated()], ids=["real", "untested", "sim"])
def test_what_is_written_is_what_the_schema_describes(result: Result) -> None:
    check_result(result.as_json())
    json.dumps(result.as_json())


def test_an_attack_that_found_nobody_is_null_and_one_that_was_not_tried_has_no_key() -> None:
    attack = Attack("a", 200, 16, 0.55, None)
    assert "attack" not in simulated().as_json()
    for found in (None, attack):
        written = replace(simulated(), attack=found, attacked=True).as_json()
        check_result(written)
        assert written["attack"] == (None if found is None else vars(attack))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("scenario",), "digits"),
        (("random",), {"test": 0.5, "hard": 0.5}),
        (("attack",), None),
        (("owners", 0, "holds"), {"rotated": 9}),
        (("owners", 0, "disclosed_groups"), {}),
    ],
    ids=str,
)
def test_a_real_run_cannot_hold_what_only_a_simulator_knows(path: Any, value: Any) -> None:
    written = copy.deepcopy(REAL.as_json())
    place = written
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(DataError, match="not a result file of this version"):
        check_result(written)


@pytest.mark.parametrize(
    ("whole", "key"),
    [
        *((REAL, key) for key in ("task", "spent", "own_hard_set", "gains", "tested")),
        *((simulated(), key) for key in ("scenario", "random", "final")),
    ],
    ids=lambda value: value if isinstance(value, str) else value.engine,
)
def test_a_key_less_is_noticed(whole: Result, key: str) -> None:
    written = whole.as_json()
    del written[key]
    with pytest.raises(DataError, match=key):
        check_result(written)


def test_a_real_run_gets_the_same_verdict_as_a_simulation() -> None:
    real, simulation = answer(REAL.as_json()), answer(simulated().as_json())
    assert real.verdict == simulation.verdict == "Buy from a"
    assert real.tiles == simulation.tiles
    assert real.reasons[0] == simulation.reasons[0]
    assert "drawn at random" not in " ".join(real.reasons)


def test_without_test_examples_owners_are_judged_by_their_scores() -> None:
    found = answer(UNTESTED.as_json())
    assert found.verdict == "Buy from a"
    assert "names no test examples" in found.reasons[0]
    assert [tile.figure for tile in found.tiles] == ["6"]
    worse = replace(UNTESTED.owners[0], score=Score(0.0, -0.1, 0.1))
    nobody = replace(UNTESTED, owners=[worse, UNTESTED.owners[1]])
    assert answer(nobody.as_json()).verdict == "Buy from nobody on this evidence"


def test_a_real_runs_text_says_what_was_spent_and_leaves_out_what_is_not_known() -> None:
    text = summary(REAL.as_json())
    assert text.startswith("# digits: omp, seed 0\n")
    assert "6 examples disclosed, 12 counted against the budget of 20; accuracy" in text
    assert "+20.0 points over the own hard set." in text
    assert "| - | b | failed: malformed | - | 0 |" in text
    assert "No differential privacy applies to them." in text
    assert "random picks" not in text
    assert "no accuracy is known" in headline(UNTESTED.as_json())
    assert "## Accuracy" not in summary(UNTESTED.as_json())
    for head, rows in (owner_rows(REAL.as_json()), round_rows(UNTESTED.as_json())):
        assert {len(row) for row in rows} == {len(head)}


def test_a_fall_in_loss_and_a_stock_are_written_and_null_where_they_are_not_known() -> None:
    plain = REAL.owners[0].as_json()
    assert (plain["loss_fall"], plain["stock"]) == (None, None)
    score = Score(0.2, 0.1, 0.3).with_loss(Score(0.05, 0.01, 0.09))
    known = replace(REAL.owners[0], score=score, stock=41.5)
    written = replace(REAL, owners=[known, REAL.owners[1]]).as_json()
    check_result(written)
    owner = written["owners"][0]
    assert (owner["score"], owner["loss_fall"], owner["stock"]) == (0.2, 0.05, 41.5)
    # Results of older releases have neither key.
    del owner["loss_fall"], owner["stock"]
    check_result(written)


def test_a_real_runs_text_says_which_class_an_owner_helps_with() -> None:
    helps = replace(REAL.owners[0], by_class={"3": Score(0.25, 0.2, 0.3)})
    text = summary(replace(REAL, owners=[helps, REAL.owners[1]]).as_json())
    assert MEANING in text
    assert "- a: 3 +25.0 [+20.0, +30.0]\n" in text


@pytest.mark.parametrize("result", [REAL, UNTESTED], ids=["tested", "untested"])
def test_a_real_runs_folder_becomes_a_page(tmp_path: Path, result: Result) -> None:
    (tmp_path / OUTCOME).write_text(json.dumps(result.as_json()))
    files = read_run(tmp_path)
    assert (files.name, files.result) == (OUTCOME, result.as_json())
    page = write_report(tmp_path).read_text()
    assert "Buy from a: digits, omp" in page
    assert "from outcome.json, SHA-256" in page
    assert ('id="accuracy"' in page) == (result is REAL)
    assert "simulator" not in page


def test_a_damaged_outcome_is_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / OUTCOME).write_text(json.dumps({**REAL.as_json(), "engine": "flower"}))
    with pytest.raises(DataError, match=r"outcome\.json: .*; run the task again$"):
        read_run(tmp_path)
    (tmp_path / RESULT).write_text(json.dumps(simulated().as_json()))
    assert read_run(tmp_path).name == RESULT


def test_tensorboard_takes_what_a_real_run_knows() -> None:
    assert {tag: value for tag, _, value in scalars(REAL.as_json())}["final/hard"] == 0.5
    assert {tag for tag, _, _ in scalars(UNTESTED.as_json())} == {
        "rounds/disclosed",
        "rounds/seconds",
    }
    assert board_settings(REAL.as_json())["scenario"] == "digits"
    assert final_figures(REAL.as_json()) == pytest.approx(
        {
            "hparam/hard": 0.5, "hparam/test": 0.9, "hparam/over_own_hard_set": 0.2,
            "hparam/disclosed": 6.0,
        }
    )  # fmt: skip
    assert final_figures(UNTESTED.as_json()) == {"hparam/disclosed": 6.0}
