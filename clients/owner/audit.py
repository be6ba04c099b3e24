"""An audit through an owner's file: what one row of its table can do to a score, by the vault's own path."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from clients.answering.noised import contributions
from clients.answering.trainer_view import TrainerView, in_range
from clients.owner.file import load_owner_file
from clients.owner.load import records_of, task_of
from mycroft_fl.data.formats.spec import DatasetSpec
from mycroft_fl.data.sources import load_dataset
from mycroft_fl.data.tables.fit import fit_schema
from mycroft_fl.data.task import Task
from mycroft_fl.examples import Examples
from mycroft_fl.models.networks import build
from mycroft_fl.models.weights import flat_weights
from mycroft_fl.privacy.audits.bounds import Finding
from mycroft_fl.privacy.noise.mechanisms import UNITS, exact_sum
from mycroft_fl.privacy.relevance.counts import COUNT_BOUND, ClassRows
from mycroft_fl.privacy.relevance.hard_set_target import SCORE_BOUND
from mycroft_fl.protocol.messages import Request
from mycroft_fl.tasks.description import write_task

COLUMNS = "age,pressure,outcome"
CONFLICTING = ("71.0,160.0,ill", "71.0,160.0,well")
"""One content under two labels: as like the hard examples as can be, and as unlike."""
OTHERS = ("30.0,110.0,well", "45.0,125.0,well", "52.0,140.0,ill", "38.0,118.0,well")
OWNER = """
name = "hospital"
task = "task.json"
dataset = { path = "patients.csv", label = "outcome" }
[policy]
modes = ["score"]
epsilon = 1.0
"""


def audit_score_through_a_file() -> Iterator[Finding]:
    """Measure how far one row moves the exact sum, rows with one content and two labels among them."""
    rows = (*CONFLICTING, *OTHERS, CONFLICTING[0])
    with tempfile.TemporaryDirectory() as folder:
        whole = _summed(Path(folder) / "whole", rows)
        moved = max(
            _length(whole - _summed(Path(folder) / f"without-{place}", _without(rows, place)))
            for place in range(len(rows))
        )
    name, claimed = "an owner's file, one content under two labels", math.sqrt(SCORE_BOUND)
    yield Finding("score", name, "moved by a row", moved, claimed)


def audit_counts_through_a_file() -> Iterator[Finding]:
    """Measure how far one row, and one person's rows, move the exact counts by class."""
    rows = [f"{row},p{place // 2}" for place, row in enumerate((*CONFLICTING, *OTHERS))]
    name = "an owner's file, one content under two labels"
    with tempfile.TemporaryDirectory() as folder:
        for unit, by_person in (("a row", False), ("a person", True)):
            whole = _counted(Path(folder) / f"{by_person}-whole", rows, by_person)
            moved = max(
                _length(whole - _counted(Path(folder) / f"{by_person}-{at}", fewer, by_person))
                for at, fewer in enumerate(_neighbours(rows, by_person))
            )
            yield Finding("counts", name, f"moved by {unit}", moved, math.sqrt(COUNT_BOUND), 0.5)


def _neighbours(rows: Sequence[str], by_person: bool) -> list[list[str]]:
    if not by_person:
        return [_without(rows, place) for place in range(len(rows))]
    persons = {row.rpartition(",")[2] for row in rows}
    return [[row for row in rows if not row.endswith(f",{person}")] for person in sorted(persons)]


def _counted(folder: Path, rows: Sequence[str], by_person: bool) -> Int64[np.ndarray, " d"]:
    """Count an owner's records by class as its vault does, before the noise."""
    folder.mkdir()
    task = _task(folder)
    (folder / "patients.csv").write_text("\n".join([f"{COLUMNS},patient", *rows]) + "\n")
    mark = 'unit-id = "patient"' if by_person else 'drop = ["patient"]'
    (folder / "owner.toml").write_text(OWNER.replace('"outcome" }', f'"outcome", {mark} }}'))
    file = load_owner_file(folder / "owner.toml")
    records = records_of(file, task_of(file))
    added = ClassRows(records.examples.y, task.num_classes)
    return exact_sum(added, COUNT_BOUND, persons=records.persons)


def _without(rows: Sequence[str], place: int) -> list[str]:
    return [row for at, row in enumerate(rows) if at != place]


def _length(moved: Int64[np.ndarray, " d"]) -> float:
    return math.sqrt(int((moved.astype(object) ** 2).sum())) / UNITS


def _summed(folder: Path, rows: Sequence[str]) -> Int64[np.ndarray, " d"]:
    """Work out the sum behind a score of an owner whose table has these rows."""
    folder.mkdir()
    task = _task(folder)
    (folder / "patients.csv").write_text("\n".join([COLUMNS, *rows]) + "\n")
    (folder / "owner.toml").write_text(OWNER)
    file = load_owner_file(folder / "owner.toml")
    records = records_of(file, task_of(file))
    asked = _request(task)
    known = in_range(asked, records.examples)
    view = TrainerView.of(asked, records.examples)
    added = contributions(view, records.examples[known], file.policy.clip)
    return exact_sum(added.rows, added.bound_squared, persons=records.persons_of(known))


def _task(folder: Path) -> Task:
    """Write a task that knows nothing of the owner's rows."""
    spec = DatasetSpec("trainer.csv", label="outcome")
    (folder / "trainer.csv").write_text("\n".join([COLUMNS, *OTHERS, *CONFLICTING[:1]]) + "\n")
    own = load_dataset(spec, folder)
    assert own.table is not None
    schema = fit_schema(own.table, spec)
    task = Task(own.classes, (schema.width,), np.dtype(np.float32), "linear", schema)
    write_task(task, folder / "task.json")
    return task


def _request(task: Task) -> Request:
    """Ask with hard examples that are ill, near the conflicting rows, through a model that knows nothing."""
    model = build("linear", task.shape, task.num_classes, seed=0)
    hard = np.tile(np.array([2.0, 2.0], np.float32), (4, 1))
    return Request(
        server_round=1, method="features", k=1, hard=Examples(hard, np.zeros(4, np.int64)),
        num_classes=task.num_classes, model="linear", weights=np.zeros_like(flat_weights(model)),
        feature_space="pixels", owner_epochs=1, seed=0, mode="score",
    )  # fmt: skip
