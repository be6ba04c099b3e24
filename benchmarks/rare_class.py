"""A rare class and whom to buy it from: the metric that auto takes, against accuracy.

    python -m benchmarks.rare_class [--table synthetic|diabetes-130] [--seeds 10]

Trainer and test hold 6 % of the rare class. One owner of three holds half of it, the others none.
`synthetic` is scikit-learn's make_classification. `diabetes-130` has readmissions within 30 days
against none, from $MYCROFT_DATA; one admission a patient, numbers alone. AUC is scikit-learn's.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.datasets import make_classification
from sklearn.metrics import roc_auc_score

from benchmarks.tables import paired, points, row, rule, share
from mycroft_fl.models.fitting import probabilities
from mycroft_fl.statistics import over_seeds
from simulations.engines.run import run
from simulations.setup.simulation import Simulation
from strategies.runs.folder import RunFolder
from strategies.runs.outcome import saved_model

METRICS = ("accuracy", "auto")
MODELS = ("baseline", "free", "final")
SCENARIO = """
dataset = { path = "table.csv", label = "kind" }
model = "mlp"
groups.common.classes = ["common"]
groups.rare.classes = ["rare"]
trainer.train = { common = 940, rare = 60 }
trainer.validation = { common = 2820, rare = 180 }
trainer.test = { common = 1880, rare = 120 }
owners = [
  { name = "seller", holds = { rare = 150, common = 150 } },
  { name = "b", holds = { common = 300 } },
  { name = "c", holds = { common = 300 } },
]
[run]
method = "features"
feature-space = "standardised"
budget = 90
pilot-per-owner = 30
num-rounds = 2
fit.epochs = 20
fine-tune.steps = 60
"""


@dataclass(frozen=True)
class Outcome:
    """The place of the rare class's owner among three, its score, and the AUC of each model."""

    metric: str
    place: int
    score: float
    auc: dict[str, float]


def synthetic(seed: int) -> pd.DataFrame:
    """Draw ten numbers a row, six of which tell the classes apart in part."""
    x, y = make_classification(
        9000, 10, n_informative=6, n_redundant=0, n_clusters_per_class=2, weights=[0.8],
        class_sep=0.9, flip_y=0.0, random_state=seed,
    )  # fmt: skip
    frame = pd.DataFrame(x, columns=[f"c{place}" for place in range(x.shape[1])]).round(5)
    return frame.assign(kind=np.where(y == 1, "rare", "common"))


def diabetes(seed: int) -> pd.DataFrame:
    """Read each patient's first admission: readmitted within 30 days, or not at all."""
    path = Path(os.environ.get("MYCROFT_DATA", ".")) / "diabetes-130" / "diabetes.csv.gz"
    table = pd.read_csv(path, low_memory=False).drop_duplicates("patient_nbr")
    table = table[table["readmitted"] != ">30"]
    numbers = table.select_dtypes("number").drop(columns=["encounter_id", "patient_nbr"])
    decade = table["age"].str.extract(r"(\d+)", expand=False).astype(int)
    kind = np.where(table["readmitted"] == "<30", "rare", "common")
    return numbers.assign(decade=decade, kind=kind)


TABLES: dict[str, Callable[[int], pd.DataFrame]] = {
    "synthetic": synthetic,
    "diabetes-130": diabetes,
}


def outcome(table: pd.DataFrame, metric: str, seed: int) -> Outcome:
    """Run the scenario once, in process."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        table.to_csv(folder / "table.csv", index=False)
        (folder / "rare.toml").write_text(SCENARIO)
        out = RunFolder.prepared(folder / "run", force=False).path
        settings = {"seed": seed, "metric": metric}
        scenario = str(folder / "rare.toml")
        simulation = Simulation.load(scenario, settings, out, engine="in-process")
        # What a run says of itself is no part of the table.
        with redirect_stdout(sys.stderr):
            result = run(simulation)
        test = simulation.world.trainer("test")
        rare = simulation.task.classes.index("rare")
        auc = {
            name: float(
                roc_auc_score(
                    test.y == rare,
                    probabilities(saved_model(simulation.folder, name, simulation.task), test)[
                        :, rare
                    ],
                )
            )
            for name in MODELS
        }
    names = [each["owner"] for each in result["owners"]]
    seller = result["owners"][names.index("seller")]
    return Outcome(result["metric"], names.index("seller") + 1, seller["score"], auc)


def table_of(found: dict[str, Sequence[Outcome]]) -> list[str]:
    """Write one row a metric, in Markdown."""
    head = ["metric", "taken", "owner of the rare class: first, last of 3", "its score"]
    lines = [row([*head, *(f"AUC, {name}" for name in MODELS), "final over baseline"]), rule(8)]
    for metric, runs in found.items():
        places = [each.place for each in runs]
        aucs = {name: [each.auc[name] for each in runs] for name in MODELS}
        lines.append(row([
            metric, " ".join(sorted({each.metric for each in runs})),
            f"{places.count(1)}, {places.count(3)} of {len(runs)} seeds",
            points(over_seeds([each.score for each in runs])),
            *(share(over_seeds(aucs[name])) for name in MODELS),
            points(paired(aucs["final"], aucs["baseline"])),
        ]))  # fmt: skip
    return lines


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", choices=TABLES, default="synthetic")
    parser.add_argument("--seeds", type=int, default=10)
    given = parser.parse_args()
    torch.set_num_threads(1)
    tables = [TABLES[given.table](seed) for seed in range(given.seeds)]
    found = {
        metric: [outcome(table, metric, seed) for seed, table in enumerate(tables)]
        for metric in METRICS
    }
    print("\n".join(table_of(found)))


if __name__ == "__main__":
    main()
