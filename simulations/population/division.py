"""The table `[owners]` that divides a scenario's rows: by a column, or by a partition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from mycroft_fl.errors import SettingError, suggestion
from mycroft_fl.settings.toml_table import TomlTable
from simulations.population.shares import EXAMPLE, IID, KEY, KINDS, Partition, read_partition

BY = "by"
DIVISION_KEYS = (BY, KEY, "of", "at-least", "at-most", "rest")
LEAVE, POOL = RESTS = ("leave", "pool")
SIZES = {"at-least": 1, "at-most": 0}  # and the least that may be given
REST = "rest"  # the owner that pools what is too little for an owner of its own
WAYS = (BY, f"{KEY}.{BY}", *(f"{KEY}.{kind}" for kind in KINDS))


@dataclass(frozen=True)
class ByColumn:
    """Owners as a table's column names them: one for each of its values in the groups `of`.

    A value of fewer rows than `at_least` has no owner of its own: `rest` says whether these rows
    belong to nobody ("leave") or to one owner together ("pool"). Nobody holds more than `at_most`
    (0: no limit), or a row in which the column is empty.
    """

    by: str
    of: tuple[str, ...]
    at_least: int = 1
    at_most: int = 0
    rest: str = LEAVE


@dataclass(frozen=True)
class ByPartition:
    """Owners that share the rows of the groups `of` among them, all that the trainer leaves.

    Each has `at_least` rows. With `rest`, a smaller share has no owner of its own: its rows, and
    those that the partition gives nobody, belong to nobody ("leave") or to one owner together
    ("pool"). Nobody holds more than `at_most` (0: no limit).
    """

    partition: Partition
    of: tuple[str, ...]
    at_least: int = 1
    at_most: int = 0
    rest: str = ""


@dataclass(frozen=True)
class Rows:
    """All rows with one of these values in a column, in these groups, that the trainer has left."""

    column: str
    values: tuple[str, ...]
    of: tuple[str, ...]
    at_most: int = 0


@dataclass(frozen=True)
class Share:
    """One share of a partition by its place, from 0; None: what `rest` pools."""

    by: ByPartition
    place: int | None


def divides(owners: Any) -> bool:
    """Return whether a file's `owners` divide rows, and are no list."""
    return isinstance(owners, dict) and bool(set(owners) & set(DIVISION_KEYS))


def read_division(table: TomlTable, groups: list[str]) -> ByColumn | ByPartition | None:
    """Return what `[owners]` says of who holds what; None where the file lists its owners."""
    if not divides(table.values.get("owners")):
        return None
    owners = table.table("owners")
    owners.check_keys(DIVISION_KEYS)
    of = tuple(_groups(owners, groups))
    sizes = {key: owners.one(key, int, default) for key, default in SIZES.items()}
    for key, size in sizes.items():
        if size < SIZES[key]:
            raise owners.wrong(key, f"is {size}; give a whole number of at least {SIZES[key]}")
    if 0 < sizes["at-most"] < sizes["at-least"]:
        raise owners.wrong("at-most", f"is below at-least, which is {sizes['at-least']}")
    rest, limits = owners.choice("rest", RESTS) or "", (sizes["at-least"], sizes["at-most"])
    if KEY not in owners.values:
        return ByColumn(owners.one(BY, str), of, *limits, rest or LEAVE)
    if BY in owners.values:
        raise owners.wrong(KEY, f"stands beside owners.{BY}; keep one of them")
    given = owners.table(KEY)
    if BY in given.values:
        given.check_keys([BY])
        return ByColumn(given.one(BY, str), of, *limits, rest or LEAVE)
    return ByPartition(read_partition(owners), of, *limits, rest)


def relaid(
    division: ByColumn | ByPartition | None, given: Mapping[str, Any], groups: list[str]
) -> ByColumn | ByPartition:
    """Return a division with dotted keys of `[owners]` laid over it. `SettingError` where they do not fit.

    Args:
        division: what the scenario says; None where it lists its owners, which `given` replaces.
        given: such as {"partition.dirichlet": 0.1, "at-least": 5}.
        groups: names of the scenario's groups.
    """
    given = TomlTable(given, "", "owners", SettingError).flat()
    before, owners = _kept(_as_keys(division), set(given)), dict[str, Any]()
    for key, value in {**before, **given}.items():
        first, dot, rest = key.partition(".")
        if first == KEY and not dot:
            raise SettingError(f"owners.{KEY} is {value!r}; give a table such as {{ {EXAMPLE} }}")
        if dot:
            owners.setdefault(first, {})[rest] = value
        else:
            owners[key] = value
    whole = TomlTable({"owners": owners}, "", "", SettingError)
    whole.table("owners").check_keys(DIVISION_KEYS)
    found = read_division(whole, groups)
    assert found is not None  # it has a key, and only keys of a division
    return found


def _kept(before: dict[str, Any], given: set[str]) -> dict[str, Any]:
    """Return those keys of a division that still hold once these others are given."""
    ways = given & set(WAYS)
    gone = set(WAYS) if ways else set()
    if ways & {BY, f"{KEY}.{BY}"}:
        gone |= {key for key in before if key.startswith(f"{KEY}.")}
    if f"{KEY}.{IID}" in ways:
        gone.add(f"{KEY}.over")
    return {key: value for key, value in before.items() if key not in gone}


def _as_keys(division: ByColumn | ByPartition | None) -> dict[str, Any]:
    """Return a division as dotted keys of `[owners]`."""
    if division is None:
        return {}
    fields = asdict(division)
    keys = {name.replace("_", "-"): value for name, value in fields.items() if name != KEY}
    if isinstance(division, ByPartition):
        keys |= {f"{KEY}.{key}": value for key, value in division.partition.as_table().items()}
    keys["of"] = list(division.of)
    return {key: value for key, value in keys.items() if value != ""}


def _groups(owners: TomlTable, groups: list[str]) -> list[str]:
    of = owners.values.get("of", groups)
    if not isinstance(of, list) or not of or not all(isinstance(each, str) for each in of):
        raise owners.wrong("of", f"is {of!r}; give a list of groups")
    for group in of:
        if group not in groups:
            raise owners.wrong(
                "of", f"names the unknown group '{group}'{suggestion(group, groups)}"
            )
    return of
