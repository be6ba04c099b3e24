"""A study's file: which runs are to be compared, read strictly from TOML."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from mycroft_fl.errors import SettingError, StudyError, suggestion
from mycroft_fl.report.study.folder import PART, Axis
from mycroft_fl.settings.run_config import RunConfig, check_setting
from mycroft_fl.settings.toml_table import TomlTable
from simulations.population.scenario_file import packaged_names
from simulations.setup.overrides import is_override, known_keys

STUDY_KEYS = ("title", "seeds", "run", "grid")
ENGINES = ("in-process", "flower")
SCENARIO, ENGINE, SEED = "scenario", "engine", "seed"
MOST_CELLS = 100_000


@dataclass(frozen=True)
class Grid:
    """Every combination of its axes' values, over what all its cells share.

    Grids of equal `part` are one part of the study, such as a curve and its reference.
    """

    part: str
    title: str
    fixed: Mapping[str, Any]
    axes: tuple[Axis, ...]

    def combinations(self) -> Iterator[dict[str, Any]]:
        """Return each combination as settings, the last axis changing fastest."""
        for values in itertools.product(*(axis.values for axis in self.axes)):
            keys = (axis.key for axis in self.axes)
            yield {**self.fixed, **dict(zip(keys, values, strict=True))}


@dataclass(frozen=True)
class StudyFile:
    """A study as its file asks for it. `base` is the folder from which its paths are taken."""

    name: str
    title: str
    seeds: tuple[int, ...]
    grids: tuple[Grid, ...]
    base: Path

    @property
    def parts(self) -> dict[str, tuple[Grid, ...]]:
        """The grids of each part."""
        names = dict.fromkeys(grid.part for grid in self.grids)
        return {name: tuple(grid for grid in self.grids if grid.part == name) for name in names}

    @property
    def axes(self) -> tuple[Axis, ...]:
        """The keys of all grids, each with all values that any of them names."""
        return united(self.grids)


def united(grids: tuple[Grid, ...]) -> tuple[Axis, ...]:
    """Return the keys of these grids, each with all values that any of them names."""
    found: dict[str, list[Any]] = {}
    for axis in (axis for grid in grids for axis in grid.axes):
        known = found.setdefault(axis.key, [])
        known += [value for value in axis.values if not _among(value, known)]
    return tuple(Axis(key, tuple(values)) for key, values in found.items())


def load_study(name_or_path: str | Path) -> StudyFile:
    """Return the packaged study of that name, else the one in that file. Raises `StudyError`."""
    packaged = _packaged_files()
    path = packaged.get(str(name_or_path), Path(name_or_path).expanduser().absolute())
    if not _is_file(path):
        raise StudyError(
            f"no study '{name_or_path}': it is neither a TOML file nor the name of a packaged "
            f"one{suggestion(str(name_or_path), list(packaged))}"
        )
    table = TomlTable.read(path, StudyError)
    table.check_keys(STUDY_KEYS)
    shared = _shared(table.table("run"))
    study = StudyFile(
        name=path.stem,
        title=table.one("title", str, path.stem),
        seeds=_seeds(table),
        grids=_grids(table, shared, path.parent),
        base=path.parent,
    )
    cells = sum(math.prod(len(axis.values) for axis in grid.axes) for grid in study.grids)
    if cells * len(study.seeds) > MOST_CELLS:
        raise StudyError(
            f"{path.name}: {cells} combinations and {len(study.seeds)} seeds are more than "
            f"{MOST_CELLS:,} cells; take out values, or make several studies of it"
        )
    return study


def packaged_studies() -> list[tuple[str, str]]:
    """Name and title of each study that comes with the package, by name."""
    return [(name, load_study(name).title) for name in _packaged_files()]


def _packaged_files() -> dict[str, Path]:
    folder = Path(str(resources.files("simulations"))) / "studies"
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long for any file
        return False


def _seeds(table: TomlTable) -> tuple[int, ...]:
    given = table.values.get("seeds", 10)
    if type(given) is int and given >= 1:
        return tuple(range(given))
    if isinstance(given, list) and given and all(type(each) is int and each >= 0 for each in given):
        if len(set(given)) < len(given):
            raise table.wrong("seeds", f"is {given}; name each seed once")
        return tuple(given)
    raise table.wrong(
        "seeds",
        f"is {given!r}; give a number of seeds of at least 1, or a list of seeds such as [0, 1]",
    )


def _shared(table: TomlTable) -> dict[str, Any]:
    """Return what all cells have in common."""
    shared = _settings(table)
    for key, value in shared.items():
        if isinstance(value, list):
            raise table.wrong(key, "is a list; what varies belongs into [grid]")
        _check_values(table, key, [value])
    return shared


def _grids(table: TomlTable, shared: Mapping[str, Any], base: Path) -> tuple[Grid, ...]:
    given = table.values.get("grid")
    tables = [table.table("grid")] if isinstance(given, dict) else table.tables("grid")
    if not tables:
        raise table.error(
            f"{table.source}: there is no grid; add [grid] with a list for whatever is to vary, "
            'such as method = ["omp", "random"]'
        )
    return tuple(_grid(each, shared, base, alone=len(tables) == 1) for each in tables)


def _grid(table: TomlTable, shared: Mapping[str, Any], base: Path, *, alone: bool) -> Grid:
    part = table.one(PART, str, "" if alone else None)
    title = table.one("title", str, part)
    given = {key: value for key, value in table.values.items() if key not in (PART, "title")}
    keys = {**shared, **_settings(TomlTable(given, table.source, table.at, table.error))}
    if SCENARIO not in keys:
        known = ", ".join(packaged_names()[:3])
        raise table.wrong(SCENARIO, f"is missing; name one, or a list of them ({known}, ...)")
    axes, fixed = [], {}
    for key, value in keys.items():
        values = value if isinstance(value, list) else [value]
        _check_values(table, key, values)
        if key == SCENARIO:
            _check_scenarios(table, values, base)
        # Where and how is worth a column even where it does not vary.
        if isinstance(value, list) or key in (SCENARIO, "method"):
            axes.append(Axis(key, tuple(values)))
        else:
            fixed[key] = value
    return Grid(part, title, fixed, tuple(axes))


def _settings(table: TomlTable) -> dict[str, Any]:
    """Return the table's settings under dotted keys; that of a data set is a table by itself."""
    whole = {key: value for key, value in table.values.items() if key == "dataset"}
    rest = {key: value for key, value in table.values.items() if key != "dataset"}
    return {**TomlTable(rest, table.source, table.at, table.error).flat(), **whole}


