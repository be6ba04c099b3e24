"""A data set as a file names it: a name or path, and how its rows are to be read."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from mycroft_fl.errors import InputError, suggestion
from mycroft_fl.settings.toml_table import TomlTable

EVERYTHING_ELSE = "*"
CHOICES = {
    "missing": ("refuse", "fill"),
    "unseen": ("refuse", "ignore"),
    "unknown-labels": ("refuse", "drop"),
}
LISTS = ("drop", "log")
TEXTS = (
    "label", "unit-id", "shareable", "image", "text", "test-path",
    "query", "sheet", "delimiter", "encoding", "decimal", "thousands",
)  # fmt: skip
KINDS = ("number", "category", "date", "id", "ignore")
NO_FEATURES = ("id", "ignore")
PASSWORD = re.compile(r"(://[^/@]*?:)[^/]*(@)")
MOST_WIDTH = 1 << 20
"""Bytes of one text."""


@dataclass(frozen=True)
class DatasetSpec:
    """One `dataset = "..."` or `dataset = { path = "...", ... }`.

    path            a known set's name, or a file or folder
    label           a table's column with the class
    drop            columns that are not features; a group's `where` may still name them
    columns         what columns hold: "number", "category", "date", or "id" and "ignore", which are
                    no features; a date may say how it is written, such as "date:%d/%m/%Y"
    unit_id         column that says whose row it is (a person, a host); not a feature
    shareable       column of yes or no: whether a row may be handed over as it is; not a feature
    image           column with paths of images, relative to the table's folder
    text            column with texts, which are the examples
    query           what is asked of the database of which path is the SQLAlchemy URL
    sheet           of a workbook, the first one where empty
    test_path       a file of its own for the trainer's test examples
    delimiter       of a CSV file; found by its header where empty
    encoding        of a CSV file, UTF-8 where empty
    decimal         the decimal point, "." where empty
    thousands       what stands between thousands, nothing where empty
    missing         values that are missing: "refuse", or "fill" with the trainer's median or mode
    missing_values  texts that stand for a missing value, by column
    unseen          categories that the trainer's rows lack: "refuse", or "ignore" (all zero)
    unknown_labels  classes that the task lacks: "refuse", or "drop" such rows
    log             columns of numbers taken as sign(v) log(1 + |v|)
    labels          names in the file -> names of the task's classes; "*" stands for all others
    size            images are brought to size x size pixels; 0: they must be of one size
    longest         bytes of a text in UTF-8, longer ones are cut; 0: what the longest needs, up to 4096
    grey_range      darkest and brightest value of grey images of more than 8 bits
    """

    path: str
    label: str = ""
    drop: tuple[str, ...] = ()
    columns: tuple[tuple[str, str], ...] = ()
    unit_id: str = ""
    shareable: str = ""
    image: str = ""
    text: str = ""
    test_path: str = ""
    query: str = ""
    sheet: str = ""
    delimiter: str = ""
    encoding: str = ""
    decimal: str = ""
    thousands: str = ""
    missing: str = "refuse"
    missing_values: tuple[tuple[str, tuple[str, ...]], ...] = ()
    unseen: str = "refuse"
    unknown_labels: str = "refuse"
    log: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    size: int = 0
    longest: int = 0
    grey_range: tuple[float, ...] = ()

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
        return {key: _plain(key, value) for key, value in setting.items()}

    def as_shown(self) -> str | dict[str, Any]:
        """Return it likewise for results and pages: without the password of a database.

        >>> DatasetSpec("mysql://me:secret@host/stays", query="select 1").as_shown()
        {'path': 'mysql://me:***@host/stays', 'query': 'select 1'}
        """
        return replace(self, path=PASSWORD.sub(r"\1***\2", self.path)).as_setting()

    @property
    def kinds(self) -> dict[str, str]:
        """What the columns are said to hold, without how a date is written."""
        return {name: kind.partition(":")[0] for name, kind in self.columns}

    def renamed(self, name: str) -> str:
        """Return what a class called `name` in the file is called in the task."""
        table = dict(self.labels)
        return table.get(name, table.get(EVERYTHING_ELSE, name))

    def describe(self) -> str:
        """Return what an error calls the data set."""
        return f"the query to {self.path.split('://')[0]}" if self.query else Path(self.path).name


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


def _plain(key: str, value: Any) -> Any:
    if key == "missing-values":
        return {name: list(texts) for name, texts in value}
    if key in ("labels", "columns"):
        return dict(value)
    return list(value) if isinstance(value, tuple) else value


def _from_table(table: TomlTable) -> DatasetSpec:
    table.check_keys(each.name.replace("_", "-") for each in fields(DatasetSpec))
    given: dict[str, Any] = {"path": table.one("path", str)}
    for key in TEXTS:
        given[key] = table.one(key, str, "")
    for key, known in CHOICES.items():
        given[key] = table.choice(key, known) or known[0]
    for key in LISTS:
        given[key] = _texts(table, key)
    given["labels"], given["columns"] = _label_map(table), _kinds(table)
    given["missing-values"] = _missing_values(table)
    given["size"] = table.one("size", int, 0)
    if given["size"] < 0:
        raise table.wrong("size", f"is {given['size']}; give a number of pixels")
    given["longest"] = table.one("longest", int, 0)
    if not 0 <= given["longest"] <= MOST_WIDTH:
        raise table.wrong(
            "longest", f"is {given['longest']}; give up to {MOST_WIDTH} bytes of a text"
        )
    if given["image"] and given["text"]:
        raise table.wrong("text", "and image are both given; an example is one or the other")
    given["grey-range"] = _range(table)
    _check_spelling(table, given)
    return DatasetSpec(**{key.replace("-", "_"): value for key, value in given.items()})


def _check_spelling(table: TomlTable, given: Mapping[str, Any]) -> None:
    for key in ("delimiter", "decimal", "thousands"):
        if len(given[key]) > 1:
            raise table.wrong(key, f"is {given[key]!r}; give one character")
    if given["delimiter"] in ('"', "\r", "\n", " "):
        raise table.wrong("delimiter", f"is {given['delimiter']!r}; give ',', ';', '|' or a tab")
    if given["decimal"] not in ("", ".", ","):
        raise table.wrong("decimal", f"is {given['decimal']!r}; give '.' or ','")
    if given["thousands"] not in ("", ",", ".", "'", "\u2019", " ", "_"):
        raise table.wrong("thousands", f"is {given['thousands']!r}; give ',', '.', \"'\" or ' '")
    if given["thousands"] == (given["decimal"] or "."):
        raise table.wrong(
            "thousands", f"and decimal are both {given['thousands']!r}; give two that differ"
        )
    try:
        # A codec that turns bytes into bytes is none of text, and ends in LookupError as well.
        "a".encode(given["encoding"] or "utf-8")
    except (LookupError, ValueError) as error:
        raise table.wrong(
            "encoding",
            f"is {given['encoding']!r}; give a name such as 'utf-8', 'cp1252' or 'utf-16'",
        ) from error


def _kinds(table: TomlTable) -> tuple[tuple[str, str], ...]:
    inner = table.table("columns")
    found = {name: inner.one(name, str) for name in inner.values}
    for name, given in found.items():
        kind, _, pattern = given.partition(":")
        if kind == "text":
            raise inner.wrong(
                name,
                "is 'text'; name the one column of texts by text = ..., give 'category' for names that "
                "return, or 'ignore'",
            )
        if kind not in KINDS or (pattern and kind != "date"):
            raise inner.wrong(name, f"is '{given}'{suggestion(given, list(KINDS))}")
    return tuple(found.items())


def _missing_values(table: TomlTable) -> tuple[tuple[str, tuple[str, ...]], ...]:
    inner = table.table("missing-values")
    for name, values in inner.values.items():
        if not isinstance(values, list) or not all(type(v) in (str, int, float) for v in values):
            raise inner.wrong(name, f"is {values!r}; give a list of texts or numbers")
    return tuple((name, tuple(map(str, values))) for name, values in inner.values.items())


def _range(table: TomlTable) -> tuple[float, ...]:
    value = table.values.get("grey-range", [])
    if value == []:
        return ()
    if not isinstance(value, list) or not [type(v) in (int, float) for v in value] == [True] * 2:
        raise table.wrong("grey-range", f"is {value!r}; give two numbers, such as [0, 4095]")
    low, high = map(float, value)
    if not low < high or not math.isfinite(high - low):
        raise table.wrong("grey-range", f"is {value!r}; give the darkest value, then the brightest")
    return low, high


def _texts(table: TomlTable, key: str) -> tuple[str, ...]:
    value = table.values.get(key, [])
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise table.wrong(key, f"is {value!r}; give a list of columns")
    return tuple(value)


def _label_map(table: TomlTable) -> tuple[tuple[str, str], ...]:
    inner = table.table("labels")
    return tuple((name, inner.one(name, str)) for name in inner.values)
