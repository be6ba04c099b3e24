"""The table of modes: what it names is there, and what lists modes elsewhere lists the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mycroft_fl.modes import MODES, answer_names, handing_over, resolved

REFERENCES = ("check", "promise", "numbers", "brings", "plans", "price", "release", "adds")
SCHEMA = Path(__file__).parents[3] / "mycroft_fl" / "report" / "result.schema.json"


@pytest.mark.parametrize("name", MODES)
def test_whatever_a_mode_names_is_there(name: str) -> None:
    mode = MODES[name]
    named = [reference for each in REFERENCES if (reference := getattr(mode, each))]
    assert all(callable(resolved(each)) for each in (*named, *mode.audits))
    assert mode.name == name


def test_an_answer_hands_examples_over_or_is_noised_and_never_both() -> None:
    assert answer_names() == ("raw", "raw-gumbel", "score", "gradient", "dp-sgd")
    assert handing_over() == {"raw", "raw-gumbel"}
    for mode in MODES.values():
        assert not (mode.hands_over and mode.noised)
        assert bool(mode.leaves) == mode.answers


def test_a_card_in_a_result_is_of_a_mode_or_of_what_the_trainer_publishes() -> None:
    found = json.loads(SCHEMA.read_text())
    [listed] = [
        each["mode"]["enum"]
        for each in _properties(found)
        if "raw-gumbel" in each.get("mode", {}).get("enum", ())
    ]
    assert [each for each in listed if not each.startswith("publish-")] == list(answer_names())


def _properties(schema: object) -> list[dict]:
    if isinstance(schema, list):
        return [found for each in schema for found in _properties(each)]
    if not isinstance(schema, dict):
        return []
    own = [schema["properties"]] if isinstance(schema.get("properties"), dict) else []
    return own + [found for each in schema.values() for found in _properties(each)]
