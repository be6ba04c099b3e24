"""The parts of a run's result that its trainer knows, whether its owners were real or simulated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mycroft_fl.data.task import Task
from mycroft_fl.models.catalogue import build_model
from mycroft_fl.models.fitting import AnyModel
from mycroft_fl.models.weights import loaded
from mycroft_fl.report.run.result import OwnerResult, Release, RoundResult
from strategies.rounds.owner_record import OwnerRecord, RoundRecord
from strategies.rounds.scoreboard import Scoreboard
from strategies.runs.folder import RunFolder
from strategies.runs.held_out import HeldOut

BASELINE, CONTROL, OWN_HARD_SET, FINAL = MODELS = ("baseline", "control", "own-hard-set", "final")
"""The models that every run saves."""


def saved_model(folder: RunFolder, name: str, task: Task) -> AnyModel:
    """Load a model that the run has saved."""
    path = folder.saved(name)
    assert path is not None
    return loaded(build_model(task.model, task.shape, task.num_classes, seed=0), path)


def round_results(
    folder: RunFolder, task: Task, rounds: Sequence[RoundRecord], tests: HeldOut | None
) -> list[RoundResult]:
    """Put beside each round what its model reaches on the test examples, if there are any."""
    return [
        RoundResult(
            **record.as_json(),
            reached=tests.accuracies(saved_model(folder, f"round-{record.round}", task))
            if tests
            else None,
        )
        for record in rounds
    ]


def owner_result(record: OwnerRecord, rank: int | None, **known: Any) -> OwnerResult:
    """Sum up an owner; `known` are the fields that only a simulator, or only a real run, has."""
    return OwnerResult(
        owner=record.owner,
        status=record.status,
        rank=rank,
        score=record.score,
        by_class=record.by_class,
        disclosed=record.disclosed,
        card=record.cards[-1] if record.cards else None,
        **known,
    )


def releases(folder: RunFolder, scoreboard: Scoreboard) -> list[Release]:
    """List every release with its card: owners' by name and in order, then the trainer's own."""
    answers = [
        Release(name, answer, card.as_json())
        for name, record in sorted(scoreboard.records.items())
        for answer, card in enumerate(record.cards, start=1)
    ]
    published = folder.read_json("published.json") or []
    # No owner can have a name with brackets.
    return answers + [
        Release("(trainer)", answer, release["card"])
        for answer, release in enumerate(published, start=1)
    ]
