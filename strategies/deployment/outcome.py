"""The result of a real run: outcome.json and summary.md. No decision of the run depends on them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mycroft_fl.report.run.answer import answer
from mycroft_fl.report.run.files import OUTCOME
from mycroft_fl.report.run.result import SUPERLINK, Result
from mycroft_fl.report.run.schema import check_result
from mycroft_fl.report.run.summary import summary
from mycroft_fl.tasks.file import TaskFile
from strategies.mycroft import MycroftStrategy
from strategies.runs import warnings
from strategies.runs.environment import versions
from strategies.runs.folder import RunFolder
from strategies.runs.held_out import HeldOut
from strategies.runs.outcome import (
    BASELINE,
    owner_result,
    prices,
    reached,
    releases,
    round_results,
    saved_models,
)

SUMMARY = "summary.md"


def write_outcome(
    folder: RunFolder,
    task_file: Path,
    task: TaskFile,
    strategy: MycroftStrategy,
    admitted: Sequence[str],
    *,
    engine: str = SUPERLINK,
) -> None:
    """Write what the run has come to, for programs and for a person."""
    found = replace(outcome_of(folder, task_file, task, strategy, admitted), engine=engine)
    outcome = replace(found, verdict=answer(found.as_json()).verdict).as_json()
    check_result(outcome)
    folder.save_text(SUMMARY, summary(outcome))
    folder.save_json(OUTCOME, outcome)


def outcome_of(
    folder: RunFolder,
    task_file: Path,
    task: TaskFile,
    strategy: MycroftStrategy,
    admitted: Sequence[str],
) -> Result:
    """Collect all that there is to say; of accuracies nothing where the task has no test examples.

    `admitted` are the owners that might have taken part, by name.
    """
    config, scoreboard = strategy.config, strategy.scoreboard
    saved = saved_models(folder, task.task)
    metric = strategy.trainer.metric
    tests = None
    if task.test is not None:
        tests = HeldOut.of(task.test, saved[BASELINE], metric=metric)
    owners = [
        owner_result(record, rank, failure=record.failure, lost=record.lost)
        for record, rank in scoreboard.ranking()
    ]
    return Result(
        task=str(task_file),
        method=config.method,
        engine=SUPERLINK,
        seed=config.seed,
        settings=config.settings(),
        warnings=_warnings(strategy, admitted),
        metric=metric.name,
        **reached(tests, saved, config),
        free_is=strategy.trainer.free.name,
        final_is=strategy.final.how,
        front=prices(tests, saved, strategy.final.candidates),
        rounds=round_results(folder, task.task, strategy.rounds, tests),
        owners=owners,
        privacy=releases(folder, scoreboard),
        disclosed=scoreboard.disclosed,
        spent=scoreboard.spent,
        seconds=round(time.monotonic() - strategy.trainer.since, 3),
        environment={**versions(), "threads": config.threads},
    )


def _warnings(strategy: MycroftStrategy, admitted: Sequence[str]) -> list[str]:
    config, scoreboard = strategy.config, strategy.scoreboard
    return [
        *warnings.of_metric(strategy.trainer),
        *warnings.of_hard_set(strategy.trainer, config.hard_set_sent),
        *warnings.of_suspects(strategy.trainer),
        *warnings.of_noise(scoreboard),
        *warnings.of_nothing_acquired(config.mode, scoreboard),
        *warnings.of_owners(admitted, scoreboard),
    ]
