"""What a subset is worth: the gain from fine-tuning with it, and the cheap score of one gradient."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from mycroft_fl.examples import Examples
from mycroft_fl.models import fitting
from mycroft_fl.models.fitting import accuracy, correct, probabilities
from mycroft_fl.models.sources import Source
from mycroft_fl.settings.run_config import RunConfig
from strategies.training import valuation as module
from strategies.training.cross_fitting import FOLDS, SHARE
from strategies.training.valuation import LARGEST_LOSS


def test_owners_are_scored_with_the_plain_share_where_it_is_to_be_chosen(seen, trainer_of, people):
    it = trainer_of(subset_weight=0.0, train_on_validation=False)
    it.valuation.scores({"a": people["useful"]})
    with_subset = [sources for sources, _ in seen if len(sources) == 3]
    assert [(len(last.examples), last.share) for *_, last in with_subset] == [(20, 0.25)] * 2


@pytest.fixture(scope="module")
def by_split(trainer_of):
    """A trainer that scores on the scoring split alone."""
    return trainer_of(train_on_validation=False)


def test_useful_examples_score_higher_than_plain_ones_and_those_than_noise(by_split, people):
    named = {name: people[name] for name in ("useful", "plain", "noise")}
    scores = by_split.valuation.scores(named)
    assert all(each.loss_fall is None for each in scores.values())
    assert scores["useful"].gain > scores["plain"].gain > scores["noise"].gain
    assert scores["useful"].low > 0 > scores["noise"].low
    assert all(each.low <= each.gain <= each.high for each in scores.values())


def test_a_score_is_the_gain_in_accuracy_over_the_same_fine_tunes_without(seen, trainer_of, people):
    it = trainer_of(train_on_validation=False)
    subset = people["useful"]
    score = it.valuation.scores({"a": subset})["a"]
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


def test_by_cross_fitting_useful_examples_are_clear_of_zero_and_noise_is_not(usual, people):
    named = {name: people[name] for name in ("useful", "plain", "noise")}
    scores = usual.valuation.scores(named)
    assert scores["useful"].order > scores["plain"].order > scores["noise"].order
    assert scores["useful"].is_clear
    assert not scores["noise"].is_clear
    assert all(each.loss_low <= each.loss_fall for each in scores.values())


def judged(model: torch.nn.Module, held: Examples) -> tuple[np.ndarray, np.ndarray]:
    """Which of the held-out examples are right, and their log-loss, each at most `LARGEST_LOSS`."""
    with torch.no_grad():
        logits = model(torch.from_numpy(held.x).float() / 255).double()
    loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(held.y), reduction="none")
    return logits.argmax(1).numpy() == held.y, np.minimum(loss.numpy(), LARGEST_LOSS)


def test_a_cross_fitted_score_is_the_gain_of_models_that_have_not_seen_what_judges_them(
    seen, trainer_of, people
):
    it, subset = trainer_of(scoring_repeats=5), people["useful"]
    score = it.valuation.scores({"a": subset})["a"]
    # Five are rounded up to two rounds of four folds, with the subset and without.
    assert len(seen) == 2 * 2 * FOLDS
    validation, settings = it.knowledge.validation, fitting.FineTuneSettings(40, 64, 3e-3)
    wrong = ~correct(it.baseline, validation)
    gains, falls, held_out = [], [], []
    for with_subset, without in zip(seen[: 2 * FOLDS], seen[2 * FOLDS :], strict=True):
        assert with_subset[1] == without[1]
        (own, failures), (_, acquired) = without[0], with_subset[0]
        assert (own.share, failures.share, acquired.share) == (1.0, SHARE, SHARE)
        known = np.concatenate([own.examples.ids, failures.examples.ids])
        held = validation[~np.isin(validation.ids, known)]
        assert np.isin(it.train.ids, known).all()
        assert not np.isin(np.concatenate([it.splits.tuning.ids, subset.ids]), known).any()
        assert set(acquired.examples.ids) == {*failures.examples.ids, *subset.ids}
        assert not set(failures.examples.ids) - set(validation.ids[wrong])
        # Failures are spread evenly.
        assert abs(np.isin(held.ids, validation.ids[wrong]).sum() - wrong.sum() / FOLDS) < 1
        (right, loss), (right_before, loss_before) = (
            judged(fitting.fine_tune(it.baseline, sources, settings, seed=seed), held)
            for sources, seed in (with_subset, without)
        )
        gains.append(right.astype(float) - right_before)
        falls.append(loss_before - loss)
        held_out.append(held.ids)
    for repeat in range(2):
        folds = np.concatenate(held_out[repeat * FOLDS : (repeat + 1) * FOLDS])
        assert sorted(folds) == sorted(validation.ids)
    assert score.gain == pytest.approx(np.concatenate(gains).mean())
    assert score.loss_fall == pytest.approx(np.concatenate(falls).mean(), abs=1e-6)
    assert it.valuation.gains["a"].mean() == pytest.approx(score.gain)


@pytest.mark.parametrize(
    "changed",
    [{"train_on_validation": False}, {"train_on_hard_set": False}, {"publish_epsilon": 1.0}],
)
def test_where_others_must_learn_nothing_of_the_rest_the_scoring_split_judges(
    trainer_of, people, changed
):
    it = trainer_of(**changed)
    score = it.valuation.scores({"a": people["useful"]})["a"]
    assert (score.loss_fall, score.loss_low) == (None, None)
    assert it.valuation.gains["a"].shape == (len(it.splits.scoring),)


def test_a_score_does_not_depend_on_who_else_is_scored(usual, people):
    alone = usual.valuation.scores({"b": people["useful"]})
    assert usual.valuation.scores({"a": people["plain"], "b": people["useful"]})["b"] == alone["b"]
    assert usual.valuation.scores({}) == {}


def test_an_empty_subset_gains_nothing_at_all(usual, people):
    score = usual.valuation.scores({"a": people["useful"][:0]})["a"]
    assert (score.gain, score.low, score.high) == (0.0, 0.0, 0.0)


def test_the_cheap_score_is_a_step_along_the_kept_hard_examples_gradient(usual, people):
    found = usual.valuation.alignments({name: people[name] for name in ("useful", "plain")})
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


def test_the_cheap_score_of_nothing_is_zero(usual, people):
    assert usual.valuation.alignments({"a": people["useful"][:0]}) == {"a": 0.0}


def test_the_cheap_score_is_zero_where_nothing_hard_is_kept(monkeypatch, trainer_of, people):
    it = trainer_of()
    monkeypatch.setattr(module, "predict", lambda model, x: it.splits.scoring.y)
    assert it.valuation.alignments({"a": people["useful"]}) == {"a": 0.0}


def test_in_another_metric_a_score_is_its_gain_and_published_gains_stay_accuracies(
    trainer_of, people
):
    split = {"train_on_validation": False}
    plain, by_auc = trainer_of(**split), trainer_of(metric="auc", **split)
    # The same models: the hard set of this metric is spread otherwise.
    by_auc.hard_set = plain.hard_set
    subset, scoring = people["useful"], plain.splits.scoring
    score = by_auc.valuation.scores({"a": subset})["a"]
    accuracy_score = plain.valuation.scores({"a": subset})["a"]
    gains = []
    for repeat in range(2):
        reached = [
            roc_auc_score(
                scoring.y,
                probabilities(plain.fine_tuning.on(each, hard=True, repeat=repeat), scoring),
                multi_class="ovr",
            )
            for each in (subset, None)
        ]
        gains.append(reached[0] - reached[1])
    assert score.gain == pytest.approx(np.mean(gains))
    assert score != accuracy_score
    assert np.array_equal(by_auc.valuation.gains["a"], plain.valuation.gains["a"])
    assert by_auc.valuation.gains["a"].mean() == pytest.approx(accuracy_score.gain)


def test_the_cheap_score_weighs_kept_hard_examples_by_what_the_metric_loses(trainer_of, people):
    it = trainer_of(metric="recall:4")
    scoring = it.splits.scoring
    kept = scoring[~correct(it.baseline, scoring) & (scoring.y == 4)]
    gradient = it.valuation._mean_gradient
    hard = gradient(kept)
    wanted = gradient(people["useful"]) @ hard / np.linalg.norm(hard)
    assert it.valuation.alignments({"a": people["useful"]})["a"] == pytest.approx(wanted)
    # Of unequal weights: an example that counts twice is as two.
    pair, weights = kept[:2], np.array([2.0, 1.0])
    twice = gradient(Examples.concatenate([pair, pair[:1]]))
    assert gradient(pair, weights) == pytest.approx(twice, rel=1e-5, abs=1e-9)


@pytest.mark.unchecked
@pytest.mark.parametrize(("odds", "clear"), [(0.9, True), (0.55, False)])
def test_all_that_was_acquired_together_may_help_beyond_doubt(people, odds, clear):
    judging, some = people["validation"], people["useful"]
    better = np.random.default_rng(0).random(len(judging)) < odds

    def judge(subset, repeat):
        """An owner's examples make the right class likelier on a share `odds`, and less likely elsewhere."""
        likely = np.full((len(judging), 10), 0.05)
        of_label = 0.55 if subset is None else np.where(better, 0.75, 0.4)
        likely[np.arange(len(judging)), judging.y] = of_label
        return likely

    def valuation(**changed):
        return module.Valuation(
            judging, None, judge, lambda: None, RunConfig(), judging=judging, repeats=1, **changed
        )

    fall = np.where(better, np.log(0.75 / 0.55), np.log(0.4 / 0.55))
    error = fall.std() / np.sqrt(len(fall))
    assert (fall.mean() > 2 * error) == clear
    assert valuation(by_loss=True).helps_together(some) == clear
    assert not valuation(by_loss=True).helps_together(None)
    assert not valuation(by_loss=True).helps_together(some[:0])
    # Where accuracy alone judges, it is not asked.
    assert not valuation().helps_together(some)
