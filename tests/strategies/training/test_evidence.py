"""The evidence for a model: all validation examples speak, and none that the model has seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import accuracy_score, balanced_accuracy_score

from mycroft_fl.examples import Examples
from mycroft_fl.metrics.metric import Metric
from mycroft_fl.models.catalogue import build_model
from mycroft_fl.models.fitting import FitSettings, accuracy, fit
from mycroft_fl.settings.run_config import RunConfig
from strategies.training import evidence as module
from strategies.training.cross_fitting import CrossFitting
from strategies.training.everything import Everything, FreeRival
from strategies.training.evidence import Evidence

ANSWERS = st.lists(st.tuples(*[st.integers(0, 1)] * 3), min_size=4, max_size=40)
CLASSES = ("no", "yes")


def one_hot(answers: np.ndarray) -> np.ndarray:
    return np.eye(2)[answers]


def examples(labels: np.ndarray) -> Examples:
    return Examples(np.arange(len(labels), dtype=np.float32)[:, None], labels.astype(np.int64))


@pytest.mark.unchecked
@given(rows=ANSWERS, balanced=st.booleans())
def test_both_parts_count_as_one_set_by_the_metric(rows, balanced) -> None:
    labels, before, after = np.array(rows).T
    if len(np.unique(labels)) < 2:
        return
    half = len(labels) // 2
    tuning, validation = examples(labels[:half]), examples(labels[half:])
    asked = []

    def judge(subset, repeat):
        asked.append((subset, repeat))
        return one_hot(after[half:])

    def probabilities(model, held):
        part = slice(None, half) if held is tuning else slice(half, None)
        return one_hot({"baseline": before, "model": after}[model][part])

    metric = Metric.of("balanced-accuracy" if balanced else "accuracy", CLASSES)
    made = Evidence("baseline", validation, tuning, judge, metric)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "probabilities", probabilities)
        found = made.speaks_for("model")
        against = made.speaks_against("model")
    score = balanced_accuracy_score if balanced else accuracy_score
    gain = score(labels, after) - score(labels, before)
    differs = (after == labels).astype(int) - (before == labels)
    border = -module.DOUBT * stats.sem(differs, ddof=0)
    assert against == (gain < border) or abs(gain - border) < 1e-12
    assert found == (gain > 0) or abs(gain) < 1e-12
    assert asked == [(None, 0)]  # once, however often it is asked


def clouds(seed: int, n: int, *, noise: float = 0.0, moved: bool = False) -> Examples:
    """Two classes; a share of the labels is drawn anew, and where they have `moved` one lies elsewhere."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    x = rng.normal(size=(n, 4)).astype(np.float32) * 0.5
    x[:, 0] += np.where(y == 1, 3.0, 0.0)
    if moved:
        x[y == 1] += np.array([-3.0, 4.0, 0.0, 0.0], np.float32)
    y = np.where(rng.random(n) < noise, rng.integers(0, 2, n), y)
    return Examples(x, y.astype(np.int64))


def everything(train: Examples, validation: Examples, tuning: Examples) -> Everything:
    baseline = fit(
        build_model("mlp", (4,), 2, seed=0), train, None, FitSettings(10, 32, 3e-3), seed=0
    )
    config = replace(RunConfig(), fine_tune_steps=60)

    def of(part: Examples, evidence: Evidence | None = None) -> Everything:
        metric = Metric.of("accuracy", CLASSES)
        return Everything(
            baseline, baseline, train, part, tuning, config, metric, evidence
        )  # fmt: skip

    wrong = of(validation).failures
    folds = CrossFitting(validation, np.isin(validation.ids, wrong.ids), of, seed=0)
    metric = Metric.of("accuracy", CLASSES)
    return of(validation, Evidence(baseline, validation, tuning, folds.judge, metric))


def test_failures_that_are_noise_leave_the_baseline_more_often_than_tuning_alone_would() -> None:
    test = clouds(99, 2000)
    kept, reached = np.zeros(2), np.zeros(2)
    for seed in range(0, 60, 10):
        made = everything(
            clouds(seed, 200, noise=0.5), clouds(seed + 1, 150, noise=0.5),
            clouds(seed + 2, 20, noise=0.5),
        )  # fmt: skip
        evidence = made._evidence
        for place, each in enumerate((None, evidence)):
            made._evidence = each
            free = made.free({"baseline": made._baseline})
            kept[place] += free.name == "baseline"
            reached[place] += accuracy(free.model, test) / 6
    assert kept[1] > kept[0]
    assert reached[1] > reached[0]


def test_failures_of_a_kind_that_the_model_lacks_are_trained_on_though_tuning_is_small() -> None:
    seen = Examples.concatenate([clouds(1, 60), clouds(2, 60, moved=True)])
    tuning = Examples.concatenate([clouds(3, 8), clouds(4, 8, moved=True)])
    free = everything(clouds(0, 200), seen, tuning).free({})
    assert free.name.startswith("all failures, share")
    assert accuracy(free.model, clouds(9, 300, moved=True)) > 0.8


@pytest.mark.unchecked
@pytest.mark.parametrize(
    ("free", "speaks", "how"),
    [("baseline", False, "free"), ("baseline", True, "with owners"), ("control", False, "with owners")],
)  # fmt: skip
def test_where_failures_alone_do_not_help_what_owners_gave_must_prove_itself(
    monkeypatch, free, speaks, how
) -> None:
    made = everything(clouds(0, 100), clouds(1, 40, moved=True), clouds(2, 20, moved=True))
    given_to = []

    def speaks_for(model, acquired=None):
        given_to.append(acquired)
        return speaks

    monkeypatch.setattr(made._evidence, "speaks_for", speaks_for)
    monkeypatch.setattr(made, "_is_clearly_better", lambda rival, model: False)
    acquired = clouds(3, 30, moved=True)
    chosen = made.with_acquired(acquired, FreeRival(free, made._baseline))
    assert chosen.how == how
    assert [each is acquired for each in given_to] == ([True] if free == "baseline" else [])
