"""CPU seconds of commands that run nothing, before a change and after it, in turns.

python -m benchmarks.start_up --before /path/to/an/older/checkout
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).parents[1]
ROWS = 100_000
TYPO = 'title = "x"\ndatset = "mnist5k"\n[groups.a]\n'
TABLE = (
    'dataset = {{ path = "{0}", label = "y" }}\nmodel = "random-forest"\n[groups.a]\n'
    "[trainer]\ntrain = {{ a = 900 }}\nvalidation = {{ a = 900 }}\ntest = {{ a = 900 }}\n"
    '[[owners]]\nname = "a"\nholds = {{ a = 900 }}\n[run]\nmethod = "features"\n'
)
COMMANDS = {
    "`--help`": ["--help"],
    "`study --list`": ["study", "--list"],
    "a typo in a scenario": ["simulate", "typo.toml"],
    "a full folder": ["simulate", "rotated-digits", "--out", "full"],
    "a missing file": ["simulate", "none.toml"],
    "`inspect` of 100,000 rows": ["inspect", "table.csv", "--label", "y"],
    "`simulate` on the same table": ["simulate", "table.toml", "--engine", "in-process"],
}
"""The last one names one problem of the table; `inspect` names all."""


def write_files(folder: Path) -> None:
    """Write a typo, a full folder, and a table of 100,000 rows with a column of dates nobody declared."""
    (folder / "typo.toml").write_text(TYPO)
    (folder / "full").mkdir()
    (folder / "full" / "x").touch()
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(ROWS, 6))
    days = np.datetime64("2020-01-01") + rng.integers(0, 900, ROWS)
    sites = np.array(["north", "south", "east"])[rng.integers(0, 3, ROWS)]
    lines = ["a,b,c,d,e,f,day,site,y"]
    for row in range(ROWS):
        values = ",".join(f"{each:.4f}" for each in numbers[row])
        lines.append(f"{values},{days[row]},{sites[row]},{'yes' if numbers[row, 0] > 0 else 'no'}")
    (folder / "table.csv").write_text("\n".join(lines) + "\n")
    (folder / "table.toml").write_text(TABLE.format("table.csv"))


def cpu_seconds(checkout: Path, words: list[str], folder: Path) -> float | None:
    """Run a command from a checkout and measure its CPU seconds; None where it does not know the command."""
    environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ran = subprocess.run(
        [sys.executable, "-m", "mycroft_fl", *words],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if "No such command" in ran.stderr:
        return None
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure both checkouts in turns and print a table of medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    found: dict[tuple[str, str], list[float]] = {}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_files(folder)
        for _ in range(given.repeats):
            for name, words in COMMANDS.items():
                for which, checkout in (("before", given.before), ("after", HERE)):
                    seconds = cpu_seconds(checkout.absolute(), words, folder)
                    if seconds is not None:
                        found.setdefault((name, which), []).append(seconds)
    print("| command | before | after |\n|---|---|---|")
    for name in COMMANDS:
        cells = [found.get((name, which)) for which in ("before", "after")]
        shown = [f"{statistics.median(each):.2f}" if each else "-" for each in cells]
        print(f"| {name} | {shown[0]} | {shown[1]} |")


if __name__ == "__main__":
    main()
