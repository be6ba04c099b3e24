"""What a real run has come to, in Markdown: which class an owner helps with, where it was asked."""

from __future__ import annotations

from typing import Any

from mycroft_fl.report.run.by_class import MEANING
from mycroft_fl.scoring import Score
from strategies.deployment.outcome import outcome_text
from strategies.rounds.owner_record import OwnerRecord


def outcome(record: OwnerRecord) -> dict[str, Any]:
    owner = {
        "owner": "a", "status": "scored", "failure": None, "rank": 1, "score": 0.2, "low": 0.1,
        "high": 0.3, "disclosed": 0, "cards": [], "by_class": record.by_class_as_json(),
    }  # fmt: skip
    return {
        "task": "digits.toml", "method": "omp", "seed": 0, "settings": {"budget": 9}, "disclosed": 0,
        "spent": 0, "accuracies": None, "owners": [owner], "rounds": [],
    }  # fmt: skip


def test_an_outcome_says_which_class_an_owner_helps_with() -> None:
    output = OwnerRecord("a", by_class={"3": Score(0.25, 0.2, 0.3), "8": Score(0.0, -0.1, 0.1)})
    text = outcome_text(outcome(output))
    assert MEANING in text
    assert "- a: 3 +25.0 [+20.0, +30.0]\n" in text


def test_where_no_score_was_by_class_it_says_nothing_of_classes() -> None:
    assert MEANING not in outcome_text(outcome(OwnerRecord("a")))
