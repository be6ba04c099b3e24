"""Who holds what in a simulation, read from a TOML file."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any

from mycroft_fl.config import suggestion
from mycroft_fl.data.corrupt import CORRUPTIONS
from mycroft_fl.data.cues import CUES
from mycroft_fl.data.spec import DatasetSpec, read_spec
from mycroft_fl.data.transforms import TRANSFORMS
from mycroft_fl.errors import ScenarioError
from mycroft_fl.strict_toml import Table

PARTS = ("train", "validation", "test")
BEHAVIOURS = (
    "raise", "silent", "wrong-shape", "wrong-dtype",
    "nan", "bad-label", "too-many", "copies-hard-set",
)  # fmt: skip
SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
SCENARIO_KEYS = (
    "title", "dataset", "model", "weights", "groups", "trainer", "owners", "run", "policy",
)  # fmt: skip
GROUP_KEYS = ("classes", "where", "transform", "cue", "dataset")
OWNER_KEYS = (
    "name", "copies", "holds", "dataset", "label-noise", "corruption", "behaviour", "reuse",
    "skew",
)  # fmt: skip


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


@dataclass(frozen=True)
class Corruption:
    """Which share of an owner's examples is corrupted, how, and how much (1 to 5)."""

    kind: str
    fraction: float
    severity: int


@dataclass(frozen=True)
class Owner:
    """What one owner holds (group -> count) and how it behaves; None: honestly.

    With a `dataset` of its own it holds all of that and nothing of any group. With a `skew` the
    classes of what it holds are drawn from a Dirichlet distribution of that concentration.
    """

    name: str
    holds: Mapping[str, int]
    label_noise: float = 0.0
    corruption: Corruption | None = None
    behaviour: str | None = None
    reuse: bool = False
    dataset: DatasetSpec | None = None
    skew: float | None = None


