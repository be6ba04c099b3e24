"""The trainer: equal luck for all methods, splits that stay apart, a hard set of what fails."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mycroft_fl.errors import DataError, SettingError
from mycroft_fl.examples import Examples
from mycroft_fl.metrics.metric import Metric
from mycroft_fl.models.fitting import correct
from mycroft_fl.models.networks import build
from mycroft_fl.models.weights import save_weights
from mycroft_fl.represent.gradients.per_example import last_layer_gradients


@pytest.mark.parametrize(
    "changed",
    [
        {"method": "omp"},
        {"method": "full"},
        {"budget": 1, "pilot_per_owner": 1, "num_rounds": 1},
        {"hard_set_sent": 3, "train_on_hard_set": False, "hard_set_weight": 0.4},
        {"subset_weight": 0.0, "fine_tune_steps": 7, "scoring_repeats": 1},
        {"gradients_from": "owner", "feature_space": "model"},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_the_baseline_depends_on_data_and_seed_and_on_no_decision(usual, changed, trainer_of, same):
    assert same(trainer_of(**changed).baseline, usual.baseline)


def test_another_seed_is_another_baseline_and_another_split(usual, trainer_of, same):
    other = trainer_of(seed=1)
    assert not same(other.baseline, usual.baseline)
    assert other.splits.selection.ids.tolist() != usual.splits.selection.ids.tolist()


def test_all_is_the_same_twice(usual, trainer_of, people, same):
    again = trainer_of()
    assert same(again.control, usual.control)
    assert same(again.improved(people["useful"]), usual.improved(people["useful"]))
    subsets = {"a": people["useful"], "b": people["plain"]}
    assert again.valuation.scores(subsets) == usual.valuation.scores(subsets)


def test_the_splits_are_the_validation_examples_each_in_one_of_them(usual, people):
    parts = [usual.splits.selection, usual.splits.scoring, usual.splits.tuning]
    held = np.concatenate([part.ids for part in parts])
    assert sorted(held) == sorted(people["validation"].ids)
    assert [len(part) for part in parts] == [96, 96, 48]


def test_the_hard_set_is_what_the_baseline_gets_wrong_in_the_selection_split(usual):
    sent = usual.hard_set.sent
    assert len(sent) == 12
    assert not correct(usual.baseline, sent).any()
    assert np.isin(sent.ids, usual.splits.selection.ids).all()
    assert usual.hard_set.found == int((~correct(usual.baseline, usual.splits.selection)).sum())


def test_named_classes_alone_are_hard(trainer_of):
    it = trainer_of(hard_set_classes=" 2, 7 ,", hard_set_sent=6)
    assert set(it.hard_set.sent.y.tolist()) <= {2, 7}


def test_an_unknown_class_is_refused_with_a_suggestion(trainer_of):
    with pytest.raises(SettingError, match=r"hard-set\.classes names the unknown class '77'"):
        trainer_of(hard_set_classes="2,77")


def test_too_few_validation_examples_are_refused(trainer_of, people):
    with pytest.raises(DataError, match="1 validation examples are too few"):
        trainer_of({"validation": people["validation"][:1]})


def test_a_trainer_may_start_from_weights_of_its_own(tmp_path, trainer_of, same):
    model = build("mlp", (1, 8, 8), 10, seed=99)
    save_weights(model, tmp_path / "own.safetensors")
    assert same(trainer_of({"weights": tmp_path / "own.safetensors"}).baseline, model)


def test_a_hard_set_agrees_with_itself_as_far_as_its_halves_point_one_way(usual):
    hard = usual.hard_set.sent
    gradients = last_layer_gradients(
        usual.baseline, torch.from_numpy(hard.x).float() / 255, torch.from_numpy(hard.y)
    )
    rows = np.stack(
        [gradients[torch.tensor([n])].mean().flatten().numpy() for n in range(len(hard))]
    )
    rng, cosines = np.random.default_rng(0), []
    for _ in range(400):
        halves = np.split(rng.permutation(len(hard)), 2)
        a, b = (rows[half].mean(axis=0) for half in halves)
        cosines.append(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
    assert usual.hard_set_agreement() == pytest.approx(np.mean(cosines), abs=0.15)


def test_a_hard_set_of_one_does_not_agree_with_itself(trainer_of):
    assert trainer_of(hard_set_sent=1).hard_set_agreement() == 0.0


def test_balanced_digits_are_judged_by_accuracy_and_any_metric_can_be_set(usual, trainer_of):
    assert usual.metric.is_accuracy
    assert trainer_of(metric="auc").metric.kind == "auc"


def test_the_baseline_does_not_depend_on_the_metric(usual, trainer_of, same):
    assert same(trainer_of(metric="balanced-accuracy").baseline, usual.baseline)


def test_with_the_recall_of_a_class_its_failures_alone_are_hard(trainer_of):
    recall = trainer_of(metric="recall:4")
    assert set(recall.hard_set.sent.y.tolist()) == {4}
    # What the setting names stays in force.
    named = trainer_of(metric="recall:4", hard_set_classes="4,7")
    assert set(named.hard_set.sent.y.tolist()) == {4, 7}
    assert (
        np.flatnonzero(named.hard_set.sent.y == 4) < np.flatnonzero(named.hard_set.sent.y == 7)[0]
    ).all()


def rare(people: dict[str, Examples], label: int, kept: int) -> Examples:
    """The trainer's validation examples with few of one class."""
    validation = people["validation"]
    gone = np.flatnonzero(validation.y == label)[kept:]
    return validation[np.setdiff1d(np.arange(len(validation)), gone)]


