"""Plans of rounds: every mode of a run has two, and owners are asked in known modes alone."""

from __future__ import annotations

import dataclasses

from mycroft_fl.protocol.messages import MODES
from mycroft_fl.settings.run_config import RunConfig
from strategies.rounds.plans import PLANS, answer_modes


def test_every_mode_that_may_be_set_has_its_plans_and_no_other() -> None:
    (mode,) = [each for each in dataclasses.fields(RunConfig) if each.name == "mode"]
    assert set(PLANS) == set(mode.metadata["choices"])


def test_owners_are_asked_only_in_modes_they_can_answer_in_and_in_each_of_them() -> None:
    assert {plan.answer for plans in PLANS.values() for plan in plans} == set(MODES)


def test_each_mode_of_answering_is_named_once_in_the_order_of_asking() -> None:
    assert answer_modes("raw") == ["raw"]
    assert answer_modes("score-then-raw") == ["score", "raw"]
