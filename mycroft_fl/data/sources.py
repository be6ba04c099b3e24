"""Data sets by name or path, loaded as distinct examples."""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from mycroft_fl.data.dataset import Dataset, distinct, from_tables, relabelled
from mycroft_fl.data.formats.by_class import read_folder
from mycroft_fl.data.formats.cache import cache_folder, fingerprint
from mycroft_fl.data.formats.files import LabelledRows, read_mapped, read_npz
from mycroft_fl.data.formats.located import located
from mycroft_fl.data.formats.spec import DatasetSpec
from mycroft_fl.data.formats.transforms import fit_to
from mycroft_fl.data.given import dataset_given, taken
from mycroft_fl.data.known import KNOWN, food101
from mycroft_fl.data.tables.encode import read_table
from mycroft_fl.data.tables.files import is_table
from mycroft_fl.data.tables.known import KNOWN_TABLES
from mycroft_fl.data.tables.row_files import database_of
from mycroft_fl.entry_points import DATASETS, added
from mycroft_fl.errors import DataError, one_line, suggestion

IMPORT_PATH = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
FORMS = (
    "a table (CSV, JSON lines, Parquet, Feather, Excel), an npz file, a folder or zip of images or texts by "
    "class, or a folder with x.npy and y.npy"
)


def load_dataset(
    given: str | DatasetSpec,
    base: Path,
    kinds: Mapping[str, str] | None = None,
    *,
    records: bool = False,
) -> Dataset:
    """Return the known data set of that name, else what lies at that path.

    A relative path is taken from `base`. Images are uint8 (n c h w), vectors float32 (n d), texts rows
    of bytes, tables as they stand. Loaded once per process. `kinds` says what each column of a table
    holds, by a task; without it the file says so itself. Rows of equal content are one example. With
    `records`, an owner's, they must have one label and one unit too, so that taking a row away
    takes one record away and lets none in. Raises `DataError`.
    """
    spec = DatasetSpec.of(given)
    if spec.path in KNOWN_TABLES:
        spec = _known_table(spec)
    if spec.path not in KNOWN and (loader := _loader(spec.path, base)):
        return _load_own(
            loader, spec, None if kinds is None else tuple(sorted(kinds.items())), records
        )
    if spec.path in KNOWN:
        return _load_known(spec, os.environ.get("MYCROFT_DATA"), cache_folder(), records)
    if spec.query or "://" in spec.path:
        return _queried(spec, base, kinds, records)
    path, changed = _found(spec.path, base)
    test, test_changed = _found(spec.test_path, base) if spec.test_path else (None, "")
    by_task = None if kinds is None else tuple(sorted(kinds.items()))
    return _load_file(spec, Files(path, test, changed + test_changed), by_task, records)


def _queried(
    spec: DatasetSpec, base: Path, kinds: Mapping[str, str] | None, records: bool
) -> Dataset:
    """Return the rows of a query, asked anew each time: nobody says when a database changes."""
    if not spec.query or spec.test_path or spec.image:
        raise DataError(
            "a database takes path, a SQLAlchemy URL, and query, such as 'SELECT * FROM stays'; test-path "
            "and image do not apply"
        )
    there, name = database_of(spec, base)
    return from_tables([read_table(name, there, kinds)], there, [], records)


def _known_table(spec: DatasetSpec) -> DatasetSpec:
    """Return a known table, with whatever the spec says beyond its name laid over."""
    known = KNOWN_TABLES[spec.path]()
    settings = {
        key: value for key, value in vars(spec).items() if value != getattr(DatasetSpec, key, None)
    }
    return replace(known, **{**settings, "path": known.path})


def _loader(name: str, base: Path) -> str:
    """Return the import path of a data set of one's own, or that a package adds; "" for any other."""
    path = added(DATASETS).get(name, name)
    if not IMPORT_PATH.fullmatch(path) or located(name, base).exists():
        return ""
    return path


@lru_cache(maxsize=8)
def _load_own(
    path: str, spec: DatasetSpec, kinds: tuple[tuple[str, str], ...] | None, records: bool
) -> Dataset:
    """Return what a function of somebody's own gives: arrays (x, y), a frame or a Dataset."""
    module, _, name = path.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
        found = found() if callable(found) else found
    except (Exception, SystemExit) as error:  # a module of somebody's own may raise anything
        raise DataError(
            f"data set '{path}' cannot be made ({one_line(error)}); give package.module:function, of a "
            "function without arguments that returns (x, y), a frame or a Dataset"
        ) from error
    pair = isinstance(found, tuple) and len(found) == 2
    given = taken(*(found if pair else (found,)), what=spec.describe(), label=spec.label)
    label = getattr(given, "label", "")
    by_task = None if kinds is None else dict(kinds)
    return dataset_given(given, replace(spec, label=label), by_task, records=records)


def _found(name: str, base: Path) -> tuple[Path, str]:
    path = located(name, base)
    try:
        path.stat()
    except (OSError, ValueError) as error:
        known = [*KNOWN, *KNOWN_TABLES, *added(DATASETS)]
        raise DataError(
            f"no data set '{name}', and nothing at {path}{suggestion(name, known)} (or "
            f"give a path to {FORMS})"
        ) from error
    try:
        return path, fingerprint(path)
    except OSError as error:
        raise DataError(
            f"{path} cannot be read ({one_line(error)}); see who may read it"
        ) from error


@dataclass(frozen=True)
class Files:
    """A data set's file, that of its test examples, and both files' times of change."""

    path: Path
    test: Path | None
    changed: str


# Environment and time of change belong to the key: another folder or file is another data set.
@lru_cache(maxsize=8)
def _load_known(spec: DatasetSpec, data_folder: str | None, cache: Path, records: bool) -> Dataset:
    if spec.path == "food-101":
        return distinct(relabelled(food101(spec.size), spec), records=records)
    rows = KNOWN[spec.path]()
    if spec.size:
        x = fit_to(rows.x, rows.x.shape[1], spec.size, spec.size)
        rows = LabelledRows(x, rows.y, rows.classes)
    return distinct(relabelled(rows, spec), records=records)


@lru_cache(maxsize=8)
def _load_file(
    spec: DatasetSpec, files: Files, kinds: tuple[tuple[str, str], ...] | None, records: bool
) -> Dataset:
    path, test = files.path, files.test
    if is_table(path):
        by_task = None if kinds is None else dict(kinds)
        tables = [read_table(path, spec, by_task)]
        if test is not None:
            tables.append(read_table(test, spec, tables[0].kinds if kinds is None else by_task))
        return from_tables(tables, spec, [each.parent for each in (path, test) if each], records)
    rows = relabelled(_read_arrays(path, spec), spec)
    if test is None:
        return distinct(rows, records=records)
    return distinct(rows, relabelled(_read_arrays(test, spec), spec), records=records)


def _read_arrays(path: Path, spec: DatasetSpec) -> LabelledRows:
    if any((spec.label, spec.image, spec.text, spec.drop, spec.log, spec.unit_id, spec.shareable)):
        raise DataError(
            f"{path.name} is no table: label, image, text, drop, log, unit-id and shareable do not apply; "
            "list its files in a table with a column of paths (image)"
        )
    if (path / "x.npy").is_file():
        return read_mapped(path)
    if path.is_dir() or path.suffix.lower() == ".zip":
        return read_folder(path, spec)
    if path.suffix.lower() == ".npz":
        return read_npz(path, spec.longest)
    raise DataError(f"{path} is not a data set; give {FORMS}")