def test_auto_weighs_a_rare_class_and_sends_more_of_its_failures(trainer_of, people):
    few = {"validation": rare(people, 4, 4)}
    by_auto, plain = trainer_of(few), trainer_of(few, metric="accuracy")
    assert by_auto.metric.name == "balanced-accuracy"
    assert by_auto.metric.reason.startswith("class '4' has 4 of ")
    assert plain.metric.is_accuracy
    selection = by_auto.splits.selection
    wrong = ~correct(by_auto.baseline, selection)
    # Independent of the code: classes by error rate, each example the share of its class.
    rates = {label: wrong[selection.y == label].mean() for label in np.unique(selection.y)}
    sent = by_auto.hard_set.sent.y
    for label, rate in rates.items():
        held = int(wrong[selection.y == label].sum())
        share = len(sent) * rate / sum(rates.values())
        assert int((sent == label).sum()) <= max(share + 2, 1)
        assert int((sent == label).sum()) >= min(held, share - 2)


def test_another_file_of_costs_is_another_run(trainer_of, tmp_path):
    path = tmp_path / "costs.csv"

    def fingerprint(cost: int) -> str:
        names = [str(label) for label in range(10)]
        rows = [
            [str(cost * (a != b)) if a != "3" else str(int(a != b)) for b in names] for a in names
        ]
        lines = [
            ",".join(["true", *names]),
            *(",".join([a, *r]) for a, r in zip(names, rows, strict=True)),
        ]
        path.write_text("\n".join(lines))
        return trainer_of(metric=f"cost:{path}").fingerprint()

    assert fingerprint(5) == fingerprint(5)
    assert fingerprint(5) != fingerprint(6)


def test_the_recall_of_a_class_that_the_task_lacks_is_refused(trainer_of):
    with pytest.raises(SettingError, match="metric names the unknown class 'four'; choose from"):
        trainer_of(metric="recall:four")


@pytest.mark.parametrize(("epsilon", "hides"), [(0.0, False), (1.0, True)])
def test_a_metric_that_is_told_hides_the_scoring_split_where_scores_are_published(
    trainer_of, monkeypatch, epsilon, hides
):
    told = []
    chosen = Metric.chosen
    monkeypatch.setattr(
        Metric, "chosen", lambda name, classes, y: told.append(y) or chosen(name, classes, y)
    )
    splits = trainer_of(publish_epsilon=epsilon).splits
    seen = [splits.selection, splits.tuning, *([] if hides else [splits.scoring])]
    assert sorted(told[0]) == sorted(np.concatenate([each.y for each in seen]))
