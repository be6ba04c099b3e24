"""A description of an owner's data as a task sees it: the schema, made-up rows, nothing of the data.

It is a function of the owner's task.json alone. Two owners with the same task send the same bytes,
whatever they hold. The trainer reads it as hostile input: bounded, and checked field by field.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from mycroft_fl.errors import BadMessage
from mycroft_fl.foreign_text import LONGEST_NAME, cleaned

MOST_NAMES = 500
"""Classes and columns that are named; of more, a description says how many there are."""
MOST_ROWS = 8
LONGEST_CELL = 40
MOST_BYTES = 2 << 20
"""Bytes of a description: all names at their longest, in the widest characters, take less."""
MOST_COUNTED = 1_000_000
"""Classes, columns, and numbers along one side of an example."""
FORMS = ("table", "images", "texts", "vectors")
KINDS = ("number", "category", "date", "text")
DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Description:
    """The form of an owner's examples, by its task.

    Attributes:
        form: one of `FORMS`.
        shape: of one example: (columns,), (bytes,) or (channels, height, width).
        label: the name of the column with the class; "" where the task names none.
        classes: the task's, the first `MOST_NAMES`; `num_classes` counts all.
        columns: name and kind of a table's columns, the first `MOST_NAMES`; `num_columns` counts all.
        rows: made-up rows: a cell for each named column, then the class.
        task: the SHA-256 of the whole task, in hex.
    """

    form: str
    shape: tuple[int, ...]
    label: str
    classes: tuple[str, ...]
    num_classes: int
    columns: tuple[tuple[str, str], ...]
    num_columns: int
    rows: tuple[tuple[str, ...], ...]
    task: str

    def as_bytes(self) -> bytes:
        """Write the description as JSON, in one spelling."""
        return json.dumps(asdict(self), sort_keys=True, ensure_ascii=False).encode()


def read_description(content: bytes) -> Description:
    """Read what `Description.as_bytes` wrote, names made printable. `BadMessage` on anything else."""
    if len(content) > MOST_BYTES:
        raise BadMessage(f"a description of {len(content)} bytes; at most {MOST_BYTES}")
    try:
        values = json.loads(content.decode())
    except (ValueError, RecursionError) as error:
        raise BadMessage("a description that is no JSON") from error
    if not isinstance(values, dict) or set(values) != {each.name for each in fields(Description)}:
        raise BadMessage("a description without its fields, or with others")
    for name, fits in _CHECKS.items():
        if not fits(values[name]):
            raise BadMessage(f"a description whose {name} cannot be")
    # Lists of lists at most: a shape's numbers, names, columns' pairs, rows' cells.
    whole = {key: _frozen(value) for key, value in values.items()}
    found = _printable(Description(**whole))
    _check_numbers(found)
    return found


def _printable(found: Description) -> Description:
    """Return a description whose names and cells are fit to be printed."""
    return replace(
        found,
        label=_shown(found.label),
        classes=tuple(map(_shown, found.classes)),
        columns=tuple((_shown(name), kind) for name, kind in found.columns),
        rows=tuple(tuple(cleaned(cell, LONGEST_CELL) for cell in row) for row in found.rows),
    )


def differences(own: Description, other: Description) -> list[str]:
    """Say in lines how an owner's task differs from the trainer's; empty where it is the same one.

    Args:
        own: of the trainer's task.
        other: that an owner sent.

    Example:
        >>> a = Description("images", (1, 8, 8), "", ("0", "1"), 2, (), 0, (), "a" * 64)
        >>> b = Description("images", (3, 8, 8), "", ("0", "1"), 2, (), 0, (), "b" * 64)
        >>> differences(a, b)
        ['shape (3, 8, 8), here (1, 8, 8)']
    """
    own = _printable(own)  # as the other one was read
    if own == other:  # not by the digest, which is whatever its sender claims
        return []
    lines = [
        f"{what} {theirs}, here {ours}"
        for what, theirs, ours in (
            ("form", other.form, own.form),
            ("shape", other.shape, own.shape),
            ("classes", other.num_classes, own.num_classes),
            ("columns", other.num_columns, own.num_columns),
        )
        if theirs != ours
    ]
    lines += _names("class", own.classes, other.classes)
    here, there = ([f"{name} ({kind})" for name, kind in each.columns] for each in (own, other))
    lines += _names("column", here, there)
    return lines or ["the same names, but other scaling, categories, order or model"]


def _names(what: str, own: Iterable[str], other: Iterable[str]) -> list[str]:
    here, there = list(own), list(other)
    lines = []
    for verb, names in (
        ("lacks", [each for each in here if each not in set(there)]),
        ("adds", [each for each in there if each not in set(here)]),
    ):
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            lines.append(f"{verb} {what} {names[0]}{more}")
    return lines


def _check_numbers(found: Description) -> None:
    """Raise `BadMessage` where a description's parts contradict each other."""
    width = len(found.columns) + 1
    if any(len(row) != width for row in found.rows):
        raise BadMessage("a description with a row of another length than its columns")
    for named, counted in (
        (len(found.classes), found.num_classes),
        (len(found.columns), found.num_columns),
    ):
        if named != min(counted, MOST_NAMES):
            raise BadMessage("a description that names more or fewer than it counts")


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def _shown(name: str) -> str:
    return cleaned(name, LONGEST_NAME)


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value <= MOST_COUNTED


def _is_text(value: object) -> bool:
    return isinstance(value, str) and len(value) <= LONGEST_NAME


def _is_list(value: object, most: int, fits: Callable[[Any], bool]) -> bool:
    return isinstance(value, list) and len(value) <= most and all(map(fits, value))


def _is_column(value: object) -> bool:
    pair = isinstance(value, list) and len(value) == 2
    return pair and _is_text(value[0]) and value[1] in KINDS  # type: ignore[index]


_CHECKS: Mapping[str, Callable[[Any], bool]] = {
    "form": lambda value: value in FORMS,
    "shape": lambda value: _is_list(value, 3, _is_count),
    "label": _is_text,
    "classes": lambda value: _is_list(value, MOST_NAMES, _is_text),
    "num_classes": lambda value: _is_count(value) and value >= 2,
    "columns": lambda value: _is_list(value, MOST_NAMES, _is_column),
    "num_columns": _is_count,
    "rows": lambda value: _is_list(
        value, MOST_ROWS, lambda row: _is_list(row, MOST_NAMES + 1, _is_text)
    ),
    "task": lambda value: isinstance(value, str) and DIGEST.fullmatch(value) is not None,
}
