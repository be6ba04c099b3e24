"""A real trainer's task, read from `task.toml`: its data sets, its model, its settings.

    train = { path = "flows.csv", label = "attack", drop = ["difficulty"] }
    validation = { path = "hard-weeks.csv", label = "attack", drop = ["difficulty"] }
    test = { path = "last-month.csv", label = "attack", drop = ["difficulty"] }   # optional
    model = "random-forest"
    weights = "forest.skops"                                                      # optional
    head = "fc"                # optional, of a network of one's own: its last linear layer
    transform = "mine:scaled"  # optional, likewise: a function that prepares a batch
    labels = ["attack", "normal"]                                                 # optional
    [run]
    method = "features"

Relative paths are taken from the file's own folder; unknown keys are refused.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mycroft_fl.data.dataset import Dataset
from mycroft_fl.data.fitted import fitted, task_examples
from mycroft_fl.data.formats.spec import DatasetSpec, read_spec
from mycroft_fl.data.sources import load_dataset
from mycroft_fl.data.tables.fit import fit_schema
from mycroft_fl.data.task import Task
from mycroft_fl.errors import DataError
from mycroft_fl.examples import Examples
from mycroft_fl.inspection.told import all_told
from mycroft_fl.metrics.names import metric_from_folder
from mycroft_fl.settings.own_names import model_name
from mycroft_fl.settings.run_config import AUTO, RunConfig
from mycroft_fl.settings.space_names import from_folder
from mycroft_fl.settings.toml_table import TomlTable
from mycroft_fl.tasks.words import named_by, with_words

KEYS = ("train", "validation", "test", "model", "head", "transform", "weights", "labels", "run")


@dataclass(frozen=True, eq=False)
class TaskFile:
    """A trainer's part: the task it agrees on with owners, its examples and its settings.

    `method` is as the file has it; `config` names the one that its own mode takes.
    """

    task: Task
    train: Examples
    validation: Examples
    test: Examples | None
    weights: Path | None
    config: RunConfig
    method: str = AUTO


def load_task(path: Path) -> TaskFile:
    """Return the task in that file. Raises `DataError` or `SettingError` naming file and key.

    How a table's rows become vectors is fitted on `train` alone. Examples of validation or test
    that stand in train too, and of test that stand in validation, are left out.
    """
    path = path.expanduser().absolute()
    table = TomlTable.read(path, DataError)
    table.check_keys(KEYS)
    specs = {
        part: read_spec(table, part)
        for part in ("train", "validation", "test")
        if part in table.values
    }
    for part in ("train", "validation"):
        if part not in specs:
            raise table.wrong(part, "is missing; name a data set")
    base, config = path.parent, _config(table, path.parent)
    with all_told(list(specs.values()), base):
        own = load_dataset(specs["train"], base)
        model = from_folder(model_name(table), base)
        task = _task(own, specs["train"], _classes(table, own), model, config)
        parts = {"train": fitted(own, specs["train"], task).examples}
        parts |= {
            part: task_examples(spec, base, task) for part, spec in specs.items() if part != "train"
        }
    parts["validation"] = _without(parts["validation"], parts["train"])
    if "test" in parts:
        seen = Examples.concatenate([parts["train"], parts["validation"]])
        parts["test"] = _without(parts["test"], seen)
    for part, examples in parts.items():
        if len(examples) == 0:
            raise table.wrong(part, "holds nothing that the parts before it do not hold")
    config = named_by(task, config)
    return TaskFile(
        task, parts["train"], parts["validation"], parts.get("test"), _weights(table, base), config,
        str(table.table("run").flat().get("method", AUTO)),
    )  # fmt: skip


def _config(table: TomlTable, base: Path) -> RunConfig:
    config = RunConfig.from_settings(table.table("run").flat())
    return replace(
        config,
        metric=metric_from_folder(config.metric, base),
        feature_space=from_folder(config.feature_space, base),
        proxy=from_folder(config.proxy, base),
    )


def _task(
    own: Dataset, spec: DatasetSpec, classes: tuple[str, ...], model: str, config: RunConfig
) -> Task:
    if own.table is not None:
        schema = fit_schema(own.table, spec)
        return Task(classes, (schema.width,), np.dtype(np.float32), model, schema)
    assert own.x is not None
    task = Task(classes, tuple(own.x.shape[1:]), own.x.dtype, model)
    return with_words(task, own.x, config)


def _classes(table: TomlTable, own: Dataset) -> tuple[str, ...]:
    """Return the classes as listed, which may be more than the trainer has seen; else those of its data."""
    labels = table.values.get("labels")
    if labels is None:
        return own.classes
    if not isinstance(labels, list) or not all(isinstance(each, str) for each in labels):
        raise table.wrong("labels", f"is {labels!r}; give a list of class names")
    if len(set(labels)) < max(2, len(labels)):
        raise table.wrong("labels", "must name at least two classes, none of them twice")
    return tuple(labels)


def _weights(table: TomlTable, base: Path) -> Path | None:
    if "weights" not in table.values:
        return None
    path = base / Path(table.one("weights", str)).expanduser()
    if not path.is_file():
        raise table.wrong(
            "weights", f"names {path}, which does not exist; give a safetensors or skops file"
        )
    return path


def _without(examples: Examples, seen: Examples) -> Examples:
    return examples[~np.isin(examples.ids, seen.ids)]
