"""Plans of rounds: every mode of a run has two, and owners are asked in known modes alone."""

from __future__ import annotations

from mycroft_fl.modes import MODES, answer_names
from strategies.rounds.plans import answer_modes, plans_of


def test_owners_are_asked_only_in_modes_they_can_answer_in_and_in_each_of_them() -> None:
    assert {plan.answer for mode in MODES for plan in plans_of(mode)} == set(answer_names())


def test_each_mode_of_answering_is_named_once_in_the_order_of_asking() -> None:
    assert answer_modes("raw") == ["raw"]
    assert answer_modes("score-then-raw") == ["score", "raw"]
