"""A scenario's file: who holds what in a simulation, read from TOML."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any

from mycroft_fl.data.formats.spec import DatasetSpec, read_spec
from mycroft_fl.data.formats.transforms import TRANSFORMS
from mycroft_fl.errors import Problems, ScenarioError, suggestion
from mycroft_fl.settings.own_names import model_name
from mycroft_fl.settings.toml_table import TomlTable
from simulations.population.cues import CUES
from simulations.population.division import ByColumn, ByPartition, divides, read_division
from simulations.population.owners import (
    BEHAVIOURS,
    Corruption,
    Owner,
    read_counts,
    read_owners,
)

__all__ = [
    "BEHAVIOURS",
    "PARTS",
    "Corruption",
    "Group",
    "Owner",
    "Scenario",
    "load_scenario",
    "packaged_names",
    "packaged_scenarios",
]

PARTS = ("train", "validation", "test")
SCENARIO_KEYS = (
    "title", "dataset", "model", "head", "transform", "weights", "groups", "trainer", "owners", "run",
    "policy",
)  # fmt: skip
KEY_OF = {"label_noise": "trainer", "division": "owners"}
GROUP_KEYS = ("classes", "where", "transform", "cue", "dataset")


@dataclass(frozen=True)
class Group:
    """A named sub-population.

    `classes`: labels or class names of its data set, None for all. `where`: a table's columns
    and the values wanted (a list: any of them). `dataset`: None for the scenario's own.
    """

    name: str
    classes: tuple[int | str, ...] | None = None
    where: Mapping[str, Any] = field(default_factory=dict)
    transform: str | None = None
    cue: str | None = None
    dataset: str | DatasetSpec | None = None


LABEL_NOISE = "label-noise"
"""The key of the share of labels that are redrawn, of an owner or of the trainer's validation."""


@dataclass(frozen=True)
class Scenario:
    """A scenario's file, checked. `run` and `policy` hold dotted keys, to be checked where used.

    `trainer` maps train, validation and test to {group: count}, and `label_noise` is the share of
    its validation labels that are redrawn; `base` is the folder from which relative paths are
    taken, `name` the file's stem.
    """

    title: str
    dataset: str | DatasetSpec
    model: str
    weights: Path | None
    groups: tuple[Group, ...]
    trainer: Mapping[str, Mapping[str, int]]
    owners: tuple[Owner, ...]
    run: Mapping[str, Any]
    policy: Mapping[str, Any]
    base: Path
    name: str
    by_column: ByColumn | None = None
    label_noise: float = 0.0
    # Not in the text by which studies know their cells, unless it is set: see `definition`.
    by_partition: ByPartition | None = field(default=None, repr=False)

    @property
    def division(self) -> ByColumn | ByPartition | None:
        """What names the owners and divides rows among them; None where they are listed."""
        return self.by_column or self.by_partition

    def divided(self, division: ByColumn | ByPartition | None) -> Scenario:
        """Return the scenario with its owners named so, and none listed; None: as it is."""
        if division is None:
            return self
        column = division if isinstance(division, ByColumn) else None
        shared = division if isinstance(division, ByPartition) else None
        return replace(self, owners=(), by_column=column, by_partition=shared)

    def with_owners(self, count: int) -> Scenario:
        """Return the scenario with `count` owners: its own in order, over and over.

        The first time round they keep their names; the second time `a` becomes `a-2`, and so
        on, or the next number that is free where another owner already has that name.
        """
        if count < 1:
            raise ScenarioError(f"owners is {count}; give a whole number of at least 1")
        if count > len(self.owners) and any(owner.rows or owner.share for owner in self.owners):
            what = "column names" if self.owners[0].rows else "partition makes"
            raise ScenarioError(
                f"owners is {count}, but the {what} {len(self.owners)}; give at most that many"
            )
        taken = {owner.name.casefold() for owner in self.owners}
        owners = list(self.owners[:count])
        for place in range(len(self.owners), count):
            turn, of = divmod(place, len(self.owners))
            name = _free_name(self.owners[of].name, turn + 1, taken)
            owners.append(replace(self.owners[of], name=name))
        return replace(self, owners=tuple(owners))


