"""A data set as a file names it: a name or path, and how its rows are to be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from mycroft_fl.errors import InputError
from mycroft_fl.settings.toml_table import TomlTable

EVERYTHING_ELSE = "*"
CHOICES = {
    "missing": ("refuse", "fill"),
    "unseen": ("refuse", "ignore"),
    "unknown-labels": ("refuse", "drop"),
}
LISTS = ("drop", "log")


@dataclass(frozen=True)
class DatasetSpec:
    """One `dataset = "..."` or `dataset = { path = "...", ... }`.

    path            a known set's name, or a file or folder
    label           a table's column with the class
    drop            columns that are not features; a group's `where` may still name them
    unit_id         column that says whose row it is (a person, a host); not a feature
    shareable       column of yes or no: whether a row may be handed over as it is; not a feature
    image           column with paths of images, relative to the table's folder
    test_path       a file of its own for the trainer's test examples
    delimiter       of a CSV file, a comma where empty
    missing         values that are missing: "refuse", or "fill" with the trainer's median or mode
    unseen          categories that the trainer's rows lack: "refuse", or "ignore" (all zero)
    unknown_labels  classes that the task lacks: "refuse", or "drop" such rows
    log             columns of numbers taken as sign(v) log(1 + |v|)
    labels          names in the file -> names of the task's classes; "*" stands for all others
    size            images are brought to size x size pixels; 0: they must be of one size
    """

    path: str
    label: str = ""
    drop: tuple[str, ...] = ()
    unit_id: str = ""
    shareable: str = ""
    image: str = ""
    test_path: str = ""
    delimiter: str = ""
    missing: str = "refuse"
    unseen: str = "refuse"
    unknown_labels: str = "refuse"
    log: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    size: int = 0

    @classmethod
    def of(cls, name_or_spec: str | DatasetSpec) -> DatasetSpec:
        """Return the spec itself, or that of a bare name or path."""
        return cls(name_or_spec) if isinstance(name_or_spec, str) else name_or_spec

    def as_setting(self) -> str | dict[str, Any]:
        """Return it as it would stand in a file: only what is not at its default, a bare path as text."""
        setting = {
            each.name.replace("_", "-"): getattr(self, each.name)
            for each in fields(self)
            if getattr(self, each.name) != each.default
        }
        if set(setting) == {"path"}:
            return self.path
        return {
            key: dict(value) if key == "labels" else list(value) if key in LISTS else value
            for key, value in setting.items()
        }

    def renamed(self, name: str) -> str:
        """Return what a class called `name` in the file is called in the task."""
        table = dict(self.labels)
        return table.get(name, table.get(EVERYTHING_ELSE, name))

    def describe(self) -> str:
        """Return what an error calls the data set."""
        return Path(self.path).name


def read_spec(parent: TomlTable, key: str = "dataset") -> DatasetSpec:
    """Return the data set at `key` of a file's table. Raises that table's error."""
    value = parent.values.get(key)
    if value is None:
        raise parent.wrong(key, "is missing; give a text, or a table with at least path")
    if isinstance(value, str):
        return DatasetSpec(value)
    if not isinstance(value, dict):
        raise parent.wrong(key, f"is {value!r}; give a text, or a table with at least path")
    return _from_table(parent.table(key))


def spec_from_setting(value: str | Mapping[str, Any], error: type[InputError]) -> DatasetSpec:
    """Return the data set that a `--set dataset=...` names."""
    return read_spec(TomlTable({"dataset": value}, "--set", "", error))


def _from_table(table: TomlTable) -> DatasetSpec:
    table.check_keys(each.name.replace("_", "-") for each in fields(DatasetSpec))
    given: dict[str, Any] = {"path": table.one("path", str)}
    for key in ("label", "unit-id", "shareable", "image", "test-path", "delimiter"):
        given[key] = table.one(key, str, "")
    for key, known in CHOICES.items():
        given[key] = table.choice(key, known) or known[0]
    for key in LISTS:
        given[key] = _texts(table, key)
    given["labels"] = _label_map(table)
    given["size"] = table.one("size", int, 0)
    if given["size"] < 0:
        raise table.wrong("size", f"is {given['size']}; give a number of pixels")
    if len(given["delimiter"]) > 1:
        raise table.wrong("delimiter", f"is {given['delimiter']!r}; give one character")
    return DatasetSpec(**{key.replace("-", "_"): value for key, value in given.items()})


def _texts(table: TomlTable, key: str) -> tuple[str, ...]:
    value = table.values.get(key, [])
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise table.wrong(key, f"is {value!r}; give a list of columns")
    return tuple(value)


def _label_map(table: TomlTable) -> tuple[tuple[str, str], ...]:
    inner = table.table("labels")
    return tuple((name, inner.one(name, str)) for name in inner.values)
