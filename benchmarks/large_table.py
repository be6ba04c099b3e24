"""The processor time and memory that a large table of numbers takes, from a CSV to a model's vectors.

    python -m benchmarks.large_table [--rows 500000] [--columns 40] [--digits 3] [--only read]

Writes a CSV of random numbers into a folder that goes away, then reads it in a process of its own:
`read` as a scenario's data set, `fit` also what a row becomes, `encode` also its vectors. Prints
CPU seconds and the most memory that the process held.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

STEPS = ("read", "fit", "encode")


def main() -> None:
    """Write the table, and measure each step in a process of its own."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--columns", type=int, default=40)
    parser.add_argument("--digits", type=int, default=3)
    parser.add_argument("--only", choices=STEPS)
    parser.add_argument("--measured", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measured is not None:
        print(measured(options.measured, options.only))
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "large.csv"
        write_table(file, options.rows, options.columns, options.digits)
        print(
            f"{options.rows} rows, {options.columns} columns, {file.stat().st_size / 2**20:.0f} MiB"
        )
        for step in STEPS if options.only is None else (options.only,):
            command = [sys.executable, "-m", "benchmarks.large_table"]
            command += ["--measured", str(file), "--only", step]
            print(
                subprocess.run(command, check=True, capture_output=True, text=True).stdout, end=""
            )


def write_table(file: Path, rows: int, columns: int, digits: int) -> None:
    """Write normal numbers, rounded to so many digits behind the point, and a label of two classes."""
    rng = np.random.default_rng(0)
    head = ",".join([*(f"x{place}" for place in range(columns)), "label"])
    with file.open("w") as stream:
        stream.write(head + "\n")
        for start in range(0, rows, 10_000):
            x = np.round(rng.normal(size=(min(10_000, rows - start), columns)), digits)
            for place, row in enumerate(x.tolist(), start=start):
                stream.write(",".join(map(repr, row)) + (",yes\n" if place % 2 else ",no\n"))


def measured(file: Path, step: str) -> str:
    """What the steps up to this one take: a line."""
    from mycroft_fl.data.formats.spec import DatasetSpec
    from mycroft_fl.data.sources import load_dataset
    from mycroft_fl.data.tables.fit import fit_schema

    before, spec = time.process_time(), DatasetSpec(file.name, label="label")
    dataset = load_dataset(spec, file.parent)
    if step != "read":
        assert dataset.table is not None
        schema = fit_schema(dataset.table, spec)
        if step == "encode":
            schema.encode(dataset.table)
    spent = time.process_time() - before
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return f"{step}: {spent:.1f} CPU s, {memory:.2f} GiB"


if __name__ == "__main__":
    main()