def load_scenario(name_or_path: str | Path) -> Scenario:
    """Return the packaged scenario of that name, else the one in that file. Raises `ScenarioError`."""
    packaged = _packaged_files()
    path = packaged.get(str(name_or_path), Path(name_or_path).expanduser().absolute())
    if not path.is_file():
        raise ScenarioError(
            f"no scenario '{name_or_path}': it is neither a TOML file nor the name of a packaged "
            f"one{suggestion(str(name_or_path), list(packaged))}"
        )
    return _read(TomlTable.read(path, ScenarioError), path)


def packaged_scenarios() -> list[tuple[str, str]]:
    """Name and title of each scenario that comes with the package, by name."""
    return [(name, load_scenario(name).title) for name in _packaged_files()]


def _read(table: TomlTable, path: Path) -> Scenario:
    """Return the scenario, or raise what is wrong with all of its parts that can be read by themselves."""
    problems, parts = Problems(), dict[str, Any]()
    with problems.noted():
        table.check_keys(SCENARIO_KEYS)
    readers: dict[str, Callable[[], Any]] = {
        "title": lambda: table.one("title", str, path.stem),
        "dataset": lambda: read_spec(table),
        "model": lambda: model_name(table, "mlp"),
        "weights": lambda: _weights(table, path.parent),
        "groups": lambda: _groups(table.table("groups")),
        "run": lambda: table.table("run").flat(),
        "policy": lambda: table.table("policy").flat(),
        "label_noise": lambda: table.table("trainer").share(LABEL_NOISE, 0.0),
    }
    # Who holds what is said in the names of groups, right or wrong.
    names = [str(name) for name in table.values.get("groups", {})]
    if names:
        readers["trainer"] = lambda: _trainer(table.table("trainer"), names)
        readers["division"] = lambda: read_division(table, names)
        readers["owners"] = lambda: _owners(table, names)
    misspelt = set(table.values) - set(SCENARIO_KEYS)
    for part, reader in readers.items():
        # That a part is missing is no news where its name is misspelt.
        if misspelt and KEY_OF.get(part, part) not in table.values:
            continue
        with problems.noted():
            parts[part] = reader()
    problems.check()
    division = parts.pop("division")
    return Scenario(**parts, base=path.parent, name=path.stem).divided(division)


def _owners(table: TomlTable, groups: list[str]) -> tuple[Owner, ...]:
    """Return the owners that are listed; none where rows are divided."""
    return () if divides(table.values.get("owners")) else read_owners(table, groups)


def packaged_names() -> list[str]:
    """Names of the scenarios that come with the package; none of them is read."""
    return list(_packaged_files())


def _packaged_files() -> dict[str, Path]:
    folder = Path(str(resources.files("simulations"))) / "scenarios"
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def _weights(table: TomlTable, base: Path) -> Path | None:
    if "weights" not in table.values:
        return None
    path = base / Path(table.one("weights", str)).expanduser()
    if not path.is_file():
        raise table.wrong(
            "weights", f"names {path}, which does not exist; give a safetensors or skops file"
        )
    return path


def _groups(table: TomlTable) -> tuple[Group, ...]:
    if not table.values:
        raise table.error(f"{table.source}: there is no group; add a table such as [groups.all]")
    return tuple(_group(name, table.table(name)) for name in table.values)


def _group(name: str, table: TomlTable) -> Group:
    table.check_keys(GROUP_KEYS)
    classes = table.values.get("classes")
    if classes is not None and not (
        isinstance(classes, list) and classes and all(type(each) in (int, str) for each in classes)
    ):
        raise table.wrong("classes", f"is {classes!r}; give a list of labels or of class names")
    return Group(
        name,
        classes=None if classes is None else tuple(classes),
        where=table.table("where").values,
        transform=table.choice("transform", TRANSFORMS),
        cue=table.choice("cue", CUES),
        dataset=read_spec(table) if "dataset" in table.values else None,
    )


def _trainer(table: TomlTable, groups: list[str]) -> dict[str, dict[str, int]]:
    table.check_keys((*PARTS, LABEL_NOISE))
    return {part: read_counts(table, part, groups) for part in PARTS}


def _free_name(name: str, number: int, taken: set[str]) -> str:
    while f"{name}-{number}".casefold() in taken:
        number += 1
    taken.add(f"{name}-{number}".casefold())
    return f"{name}-{number}"
