"""The trainer's judgement: equal luck for all methods, splits that stay apart, worth that shows."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from mycroft_fl.config import RunConfig
from mycroft_fl.data.sources import load_dataset
from mycroft_fl.errors import DataError, SettingError
from mycroft_fl.examples import Examples
from mycroft_fl.models import fitting
from mycroft_fl.models.fitting import Source, accuracy, correct
from mycroft_fl.models.networks import build
from mycroft_fl.models.weights import flat_weights, save_weights
from mycroft_fl.represent.gradients import last_layer_gradients
from mycroft_fl.task import Task
from strategies import trainer as module
from strategies.trainer import SHARES_TO_CHOOSE_FROM, Trainer, TrainerData

TASK = Task(tuple("0123456789"), (1, 8, 8), np.dtype(np.uint8), "mlp")
QUICK = RunConfig(fit_epochs=10, fine_tune_steps=40, scoring_repeats=2, hard_set_sent=12)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@cache
def population() -> dict[str, Examples]:
    """Digits the trainer knows only upright, and what owners could bring."""
    digits = load_dataset("digits", Path()).examples
    order = np.random.default_rng(0).permutation(len(digits))
    upright = digits[order]
    turned = upright[np.isin(upright.y, [2, 3, 4, 5, 7])]
    turned = Examples(np.ascontiguousarray(turned.x[..., ::-1, ::-1]), turned.y)
    rng = np.random.default_rng(1)
    noise = Examples(
        rng.integers(0, 256, (20, 1, 8, 8), dtype=np.uint8), rng.integers(0, 10, 20, dtype=np.int64)
    )
    return {
        "train": upright[:300],
        "validation": Examples.concatenate([upright[300:420], turned[400:520]]),
        "useful": turned[600:620],
        "plain": upright[500:520],
        "noise": noise,
    }


def trainer(config: RunConfig = QUICK, **data) -> Trainer:
    people = population()
    whole = {"train": people["train"], "validation": people["validation"], **data}
    return Trainer(TASK, TrainerData(**whole), config)


@pytest.fixture(scope="module")
def usual() -> Trainer:
    return trainer()


def same(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    return bool(np.array_equal(flat_weights(a), flat_weights(b)))


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
def test_the_baseline_depends_on_data_and_seed_and_on_no_decision(usual, changed):
    assert same(trainer(replace(QUICK, **changed)).baseline, usual.baseline)


def test_another_seed_is_another_baseline_and_another_split(usual):
    other = trainer(replace(QUICK, seed=1))
    assert not same(other.baseline, usual.baseline)
    assert other.splits.selection.ids.tolist() != usual.splits.selection.ids.tolist()


def test_all_is_the_same_twice(usual):
    again = trainer()
    people = population()
    assert same(again.control, usual.control)
    assert same(again.improved(people["useful"]), usual.improved(people["useful"]))
    subsets = {"a": people["useful"], "b": people["plain"]}
    assert again.scores(subsets) == usual.scores(subsets)


def test_the_splits_are_the_validation_examples_each_in_one_of_them(usual):
    parts = [usual.splits.selection, usual.splits.scoring, usual.splits.tuning]
    held = np.concatenate([part.ids for part in parts])
    assert sorted(held) == sorted(population()["validation"].ids)
    assert [len(part) for part in parts] == [96, 96, 48]


def test_the_hard_set_is_what_the_baseline_gets_wrong_in_the_selection_split(usual):
    sent = usual.hard_set.sent
    assert len(sent) == 12
    assert not correct(usual.baseline, sent).any()
    assert np.isin(sent.ids, usual.splits.selection.ids).all()
    assert usual.hard_set.found == int((~correct(usual.baseline, usual.splits.selection)).sum())


def test_named_classes_alone_are_hard():
    config = replace(QUICK, hard_set_classes=" 2, 7 ,", hard_set_sent=6)
    assert set(trainer(config).hard_set.sent.y.tolist()) <= {2, 7}


def test_an_unknown_class_is_refused_with_a_suggestion():
    with pytest.raises(SettingError, match=r"hard-set\.classes names the unknown class '77'"):
        trainer(replace(QUICK, hard_set_classes="2,77"))


def test_too_few_validation_examples_are_refused():
    with pytest.raises(DataError, match="1 validation examples are too few"):
        trainer(validation=population()["validation"][:1])


def test_a_trainer_may_start_from_weights_of_its_own(tmp_path):
    model = build("mlp", (1, 8, 8), 10, seed=99)
    save_weights(model, tmp_path / "own.safetensors")
    assert same(trainer(weights=tmp_path / "own.safetensors").baseline, model)


@pytest.fixture
def seen(monkeypatch) -> list[tuple[list[Source], int]]:
    """The sources and the seed of every fine-tune."""
    calls: list[tuple[list[Source], int]] = []
    real = fitting.fine_tune

    def noted(model, sources, settings, *, seed):
        calls.append((list(sources), seed))
        return real(model, sources, settings, seed=seed)

    monkeypatch.setattr(module, "fine_tune", noted)
    return calls


def shape_of(sources: list[Source]) -> list[tuple[int, float]]:
    return [(len(source.examples), source.share) for source in sources]


def test_the_references_differ_from_the_improved_model_in_their_data_alone(seen):
    it = trainer()
    subset = population()["useful"]
    _ = it.control, it.own_hard_set, it.improved(subset)
    assert [shape_of(sources) for sources, _ in seen] == [
        [(300, 1.0)],
        [(300, 1.0), (12, 0.1)],
        [(300, 1.0), (12, 0.1), (20, 0.25)],
    ]
    assert len({seed for _, seed in seen}) == 1


def test_the_control_never_has_the_hard_set_and_the_own_hard_set_always(seen):
    it = trainer(replace(QUICK, train_on_hard_set=False))
    _ = it.control, it.own_hard_set, it.improved(population()["useful"])
    assert [shape_of(sources) for sources, _ in seen] == [
        [(300, 1.0)],
        [(300, 1.0), (12, 0.1)],
        [(300, 1.0), (20, 0.25)],
    ]


def test_with_nothing_acquired_the_improved_model_is_the_reference():
    it = trainer()
    assert same(it.improved(None), it.own_hard_set)
    paper = trainer(replace(QUICK, train_on_hard_set=False))
    assert same(paper.improved(None), paper.control)


def test_full_information_is_pooled_with_the_share_of_its_size(seen):
    it = trainer(replace(QUICK, method="full", subset_weight=0.8))
    it.improved(population()["useful"])
    # The hard set keeps its tenth of each batch.
    assert shape_of(seen[-1][0])[-1] == (20, 0.9 * 20 / 320)


def test_a_subset_weight_of_zero_chooses_the_share_on_the_tuning_split(seen):
    it = trainer(replace(QUICK, subset_weight=0.0))
    subset = population()["useful"]
    final = it.improved(subset)
    tried = [shape_of(sources)[-1][1] for sources, _ in seen]
    assert tried[:-1] == list(SHARES_TO_CHOOSE_FROM)
    reached = {
        share: accuracy(
            trainer(replace(QUICK, subset_weight=share)).improved(subset), it.splits.tuning
        )
        for share in SHARES_TO_CHOOSE_FROM
    }
    best = [share for share in reached if reached[share] == max(reached.values())]
    assert tried[-1] == min(best)
    assert same(final, trainer(replace(QUICK, subset_weight=tried[-1])).improved(subset))


def test_owners_are_scored_with_the_plain_share_where_it_is_to_be_chosen(seen):
    it = trainer(replace(QUICK, subset_weight=0.0))
    it.scores({"a": population()["useful"]})
    with_subset = [sources for sources, _ in seen if len(sources) == 3]
    assert [shape_of(sources)[-1] for sources in with_subset] == [(20, 0.25)] * 2


def test_useful_examples_score_higher_than_plain_ones_and_those_than_noise(usual):
    people = population()
    scores = usual.scores({name: people[name] for name in ("useful", "plain", "noise")})
    assert scores["useful"].gain > scores["plain"].gain > scores["noise"].gain
    assert scores["useful"].low > 0 > scores["noise"].low
    assert all(each.low <= each.gain <= each.high for each in scores.values())


def test_a_score_is_the_gain_in_accuracy_over_the_same_fine_tunes_without(seen):
    it = trainer()
    subset = population()["useful"]
    score = it.scores({"a": subset})["a"]
    splits, gains = it.splits, []
    seeds = [seed for sources, seed in seen if len(sources) == 3]
    assert len(set(seeds)) == 2
    assert [seed for sources, seed in seen if len(sources) == 2] == seeds
    settings = fitting.FineTuneSettings(40, 64, 3e-3)
    for seed in seeds:
        reached = [
            accuracy(fitting.fine_tune(it.baseline, sources, settings, seed=seed), splits.scoring)
            for sources in (
                [Source(it.train, 1.0), Source(it.hard_set.sent, 0.1), Source(subset, 0.25)],
                [Source(it.train, 1.0), Source(it.hard_set.sent, 0.1)],
            )
        ]
        gains.append(reached[0] - reached[1])
    assert score.gain == pytest.approx(np.mean(gains))


def test_a_score_does_not_depend_on_who_else_is_scored(usual):
    people = population()
    alone = usual.scores({"b": people["useful"]})
    assert usual.scores({"a": people["plain"], "b": people["useful"]})["b"] == alone["b"]
    assert usual.scores({}) == {}


def test_an_empty_subset_gains_nothing_at_all(usual):
    score = usual.scores({"a": population()["useful"][:0]})["a"]
    assert (score.gain, score.low, score.high) == (0.0, 0.0, 0.0)


def test_the_cheap_score_is_a_step_along_the_kept_hard_examples_gradient(usual):
    people = population()
    found = usual.alignments({name: people[name] for name in ("useful", "plain")})
    assert found["useful"] > found["plain"]
    kept = usual.splits.scoring[~correct(usual.baseline, usual.splits.scoring)]

    def mean_gradient(examples: Examples) -> np.ndarray:
        """By autograd, not by the closed form."""
        usual.baseline.zero_grad()
        x = torch.from_numpy(examples.x).float() / 255
        loss = torch.nn.functional.cross_entropy(usual.baseline(x), torch.from_numpy(examples.y))
        grads = torch.autograd.grad(loss, list(usual.baseline.head.parameters()))
        return np.concatenate([grad.flatten().numpy() for grad in grads]).astype(float)

    hard = mean_gradient(kept)
    wanted = mean_gradient(people["useful"]) @ hard / np.linalg.norm(hard)
    assert found["useful"] == pytest.approx(wanted, rel=1e-3)


def test_the_cheap_score_of_nothing_is_zero(usual):
    assert usual.alignments({"a": population()["useful"][:0]}) == {"a": 0.0}


def test_the_cheap_score_is_zero_where_nothing_hard_is_kept(monkeypatch):
    it = trainer()
    monkeypatch.setattr(module, "correct", lambda model, examples: np.ones(len(examples), bool))
    assert it.alignments({"a": population()["useful"]}) == {"a": 0.0}


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


def test_a_hard_set_of_one_does_not_agree_with_itself():
    assert trainer(replace(QUICK, hard_set_sent=1)).hard_set_agreement() == 0.0


def test_the_hard_set_sent_back_is_noticed_and_honest_answers_are_not(usual):
    people = population()
    assert usual.has_copied(usual.hard_set.sent)
    assert not any(usual.has_copied(people[name]) for name in ("useful", "plain", "noise"))


def test_jittered_copies_of_vectors_are_noticed_too():
    people = population()
    flat = {
        name: Examples(part.x.reshape(len(part), -1).astype(np.float32) / 255, part.y)
        for name, part in people.items()
    }
    task = Task(tuple("0123456789"), (64,), np.dtype(np.float32), "mlp")
    asking = Trainer(task, TrainerData(flat["train"], flat["validation"]), QUICK)
    hard = asking.hard_set.sent
    moved = hard.x + np.random.default_rng(0).normal(0, 0.005, hard.x.shape).astype(np.float32)
    assert asking.has_copied(Examples(moved, hard.y))
    assert asking.could_be_real(hard)
    assert not any(asking.has_copied(flat[name]) for name in ("useful", "plain", "noise"))
