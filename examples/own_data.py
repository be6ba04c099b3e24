"""Files of your own as owners: tables for one task, a folder of images by class for another.

python examples/own_data.py

The files are made here so that the script runs anywhere; put the paths of yours in their place.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from example_data import digits, digits_folder, flows

import mycroft_fl as mf

PARTS = ("train", "validation", "test")
QUICK = {"budget": 40, "num_rounds": 1}
ROWS = {
    "train": (300, 0, 0.0), "validation": (120, 1, 0.3), "test": (300, 2, 0.5),
    "harbour": (90, 3, 0.9), "office": (90, 4, 0.0),
}  # fmt: skip
"""Rows, seed and share of odd ones of each table."""


def write_tables(folder: Path) -> None:
    """Write a CSV file for each part, with a column that is of no use to a model."""
    for name, (count, seed, odd) in ROWS.items():
        table = flows(count, seed, odd)
        table.insert(0, "session", [f"{name}-{place}" for place in range(count)])
        table.to_csv(folder / f"{name}.csv", index=False)


def rank_tables(folder: Path) -> mf.RunResult:
    """Rank owners who hold tables: name the column of classes, and drop what tells rows apart."""
    parts = {name: folder / f"{name}.csv" for name in PARTS}
    owners = {name: folder / f"{name}.csv" for name in ("harbour", "office")}
    return mf.rank(
        "random-forest", **parts, owners=owners, label="label", data={"drop": ["session"]}, **QUICK
    )


def rank_folder(folder: Path) -> mf.RunResult:
    """Rank an owner who holds pictures in folders by class beside one who holds arrays."""
    parts = {name: digits(name) for name in PARTS}
    owners = {"folder": folder, "arrays": digits("dataset")}
    return mf.rank("mlp", **parts, owners=owners, **QUICK)


def main() -> None:
    """Print both rankings, and the first rows that were handed over."""
    with tempfile.TemporaryDirectory() as place:
        write_tables(Path(place))
        result = rank_tables(Path(place))
    print(result, result.acquired.frame().head(3), sep="\n\n", end="\n\n")
    print(rank_folder(digits_folder()))


if __name__ == "__main__":
    main()