def _check_values(table: TomlTable, key: str, values: list[Any]) -> None:
    settings = RunConfig().settings()
    if key == SEED:
        raise table.wrong(key, "is no axis: every cell runs on each of the study's `seeds`")
    known = [*known_keys(), SCENARIO, ENGINE]
    if key not in known and not is_override(key):
        raise table.wrong(key, f"is no setting{suggestion(key, known)}")
    if not values:
        raise table.wrong(key, "is an empty list; give at least one value, or leave it out")
    for place, value in enumerate(values):
        if _among(value, values[:place]):
            raise table.wrong(key, f"holds {value!r} twice; keep one of them")
        if isinstance(value, float) and not math.isfinite(value):
            raise table.wrong(key, f"holds {value}; give a finite number")
        if key in settings:
            try:
                check_setting(key, value)
            except SettingError as error:
                raise table.wrong(key, f"does not fit: {error}") from error
        if key == ENGINE and value not in ENGINES:
            raise table.wrong(key, f"holds {value!r}; choose from {list(ENGINES)}")


def _check_scenarios(table: TomlTable, values: list[Any], base: Path) -> None:
    packaged = packaged_names()
    for value in values:
        if not isinstance(value, str):
            raise table.wrong(SCENARIO, f"holds {value!r}; give names or paths of TOML files")
        if value not in packaged and not _is_file(base / Path(value).expanduser()):
            raise table.wrong(
                SCENARIO,
                f"holds '{value}', but there is no packaged scenario of that name and no file "
                f"{base / value}{suggestion(value, packaged)}",
            )


def _among(value: Any, others: list[Any]) -> bool:
    """Return whether a value stands among others; true is not 1, and 1.0 not 1, as their texts differ."""
    return any(value == other and type(value) is type(other) for other in others)
