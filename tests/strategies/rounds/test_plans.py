"""Plans of rounds: every mode of a run has two, and owners are asked in known modes alone."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from mycroft_fl.modes import MODES, answer_names
from mycroft_fl.scoring import Score
from mycroft_fl.settings.run_config import RunConfig
from strategies.rounds import plans
from strategies.rounds.owner_record import OwnerRecord
from strategies.rounds.plans import answer_modes, plans_of
from strategies.rounds.scoreboard import Scoreboard


def test_owners_are_asked_only_in_modes_they_can_answer_in_and_in_each_of_them() -> None:
    assert {plan.answer for mode in MODES for plan in plans_of(mode)} == set(answer_names())


def test_each_mode_of_answering_is_named_once_in_the_order_of_asking() -> None:
    assert answer_modes("raw") == ["raw"]
    assert answer_modes("score-then-raw") == ["score", "raw"]


def split(stocks: dict[str, float], clear: set[str], **settings: Any) -> dict[str, int]:
    """Split ten examples among owners with such stocks, of whom some are clear of zero."""
    board = Scoreboard()
    for name, stock in stocks.items():
        score = Score(0.5, 0.1 if name in clear else -0.1, 0.9)
        board.records[name] = replace(OwnerRecord(name), score=score, stock=stock)
    config = RunConfig(**{"stop_early": False, **settings})
    return plans._split(SimpleNamespace(scoreboard=board, config=config), set(stocks), 10)


@pytest.mark.unchecked
def test_equal_shares_end_at_what_an_owner_holds() -> None:
    assert split({"a": 2.9, "b": 0.4, "c": 50.0}, {"a"}, allocation="equal") == {"a": 2, "c": 3}


@pytest.mark.unchecked
def test_by_score_those_that_are_clear_are_asked_and_if_nobody_is_all() -> None:
    assert split({"a": 20.0, "b": 20.0}, {"a"}) == {"a": 10}
    assert split({"a": 3.0, "b": 3.0}, {"a"}) == {"a": 3}
    assert split({"a": 20.0, "b": 20.0}, set()) == {"a": 5, "b": 5}
    assert split({"a": 0.2}, {"a"}) == {}
