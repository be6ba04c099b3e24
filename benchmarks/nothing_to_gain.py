"""Tables on which owners cannot help: they hold what the trainer holds, and the rest is noise.

    python -m benchmarks.nothing_to_gain [--seeds 10] [--first-seed 0] [--rules detector-counted]

`synthetic` is scikit-learn's make_classification with a third of the labels drawn anew. `heart` and
`diabetes-130` are of $MYCROFT_DATA: heart disease over four hospitals, and readmission within 30 days
against none, classes in equal numbers. Trainer and five owners are drawn from the same rows. The
table counts runs whose final model is worse than the free one, or than the baseline, by more than a
point on the whole test, and what verdicts say.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.datasets import make_classification

from benchmarks.rare_class import diabetes
from benchmarks.shifts.worlds import RULES
from benchmarks.tables import paired, points, row, rule, share
from mycroft_fl.report.run.answer import answer
from mycroft_fl.statistics import over_seeds
from simulations.engines.run import run
from simulations.setup.simulation import Simulation
from strategies.runs.folder import RunFolder

POINT = 0.01
MODELS = ("mlp", "logistic-regression", "random-forest")
SCENARIO = """
dataset = {{ path = "table.csv", label = "kind" }}
model = "{model}"
groups.everyone.classes = ["no", "yes"]
trainer.train = {{ everyone = {train} }}
trainer.validation = {{ everyone = {train} }}
trainer.test = {{ everyone = {test} }}
owners = [{owners}]
[run]
budget = 100
pilot-per-owner = 10
"""
Result = dict[str, Any]


def synthetic(seed: int) -> pd.DataFrame:
    """Draw ten numbers a row, and a third of the labels by chance."""
    x, y = make_classification(
        6000, 10, n_informative=5, n_redundant=0, flip_y=1 / 3, random_state=seed
    )
    frame = pd.DataFrame(x, columns=[f"c{place}" for place in range(10)]).round(5)
    return frame.assign(kind=np.where(y == 1, "yes", "no"))


def heart(seed: int) -> pd.DataFrame:
    """Read the four hospitals' patients, by what all of them have measured."""
    path = Path(os.environ.get("MYCROFT_DATA", ".")) / "heart-hospitals" / "heart.csv"
    table = pd.read_csv(path)
    numbers = table[["age", "sex", "cp", "trestbps", "thalach", "exang", "oldpeak"]]
    kind = table["disease"]
    return numbers.fillna(numbers.median()).assign(kind=kind)


def balanced(seed: int) -> pd.DataFrame:
    """Draw as many admissions of each class."""
    table = diabetes(seed)
    rare = table[table["kind"] == "rare"]
    common = table[table["kind"] == "common"].sample(len(rare), random_state=seed)
    both = pd.concat([rare, common])
    return both.assign(kind=np.where(both["kind"] == "rare", "yes", "no"))


TABLES: Mapping[str, tuple[Callable[[int], pd.DataFrame], int, int, int]] = {
    "synthetic": (synthetic, 300, 3000, 200),
    "heart": (heart, 150, 320, 50),
    "diabetes-130": (balanced, 300, 3000, 200),
}
"""A table, the rows of training and of validation, of test, and of an owner."""


def outcome(name: str, table: pd.DataFrame, model: str, rule_name: str, seed: int) -> Result:
    """Run the scenario once, in process."""
    _, train, test, held = TABLES[name]
    owners = ", ".join(
        f'{{ name = "{each}", holds = {{ everyone = {held} }} }}' for each in "abcde"
    )
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        table.to_csv(folder / "table.csv", index=False)
        scenario = folder / "noise.toml"
        scenario.write_text(SCENARIO.format(model=model, train=train, test=test, owners=owners))
        out = RunFolder.prepared(folder / "run", force=False).path
        settings = {**RULES[rule_name], "seed": seed}
        if model == "random-forest":
            settings["proxy"] = "mlp"
        simulation = Simulation.load(str(scenario), settings, out, engine="in-process")
        with redirect_stdout(sys.stderr):
            result = run(simulation)
    return {**result, "verdict": answer(result).verdict}


def cells(results: Sequence[Result]) -> list[str]:
    """Write what a row says of its runs."""
    reached = {
        key: [float(each[key]["test"]) for each in results] for key in ("baseline", "free", "final")
    }

    def worse(rival: str) -> str:
        count = sum(
            final < other - POINT
            for final, other in zip(reached["final"], reached[rival], strict=True)
        )
        return f"{count} of {len(results)}"

    verdicts = Counter(each["verdict"].split(" ")[0].lower() for each in results)
    return [
        *(share(over_seeds(reached[key])) for key in reached),
        points(paired(reached["final"], reached["free"])),
        worse("free"),
        worse("baseline"),
        ", ".join(f"{count} {word}" for word, count in verdicts.most_common()),
    ]


def main() -> None:
    """Print the table, and below it all runs together."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--rules", default="detector-counted,hard-features")
    parser.add_argument("--tables", default=",".join(TABLES))
    given = parser.parse_args()
    torch.set_num_threads(1)
    seeds = range(given.first_seed, given.first_seed + given.seeds)
    head = ["rule", "table", "model", "baseline", "free", "final", "over free",
            "worse than free", "than the baseline", "verdicts"]  # fmt: skip
    print(row(head), rule(len(head)), sep="\n", flush=True)
    for rule_name in given.rules.split(","):
        every: list[Result] = []
        for name in given.tables.split(","):
            tables = [TABLES[name][0](seed) for seed in seeds]
            for model in MODELS:
                pairs = zip(seeds, tables, strict=True)
                found = [outcome(name, each, model, rule_name, seed) for seed, each in pairs]
                print(row([rule_name, name, model, *cells(found)]), flush=True)
                every += found
        print(row([rule_name, "all", "all", *cells(every)]), flush=True)


if __name__ == "__main__":
    main()