@dataclass(frozen=True)
class Scenario:
    """A scenario's file, checked. `run` and `policy` hold dotted keys, to be checked where used.

    `trainer` maps train, validation and test to {group: count}; `base` is the folder from
    which relative paths are taken, `name` the file's stem.
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

    def with_owners(self, count: int) -> Scenario:
        """The scenario with `count` owners: its own in order, over and over.

        The first time round they keep their names; the second time `a` becomes `a-2`, and so
        on, or the next number that is free where another owner already has that name.
        """
        if count < 1:
            raise ScenarioError(f"owners is {count}; give a whole number of at least 1")
        taken = {owner.name.casefold() for owner in self.owners}
        owners = list(self.owners[:count])
        for place in range(len(self.owners), count):
            turn, of = divmod(place, len(self.owners))
            name = _free_name(self.owners[of].name, turn + 1, taken)
            owners.append(replace(self.owners[of], name=name))
        return replace(self, owners=tuple(owners))


def load_scenario(name_or_path: str | Path) -> Scenario:
    """The packaged scenario of that name, else the one in that file. Raises `ScenarioError`."""
    packaged = _packaged_files()
    path = packaged.get(str(name_or_path), Path(name_or_path).expanduser().absolute())
    if not path.is_file():
        raise ScenarioError(
            f"no scenario '{name_or_path}': it is neither a TOML file nor the name of a packaged "
            f"one{suggestion(str(name_or_path), list(packaged))}"
        )
    table = Table.read(path, ScenarioError)
    table.check_keys(SCENARIO_KEYS)
    groups = _groups(table.table("groups"))
    names = [group.name for group in groups]
    return Scenario(
        title=table.one("title", str, path.stem),
        dataset=read_spec(table),
        model=table.one("model", str, "mlp"),
        weights=_weights(table, path.parent),
        groups=groups,
        trainer=_trainer(table.table("trainer"), names),
        owners=_owners(table, names),
        run=table.table("run").flat(),
        policy=table.table("policy").flat(),
        base=path.parent,
        name=path.stem,
    )


def packaged_scenarios() -> list[tuple[str, str]]:
    """Name and title of each scenario that comes with the package, by name."""
    return [(name, load_scenario(name).title) for name in _packaged_files()]


def _packaged_files() -> dict[str, Path]:
    folder = Path(str(resources.files("simulations"))) / "scenarios"
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def _weights(table: Table, base: Path) -> Path | None:
    if "weights" not in table.values:
        return None
    path = base / Path(table.one("weights", str)).expanduser()
    if not path.is_file():
        raise table.wrong("weights", f"names {path}, which does not exist; give a safetensors file")
    return path


def _groups(table: Table) -> tuple[Group, ...]:
    if not table.values:
        raise table.error(f"{table.source}: there is no group; add a table such as [groups.all]")
    return tuple(_group(name, table.table(name)) for name in table.values)


def _group(name: str, table: Table) -> Group:
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


def _trainer(table: Table, groups: list[str]) -> dict[str, dict[str, int]]:
    table.check_keys(PARTS)
    return {part: _counts(table, part, groups) for part in PARTS}


def _counts(parent: Table, key: str, groups: list[str]) -> dict[str, int]:
    """How many of which group: whole numbers of at least 0, and not all of them 0."""
    table = parent.table(key)
    for group in table.values:
        if group not in groups:
            raise parent.wrong(key, f"names the unknown group '{group}'{suggestion(group, groups)}")
    counts = {group: table.one(group, int) for group in table.values}
    for group, count in counts.items():
        if count < 0:
            raise table.wrong(group, f"is {count}; give a whole number of at least 0")
    if not sum(counts.values()):
        raise parent.wrong(key, f"holds nothing; give counts such as {{ {groups[0]} = 100 }}")
    return {group: count for group, count in counts.items() if count}


def _owners(table: Table, groups: list[str]) -> tuple[Owner, ...]:
    owners: list[Owner] = []
    seen: dict[str, str] = {}
    for place, each in enumerate(table.tables("owners"), start=1):
        for owner in _copies(each, place, groups):
            # Names become folders, and some file systems do not tell A from a.
            key = owner.name.casefold()
            if key in seen:
                raise each.wrong(
                    "name", f"'{owner.name}' is too like another owner's, '{seen[key]}'; change it"
                )
            seen[key] = owner.name
            owners.append(owner)
    if not owners:
        raise table.error(f"{table.source}: there is no owner; add a table [[owners]]")
    return tuple(owners)


def _copies(table: Table, place: int, groups: list[str]) -> Iterable[Owner]:
    """The owner of one table, or its copies name-1, name-2, ..."""
    table.check_keys(OWNER_KEYS)
    name, copies = table.one("name", str, f"owner-{place}"), table.one("copies", int, 1)
    if not SAFE_NAME.fullmatch(name):
        raise table.wrong(
            "name", f"is '{name}'; use letters, digits, '-', '_' and '.', a letter or digit first"
        )
    if copies < 1:
        raise table.wrong("copies", f"is {copies}; give a whole number of at least 1")
    if "dataset" in table.values and ({"holds", "reuse", "copies"} & set(table.values)):
        raise table.wrong("dataset", "is all that this owner holds; leave out holds, copies, reuse")
    owner = Owner(
        name,
        holds={} if "dataset" in table.values else _counts(table, "holds", groups),
        label_noise=table.share("label-noise", 0.0),
        corruption=_corruption(table.table("corruption")) if "corruption" in table.values else None,
        behaviour=table.choice("behaviour", BEHAVIOURS),
        reuse=table.one("reuse", bool, False),
        dataset=read_spec(table) if "dataset" in table.values else None,
        skew=_skew(table),
    )
    if "copies" not in table.values:
        return [owner]
    return [replace(owner, name=f"{name}-{number}") for number in range(1, copies + 1)]


def _skew(table: Table) -> float | None:
    if "skew" not in table.values:
        return None
    skew = table.one("skew", float)
    if not 0 < skew < math.inf:
        raise table.wrong("skew", f"is {skew}; give a number above 0, the smaller the more skewed")
    if "dataset" in table.values or table.values.get("reuse"):
        raise table.wrong("skew", "is for owners that draw from groups without reuse")
    return skew


def _corruption(table: Table) -> Corruption:
    table.check_keys(("kind", "fraction", "severity"))
    severity = table.one("severity", int, 3)
    if severity not in range(1, 6):
        raise table.wrong("severity", f"is {severity}; give a whole number from 1 to 5")
    kind = table.choice("kind", CORRUPTIONS)
    if kind is None:
        raise table.wrong("kind", f"is missing; choose from {sorted(CORRUPTIONS)}")
    return Corruption(kind, table.share("fraction"), severity)


def _free_name(name: str, number: int, taken: set[str]) -> str:
    while f"{name}-{number}".casefold() in taken:
        number += 1
    taken.add(f"{name}-{number}".casefold())
    return f"{name}-{number}"
