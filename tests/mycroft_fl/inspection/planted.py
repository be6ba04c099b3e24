"""Tables with planted trouble: each a CSV, its label, and what a look at it must say, no more and no less."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

ROWS = 600


@dataclass(frozen=True)
class Planted:
    """One table. `said` are parts of lines, each to be found in a finding of its own."""

    columns: Callable[[np.random.Generator], dict[str, list[str]]]
    said: tuple[str, ...]
    label: str = "y"
    delimiter: str = ","
    encoding: str = "utf-8"
    mended: bool = True
    """Whether settings alone make a run take it."""


def sound(rng: np.random.Generator) -> dict[str, list[str]]:
    """Return a table that nothing is amiss with: two numbers, a category, a class."""
    y = rng.integers(0, 2, ROWS)
    return {
        "age": [str(each) for each in rng.integers(18, 90, ROWS)],
        "size": [f"{each:.4f}" for each in rng.normal(size=ROWS) + y],
        "site": [("north", "south", "east")[each] for each in rng.integers(0, 3, ROWS)],
        "y": [("no", "yes")[each] for each in y],
    }


def with_column(
    name: str, values: Callable[[np.random.Generator], list[str]]
) -> Callable[[np.random.Generator], dict[str, list[str]]]:
    """Return the sound table with one more column in front."""
    return lambda rng: {name: values(rng), **sound(rng)}


def ids(rng: np.random.Generator) -> list[str]:
    return [f"P{each:05d}" for each in rng.permutation(90_000)[:ROWS]]


def dates(rng: np.random.Generator) -> list[str]:
    days = np.datetime64("2021-01-01") + rng.integers(0, 700, ROWS)
    return [str(each) for each in days]


def european(rng: np.random.Generator) -> list[str]:
    pairs = zip(rng.integers(1, 29, ROWS), rng.integers(1, 13, ROWS), strict=True)
    return [f"{day}/{month}/2023" for day, month in pairs]


WORDS = ("the", "patient", "came", "late", "at", "night", "with", "cough", "and", "fever")


def free_text(rng: np.random.Generator) -> list[str]:
    return [" ".join(rng.choice(WORDS, 9)) + f" {number}" for number in range(ROWS)]


def holed(rng: np.random.Generator) -> dict[str, list[str]]:
    table = sound(rng)
    for row in range(0, 90, 3):
        table["age"][row] = ""
        table["site"][row + 1] = "NA"
    return table


def twins(rng: np.random.Generator) -> dict[str, list[str]]:
    table = sound(rng)
    codes = {"north": "1", "south": "2", "east": "3"}
    given_away = {"yes": "sick", "no": "well"}
    return {
        "unit": ["cm"] * ROWS,
        "site_no": [codes[each] for each in table["site"]],
        "outcome": [given_away[each] for each in table["y"]],
        **table,
    }


def measured(rng: np.random.Generator) -> dict[str, list[str]]:
    return {**sound(rng), "y": [str(each) for each in rng.permutation(500)] + ["7"] * (ROWS - 500)}


def torn(rng: np.random.Generator) -> dict[str, list[str]]:
    table = sound(rng)
    other = {"yes": "no", "no": "yes"}
    for row in range(10):
        for name, column in table.items():
            column[ROWS - 1 - row] = other[column[row]] if name == "y" else column[row]
    return table


def pointed(rng: np.random.Generator) -> dict[str, list[str]]:
    table = sound(rng)
    table["size"] = [each.replace(".", ",") for each in table["size"]]
    return table


def mixed(rng: np.random.Generator) -> list[str]:
    values = [f"{each:.1f}" for each in rng.normal(40, 5, ROWS)]
    return ["unknown" if place % 60 == 0 else each for place, each in enumerate(values)]


def sentinels(rng: np.random.Generator) -> list[str]:
    values = [str(each) for each in rng.integers(100, 400, ROWS)]
    return ["-999" if place % 20 == 0 else each for place, each in enumerate(values)]


def unlabelled(rng: np.random.Generator) -> dict[str, list[str]]:
    table = sound(rng)
    table["y"][4] = table["y"][9] = ""
    return table


def everything(rng: np.random.Generator) -> dict[str, list[str]]:
    first = {"when": dates(rng), "person": ids(rng), "note": free_text(rng), "unit": ["mg"] * ROWS}
    table = {**first, **holed(rng)}
    for row in range(0, ROWS, 5):
        table["y"][row] = table["y"][row].replace("yes", "Yes")
    return table


def towns(rng: np.random.Generator) -> list[str]:
    return [("Köln", "Bonn", "Århus")[each] for each in rng.integers(0, 3, ROWS)]


PLANTED = {
    "sound": Planted(sound, ()),
    "identifiers": Planted(with_column("person", ids), ("'person' has 600 different texts",)),
    "dates": Planted(with_column("when", dates), ("columns.when = \"date\"",)),
    "dates with slashes": Planted(
        with_column("when", european), ("columns.when = \"date:%d/%m/%Y\"",)
    ),
    "free text": Planted(with_column("note", free_text), ("'note' holds free text",)),
    "missing values": Planted(holed, ("values are missing (age 30, site 30, of 600 rows)",)),
    "twins and a constant": Planted(
        twins,
        (
            "'unit' is 'cm' in every row",
            "'site' says the same as column 'site_no'",
            "'outcome' says the same as the class 'y'",
        ),
    ),
    "a regression": Planted(
        measured, ("has 500 different numbers, and looks like a measurement",), mended=False
    ),
    "conflicting rows": Planted(torn, ("20 rows have equal features but different classes",)),
    "decimal comma": Planted(
        pointed, ("set decimal = \",\"", "delimiter seems to be ';'"), delimiter=";"
    ),
    "words among numbers": Planted(
        with_column("weight", mixed), ('missing-values = { weight = ["unknown"] }',)
    ),
    "a stand-in": Planted(with_column("dose", sentinels), ("'dose' holds -999 in 30 rows",)),
    "rows without a class": Planted(
        unlabelled, ("2 rows have no class in column 'y', the first is row 5",), mended=False
    ),
    "another encoding": Planted(
        with_column("town", towns),
        ('encoding = "cp1252"',),
        encoding="cp1252",
    ),
    "all at once": Planted(
        everything,
        (
            "columns.when = \"date\"",
            "'person' has 600 different texts",
            "'note' holds free text",
            "'unit' is 'mg' in every row",
            "values are missing (age 30, site 30",
            "classes 'yes' and 'Yes' may be one",
        ),
    ),
}  # fmt: skip


def text_of(planted: Planted) -> bytes:
    """Return the table as the bytes of a CSV file."""
    columns = planted.columns(np.random.default_rng(3))
    rows = zip(*columns.values(), strict=True)
    lines = [planted.delimiter.join(columns), *(planted.delimiter.join(row) for row in rows)]
    return ("\n".join(lines) + "\n").encode(planted.encoding)
