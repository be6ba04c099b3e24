"""A look at whatever lies at a path: a table, images, arrays, or a folder of tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mycroft_fl.data.formats.spec import DatasetSpec
from mycroft_fl.data.tables.files import is_table
from mycroft_fl.errors import DataError
from mycroft_fl.inspection.arrays import look_at_arrays, look_at_images
from mycroft_fl.inspection.finding import Finding
from mycroft_fl.inspection.table import Look, look_at_table

PARTS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing"),
}
"""A task's parts, and how files of them are called."""


@dataclass(frozen=True)
class Looks:
    """The looks at all data sets of a path; `parts` are those that are a task's, by part."""

    all: tuple[Look, ...]
    parts: dict[str, Look]


def look_at(path: Path, label: str = "") -> Looks:
    """Look at a file, or at all tables of a folder. Raises `DataError` where there is nothing to look at.

    Args:
        path: a file or folder of any form that a data set may have.
        label: a table's column with the class; guessed where it is empty, and said.
    """
    if not path.exists():
        raise DataError(
            f"there is nothing at {path}; give a table, images by class, or an npz file"
        )
    tables = _tables_of(path)
    if tables is None:
        return Looks((look_at_one(path, DatasetSpec(str(path), label=label)),), {})
    looks = [look_at_one(each, DatasetSpec(str(each), label=label)) for each in tables]
    if len({each.spec.label for each in looks}) > 1:
        # One table's guess is as good as another's: that of the first, which is the trainer's.
        first = looks[0].spec.label
        looks = [look_at_one(each, DatasetSpec(str(each), label=first)) for each in tables]
    looks = [_beside(each, looks[0]) for each in looks]
    return Looks(tuple(looks), _parts(looks))


def look_at_one(path: Path, spec: DatasetSpec) -> Look:
    """Look at one data set. Raises `DataError`.

    Args:
        path: where it lies.
        spec: how it is to be read.
    """
    if is_table(path):
        return look_at_table(path, spec)
    if spec.label:
        spec = replace(spec, label="")
    if path.suffix.lower() == ".npz" or (path / "x.npy").is_file():
        return look_at_arrays(path, spec)
    if path.is_dir() or path.suffix.lower() == ".zip":
        return look_at_images(path, spec)
    raise DataError(
        f"{path} is not a data set; give a table (CSV, JSON lines, Parquet, Feather), an npz file, a "
        "folder or zip of images by class, or a folder with x.npy and y.npy"
    )


def _tables_of(path: Path) -> list[Path] | None:
    """Return the tables that lie in a folder, a task's parts first; None where it is no folder of tables."""
    if not path.is_dir() or (path / "x.npy").is_file():
        return None
    tables = [each for each in sorted(path.iterdir()) if each.is_file() and is_table(each)]
    order = {name: place for place, names in enumerate(PARTS.values()) for name in names}
    tables.sort(key=lambda each: (order.get(_stem(each), len(order)), each.name))
    return tables or None


def _parts(looks: Sequence[Look]) -> dict[str, Look]:
    by_stem = {_stem(each.path): each for each in looks}
    parts = {
        part: by_stem[name]
        for part, names in PARTS.items()
        for name in names[:1] + names[1:]
        if name in by_stem
    }
    return parts if {"train", "validation"} <= set(parts) else {}


def _stem(path: Path) -> str:
    return path.name.lower().partition(".")[0]


def _beside(look: Look, first: Look) -> Look:
    """Return a look at a table with what it lacks beside the first table of its folder."""
    if look is first:
        return look
    there = {each.name for each in look.columns}
    left_out = {name for name, kind in first.spec.kinds.items() if kind in ("id", "ignore")}
    lacking = [
        each.name
        for each in first.columns
        if each.kind in ("number", "category", "date") and each.name not in there | left_out
    ]
    findings = [
        Finding(f"column '{name}' is missing, and {first.path.name} has it", stops=True)
        for name in lacking
    ]
    unknown = sorted(set(look.classes) - set(first.classes))
    if unknown:
        findings.append(
            Finding(
                f"{len(unknown)} classes do not stand in {first.path.name}, such as '{unknown[0]}'; rename "
                'them with labels, list all classes in labels of the task, or set unknown-labels = "drop"',
                settings={"unknown_labels": "drop"},
            )
        )
    return replace(look, findings=look.findings + tuple(findings))
