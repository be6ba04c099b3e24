"""The parts of a run's result that its trainer knows, whether its owners were real or simulated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mycroft_fl.data.task import Task
from mycroft_fl.models.fitting import AnyModel
from mycroft_fl.models.weights import loaded
from mycroft_fl.report.run.result import OwnerResult, Release, RoundResult
from mycroft_fl.settings.run_config import RunConfig
from strategies.rounds.owner_record import OwnerRecord, RoundRecord
from strategies.rounds.scoreboard import Scoreboard
from strategies.runs.folder import RunFolder
from strategies.runs.held_out import HeldOut
from strategies.training.built import built
from strategies.training.front import front
from strategies.training.trainer import Trainer

BASELINE, FINAL = "baseline", "final"
RIVALS = {"control": "control", "own_hard_set": "own-hard-set", "free": "free"}
MODELS = {BASELINE: BASELINE, **RIVALS, FINAL: FINAL}
"""The models that every run saves: field of the result -> name of the file."""


def saved_models(folder: RunFolder, task: Task) -> dict[str, AnyModel]:
    """Load the models that every run saves, by field of the result."""
    return {field: saved_model(folder, name, task) for field, name in MODELS.items()}


def saved_model(folder: RunFolder, name: str, task: Task) -> AnyModel:
    """Load a model that the run has saved."""
    path = folder.saved(name)
    assert path is not None
    return loaded(built(task, seed=0), path)


def reached(
    tests: HeldOut | None, saved: Mapping[str, AnyModel], config: RunConfig
) -> dict[str, Any]:
    """Evaluate the saved models, by field of the result; of none is anything known without tests."""
    if tests is None:
        return {**dict.fromkeys(MODELS), "tested": None, "gains": {}}
    return {
        **{field: tests.accuracies(saved[field]) for field in MODELS},
        "tested": tests.counts(),
        "gains": {field: tests.gains(saved[FINAL], saved[field], config) for field in RIVALS},
    }


def prices(
    tests: HeldOut | None, saved: Mapping[str, AnyModel], candidates: Sequence[AnyModel]
) -> list[dict[str, float]] | None:
    """List what candidates for the final model gain and lose on test examples, the best of them."""
    if tests is None or not candidates:
        return None
    models = [saved["free"], saved[FINAL], *candidates]
    return [dict(vars(each)) for each in front(models, saved[BASELINE], tests.examples)]


def failing_of(trainer: Trainer) -> list[dict[str, Any]]:
    """List the groups of the baseline's failures, with classes by name."""
    names = trainer.task.classes

    def named(counts: Mapping[int, int]) -> dict[str, int]:
        return {names[label]: count for label, count in sorted(counts.items())}

    return [
        {
            "failures": each.failures,
            "classes": named(each.labels),
            "taken_for": named(each.taken_for),
        }
        for each in trainer.knowledge.failing
    ]


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
        stock=record.stock,
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
