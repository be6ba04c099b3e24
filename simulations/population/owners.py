"""The owners of a scenario: what each holds and how it behaves, read from the file's tables."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from mycroft_fl.data.formats.spec import DatasetSpec, read_spec
from mycroft_fl.errors import SettingError, suggestion
from mycroft_fl.settings.toml_table import TomlTable
from simulations.population.corrupt import CORRUPTIONS
from simulations.population.division import Rows, Share

BEHAVIOURS = (
    "raise", "silent", "wrong-shape", "wrong-dtype",
    "nan", "bad-label", "too-many", "copies-hard-set",
)  # fmt: skip
LONGEST_NAME = 80  # with the numbers of its copies it stays below the 100 that travel
SAFE_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{LONGEST_NAME - 1}}}")
OWNER_KEYS = (
    "name", "copies", "holds", "dataset", "label-noise", "corruption", "behaviour", "reuse",
    "skew",
)  # fmt: skip


@dataclass(frozen=True)
class Corruption:
    """Which share of an owner's examples is corrupted, how, and how much (1 to 5)."""

    kind: str
    fraction: float
    severity: int


@dataclass(frozen=True)
class Owner:
    """One owner's data (group -> count) and behaviour; None: it is honest.

    With a `dataset` of its own it holds all of that and nothing of any group; with `rows` or a
    `share`, those.
    With a `skew` the classes of what it holds are drawn from a Dirichlet distribution of that
    concentration.
    """

    name: str
    holds: Mapping[str, int]
    label_noise: float = 0.0
    corruption: Corruption | None = None
    behaviour: str | None = None
    reuse: bool = False
    dataset: DatasetSpec | None = None
    skew: float | None = None
    rows: Rows | None = None
    # Not in the text by which studies know their cells, unless it is set: see `definition`.
    share: Share | None = field(default=None, repr=False)

    @property
    def is_counted(self) -> bool:
        """Whether the scenario says how many examples it holds."""
        return self.rows is None and self.share is None and self.dataset is None

    @property
    def draws_by_count(self) -> bool:
        """Whether it draws counts of groups from the stock of which nobody holds anything twice."""
        return not self.reuse and self.skew is None and self.is_counted


def read_owners(table: TomlTable, groups: list[str]) -> tuple[Owner, ...]:
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


def _copies(table: TomlTable, place: int, groups: list[str]) -> Iterable[Owner]:
    """Return the owner of one table, or its copies name-1, name-2, ..."""
    table.check_keys(OWNER_KEYS)
    name, copies = table.one("name", str, f"owner-{place}"), table.one("copies", int, 1)
    if not SAFE_NAME.fullmatch(name):
        raise table.wrong(
            "name",
            f"is '{name}'; use up to {LONGEST_NAME} letters, digits, '-', '_' and '.', a letter or digit "
            "first",
        )
    if copies < 1:
        raise table.wrong("copies", f"is {copies}; give a whole number of at least 1")
    if "dataset" in table.values and ({"holds", "reuse", "copies"} & set(table.values)):
        raise table.wrong("dataset", "is all that this owner holds; leave out holds, copies, reuse")
    owner = Owner(
        name,
        holds={} if "dataset" in table.values else read_counts(table, "holds", groups),
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


def spoiled(owners: tuple[Owner, ...], overrides: Mapping[str, object]) -> tuple[Owner, ...]:
    """Lay `label-noise` and `corruption.*` over all owners, where given."""
    overridden = {k: v for k, v in overrides.items() if k == "label-noise"}
    if "label-noise" in overridden:
        noise = TomlTable(overridden, "", "", SettingError).share("label-noise")
        owners = tuple(replace(owner, label_noise=noise) for owner in owners)
    how = {
        key.removeprefix("corruption."): value
        for key, value in overrides.items()
        if key.startswith("corruption.")
    }
    if not how:
        return owners
    corruption = _corruption(TomlTable(how, "", "corruption", SettingError))
    return tuple(replace(owner, corruption=corruption) for owner in owners)


def _skew(table: TomlTable) -> float | None:
    if "skew" not in table.values:
        return None
    skew = table.one("skew", float)
    if not 0 < skew < math.inf:
        raise table.wrong("skew", f"is {skew}; give a number above 0, the smaller the more skewed")
    if "dataset" in table.values or table.values.get("reuse"):
        raise table.wrong("skew", "is for owners that draw from groups without reuse")
    return skew


def _corruption(table: TomlTable) -> Corruption:
    table.check_keys(("kind", "fraction", "severity"))
    severity = table.one("severity", int, 3)
    if severity not in range(1, 6):
        raise table.wrong("severity", f"is {severity}; give a whole number from 1 to 5")
    kind = table.choice("kind", CORRUPTIONS)
    if kind is None:
        raise table.wrong("kind", f"is missing; choose from {sorted(CORRUPTIONS)}")
    return Corruption(kind, table.share("fraction"), severity)


def read_counts(parent: TomlTable, key: str, groups: list[str]) -> dict[str, int]:
    """Return how many of which group: whole numbers of at least 0, and not all of them 0."""
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
