"""A real trainer's file: what is read from it, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mycroft_fl.data.tables.known import KNOWN_TABLES
from mycroft_fl.errors import DataError, SettingError
from mycroft_fl.models.estimators import build_estimator
from mycroft_fl.models.fitting import FitSettings, accuracy, fit
from mycroft_fl.models.weights import save_model
from mycroft_fl.settings.run_config import RunConfig
from mycroft_fl.tasks.file import load_task
from strategies.training.trainer import Trainer, TrainerData

TASK = """
train = { path = "train.csv", label = "class" }
validation = { path = "validation.csv", label = "class" }
test = { path = "test.csv", label = "class" }
model = "random-forest"
[run]
method = "features"
feature-space = "binning"
hard-set.rule = "highest-loss"
scoring.repeats = 1
"""


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """Breast cancer, split in three; validation repeats 5 rows of train, test 7 of validation."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    rows = pd.read_csv(KNOWN_TABLES["breast-cancer"]().path).sample(frac=1, random_state=0)
    parts = {"train": rows[:250], "validation": rows[245:400], "test": rows[393:]}
    for name, part in parts.items():
        part.to_csv(tmp_path / f"{name}.csv", index=False)
    return tmp_path


def read(folder: Path, text: str = TASK):
    (folder / "task.toml").write_text(text)
    return load_task(folder / "task.toml")


def test_parts_share_one_schema_fitted_on_train_and_no_example(folder):
    task = read(folder)
    assert [len(part) for part in (task.train, task.validation, task.test)] == [250, 150, 169]
    np.testing.assert_allclose(task.train.x.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(task.train.x.std(axis=0), 1, atol=1e-4)
    assert abs(task.validation.x.mean(axis=0)).max() > 1e-2
    assert task.task.classes == ("benign", "malignant")
    assert task.config == RunConfig.from_settings({
        "method": "features", "feature-space": "binning", "hard-set.rule": "highest-loss",
        "scoring.repeats": 1,
    })  # fmt: skip


def test_a_trainer_runs_from_it_and_starts_from_its_weights(folder):
    task = read(folder)
    model = fit(build_estimator("random-forest", 2), task.train, None, FitSettings(1, 1, 1), seed=7)
    save_model(model, folder / "forest.skops")
    task = read(folder, 'weights = "forest.skops"\n' + TASK)
    trainer = Trainer(
        task.task, TrainerData(task.train, task.validation, task.weights), task.config
    )
    expected = model.probabilities(task.test.x)
    np.testing.assert_array_equal(trainer.baseline.probabilities(task.test.x), expected)
    scores = trainer.valuation.scores({"a": task.test[np.arange(40)]})
    assert scores["a"].low <= scores["a"].gain <= scores["a"].high
    assert accuracy(trainer.control, task.test) > 0.9


def test_labels_may_name_classes_that_the_trainer_has_never_seen(folder):
    task = read(folder, 'labels = ["malignant", "benign", "unsure"]\n' + TASK)
    assert task.task.num_classes == 3
    assert task.train.y.max() == 1


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('model = "', 'modell = "', "unknown key 'modell'; did you mean 'model'?"),
        ('train = { path = "train.csv", label = "class" }\n', "", "train is missing"),
        ('label = "class" }\nval', 'labell = "class" }\nval', "unknown key 'train.labell'"),
        ("[run]", 'labels = ["a"]\n[run]', "at least two classes"),
        ("[run]", 'labels = "a"\n[run]', "give a list of class names"),
        ("[run]", 'labels = ["benign", "other"]\n[run]', "label 'malignant' is no class of the task"),
        ("[run]", 'weights = "none.skops"\n[run]', "which does not exist"),
        ('"validation.csv"', '"train.csv"', "holds nothing that the parts before it do not"),
        ('"validation.csv"', '"nothing.csv"', "no data set 'nothing.csv'"),
        ("scoring.repeats", "scoring.repeat", "did you mean 'scoring.repeats'?"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_that_names_it(folder, old, new, words):
    assert old in TASK
    with pytest.raises((DataError, SettingError)) as caught:
        read(folder, TASK.replace(old, new, 1))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
