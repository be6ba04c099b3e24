"""Runs by another metric than accuracy: what they choose, whom they rank first, what they say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn import metrics as sk
from sklearn.datasets import make_classification

from mycroft_fl.errors import DataError, SettingError
from mycroft_fl.models.fitting import predict, probabilities
from mycroft_fl.report.run.schema import check_result
from mycroft_fl.tasks.file import load_task
from simulations.engines.run import run
from simulations.setup.simulation import Simulation
from strategies.deployment.app import RunPlan
from strategies.runs.folder import RunFolder
from strategies.runs.outcome import saved_model

RARE = """
dataset = { path = "table.csv", label = "kind" }
model = "mlp"
groups.common.classes = ["common"]
groups.rare.classes = ["rare"]
trainer.train = { common = 470, rare = 30 }
trainer.validation = { common = 2820, rare = 180 }
trainer.test = { common = 940, rare = 60 }
owners = [
  { name = "b", holds = { common = 300 } },
  { name = "c", holds = { common = 300 } },
  { name = "seller", holds = { rare = 150, common = 150 } },
]
[run]
method = "features"
feature-space = "standardised"
budget = 90
pilot-per-owner = 30
num-rounds = 1
fit.epochs = 15
fine-tune.steps = 60
"""


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def unequal(folder: Path, seed: int, **changed: Any) -> Simulation:
    """A run on a table, 6 % of which are of the class `rare`, overlapping with the others."""
    x, y = make_classification(
        9000, 10, n_informative=6, n_redundant=0, n_clusters_per_class=2, weights=[0.8],
        class_sep=0.9, flip_y=0.0, random_state=seed,
    )  # fmt: skip
    frame = pd.DataFrame(x).round(5).assign(kind=np.where(y == 1, "rare", "common"))
    frame.to_csv(folder / "table.csv", index=False)
    (folder / "rare.toml").write_text(RARE)
    settings = {"seed": seed, **changed}
    out = RunFolder.prepared(folder / "run", force=True).path
    return Simulation.load(str(folder / "rare.toml"), settings, out, engine="in-process")


def place(result: dict[str, Any], owner: str = "seller") -> int:
    return [each["owner"] for each in result["owners"]].index(owner) + 1


def aucs(simulation: Simulation) -> dict[str, float]:
    test, task = simulation.world.trainer("test"), simulation.task
    rare = task.classes.index("rare")
    return {
        name: float(
            sk.roc_auc_score(
                test.y == rare,
                probabilities(saved_model(simulation.folder, name, task), test)[:, rare],
            )
        )
        for name in ("baseline", "final")
    }


@pytest.mark.slow
def test_who_holds_the_rare_class_is_first_under_auto_and_last_by_accuracy(tmp_path):
    first, last, gained = [], [], []
    for seed in range(6):
        simulation = unequal(tmp_path, seed)
        result = run(simulation)
        assert result["settings"]["metric"] == "auto"
        assert result["metric"] == "balanced-accuracy"
        # Above what the trainer's own failures bring, thirty examples move little: the order tells.
        first.append(place(result) == 1)
        found = aucs(simulation)
        gained.append(found["final"] - found["baseline"])
        plain = run(unequal(tmp_path, seed, metric="accuracy"))
        assert plain["metric"] == "accuracy"
        last.append(place(plain) == 3)
    assert sum(first) >= 5
    assert sum(last) >= 5
    assert np.mean(gained) > 0.01


def test_a_run_by_balanced_accuracy_says_so_and_its_figures_are_scikit_learns(tmp_path):
    simulation = unequal(tmp_path, 0)
    result = run(simulation)
    check_result(result)
    assert (
        "metric = auto is balanced-accuracy here: class 'rare' has 180 of 3000"
        in result["warnings"][0]
    )
    test = simulation.world.trainer("test")
    for key, name in (("baseline", "baseline"), ("free", "free"), ("final", "final")):
        answers = predict(saved_model(simulation.folder, name, simulation.task), test.x)
        truth = sk.balanced_accuracy_score(test.y, answers)
        assert result[key]["metric"] == pytest.approx(truth)
        assert result[key]["test"] == pytest.approx(sk.accuracy_score(test.y, answers))
    gain = result["gains"]["free"]["metric"]["gain"]
    assert gain == pytest.approx(result["final"]["metric"] - result["free"]["metric"])
    assert all("metric" in each for each in result["rounds"])
    assert (
        "balanced accuracy on the whole test" in (simulation.folder.path / "summary.md").read_text()
    )


def test_a_simulation_knows_the_groups_of_the_worst_group(tmp_path):
    result = run(unequal(tmp_path, 1, metric="worst-group"))
    assert result["metric"] == "worst-group"
    for key in ("baseline", "own_hard_set", "final", "random"):
        assert result[key]["metric"] == min(result[key]["groups"].values())
    assert (
        "the trainer knows no groups, so its choices and scores go by the worst class"
        in " ".join(result["warnings"])
    )


COSTS = "true,rare,common\nrare,0,20\ncommon,1,0\n"


def test_costs_lie_beside_the_scenario_and_a_result_counts_them(tmp_path):
    (tmp_path / "costs.csv").write_text(COSTS)
    simulation = unequal(tmp_path, 1, metric="cost:costs.csv")
    assert simulation.config.metric == f"cost:{tmp_path}/costs.csv"
    result = run(simulation)
    check_result(result)
    test, classes = simulation.world.trainer("test"), simulation.task.classes
    answers = predict(saved_model(simulation.folder, "final", simulation.task), test.x)
    rare = classes.index("rare")
    missed = np.count_nonzero((test.y == rare) & (answers != rare))
    alarms = np.count_nonzero((test.y != rare) & (answers == rare))
    assert result["final"]["metric"] == pytest.approx(-(20 * missed + alarms) / len(test) / 20)
    assert json.loads(json.dumps(result))["metric"] == f"cost:{tmp_path}/costs.csv"


def test_a_real_trainer_has_its_costs_beside_the_task_and_wrong_ones_are_said_at_once(tmp_path):
    for part in ("train", "validation"):
        rows = [f"{number},{'rare' if number % 3 else 'common'}" for number in range(30)]
        shifted = [f"{0.5 * (part == 'validation')}{row}" for row in rows]
        (tmp_path / f"{part}.csv").write_text("size,kind\n" + "\n".join(shifted) + "\n")
    task = tmp_path / "task.toml"
    task.write_text(
        'train = { path = "train.csv", label = "kind" }\n'
        'validation = { path = "validation.csv", label = "kind" }\n'
        'model = "decision-tree"\n[run]\nmethod = "features"\nfeature-space = "standardised"\n'
        'metric = "cost:costs.csv"\n'
    )
    (tmp_path / "costs.csv").write_text(COSTS)
    assert load_task(task).config.metric == f"cost:{tmp_path}/costs.csv"
    assert RunPlan(str(task), "", {}).load()[1].metric == f"cost:{tmp_path}/costs.csv"
    (tmp_path / "costs.csv").write_text(COSTS.replace("20", "-20"))
    with pytest.raises(DataError, match=r"'-20' \(row 'rare', column 'common'\) is no number"):
        RunPlan(str(task), "", {}).load()
    with pytest.raises(
        SettingError, match="metric names the unknown class 'rar'; did you mean 'rare'"
    ):
        RunPlan(str(task), "", {"metric": "recall:rar"}).load()
