"""What came of a real run: outcome.json and summary.md. No decision of the run depends on them."""

from __future__ import annotations

import platform
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mycroft_fl.data.task import Task
from mycroft_fl.models.catalogue import build_model
from mycroft_fl.models.fitting import AnyModel, correct
from mycroft_fl.models.weights import loaded
from mycroft_fl.report.run.by_class import class_lines
from mycroft_fl.tasks.file import TaskFile
from strategies.mycroft import MycroftStrategy
from strategies.rounds.owner_record import OwnerRecord
from strategies.runs.folder import RunFolder

OUTCOME, SUMMARY = "outcome.json", "summary.md"
SCHEMA = 1
MODELS = ("baseline", "control", "own-hard-set", "final")
PACKAGES = ("mycroft-fl", "flwr", "torch", "numpy", "scikit-learn")


def write_outcome(
    folder: RunFolder, task_file: Path, task: TaskFile, strategy: MycroftStrategy
) -> None:
    """Write what the run has come to, for programs and for a person."""
    outcome = outcome_of(folder, task_file, task, strategy)
    folder.save_text(SUMMARY, outcome_text(outcome))
    folder.save_json(OUTCOME, outcome)


def outcome_of(
    folder: RunFolder, task_file: Path, task: TaskFile, strategy: MycroftStrategy
) -> dict[str, Any]:
    """All that there is to say. `accuracies` is None where the task names no test examples."""
    config, scoreboard = strategy.config, strategy.scoreboard
    return {
        "schema": SCHEMA,
        "task": str(task_file),
        "method": config.method,
        "mode": config.mode,
        "seed": config.seed,
        "settings": config.settings(),
        "accuracies": _accuracies(folder, task),
        "rounds": [record.as_json() for record in strategy.rounds],
        "owners": [_owner(record, rank) for record, rank in scoreboard.ranking()],
        "disclosed": scoreboard.disclosed,
        "spent": scoreboard.spent,
        "seconds": round(time.monotonic() - strategy.trainer.since, 3),
        "environment": {
            "python": platform.python_version(),
            "platform": platform.platform(),
            "threads": config.threads,
            **{package: version(package) for package in PACKAGES},
        },
    }


def outcome_text(outcome: dict[str, Any]) -> str:
    """The outcome in Markdown: what was reached, the ranking, the rounds, what owners promise."""
    lines = [
        f"# {Path(outcome['task']).stem}: {outcome['method']}, seed {outcome['seed']}",
        "",
        f"{outcome['disclosed']} examples disclosed, {outcome['spent']} counted against the budget of "
        f"{outcome['settings']['budget']}.",
    ]
    if outcome["accuracies"] is not None:
        lines += ["", "| model | failures | whole test |", "|---|---|---|"]
        for name, reached in outcome["accuracies"].items():
            lines.append(f"| {name} | {_percent(reached['hard'])} | {_percent(reached['test'])} |")
    lines += [
        "",
        "| rank | owner | status | score | interval | disclosed |",
        "|---|---|---|---|---|---|",
    ]
    for each in outcome["owners"]:
        status = each["status"] + (f": {each['failure']}" if each["failure"] else "")
        interval = "-" if each["score"] is None else f"{each['low']:+.4f} to {each['high']:+.4f}"
        score = "-" if each["score"] is None else f"{each['score']:+.4f}"
        lines.append(
            f"| {each['rank'] or '-'} | {each['owner']} | {status} | {score} | {interval} | "
            f"{each['disclosed']} |"
        )
    if by_class := class_lines(outcome):
        lines += ["", *by_class]
    lines += ["", "| round | asked | answered | failed | disclosed |", "|---|---|---|---|---|"]
    for each in outcome["rounds"]:
        failed = ", ".join(f"{owner}: {code}" for owner, code in each["failed"].items()) or "-"
        lines.append(
            f"| {each['round']} | {each['asked']} | {each['answered']} | {failed} | "
            f"{each['disclosed']} |"
        )
    promises = [(each["owner"], card) for each in outcome["owners"] for card in each["cards"][-1:]]
    lines += ["", *(f"- {owner}: {card['promise']}" for owner, card in promises)]
    return "\n".join(lines).rstrip() + "\n"


def _owner(record: OwnerRecord, rank: int | None) -> dict[str, Any]:
    score = record.score
    return {
        "owner": record.owner,
        "status": record.status,
        "failure": record.failure,
        "rank": rank,
        "score": score.gain if score else None,
        "low": score.low if score else None,
        "high": score.high if score else None,
        "by_class": record.by_class_as_json(),
        "disclosed": record.disclosed,
        "lost": record.lost,
        "cards": [card.as_json() for card in record.cards],
    }


def _accuracies(folder: RunFolder, task: TaskFile) -> dict[str, dict[str, float | None]] | None:
    """Each saved model on the test examples, and on those of them that the baseline gets wrong."""
    if task.test is None:
        return None
    right = {name: correct(_saved(folder, name, task.task), task.test) for name in MODELS}
    hard = ~right["baseline"]
    return {
        name: {
            "test": float(each.mean()),
            "hard": float(each[hard].mean()) if hard.any() else None,
        }
        for name, each in right.items()
    }


def _saved(folder: RunFolder, name: str, task: Task) -> AnyModel:
    path = folder.saved(name)
    assert path is not None
    return loaded(build_model(task.model, task.shape, task.num_classes, seed=0), path)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"
