"""Relevance: what a ranking sees of a record, and that random labels are not taken for a group."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mycroft_fl.examples import Examples
from mycroft_fl.models.fitting import FitSettings, correct, fit
from mycroft_fl.models.networks import Classifier, build
from mycroft_fl.privacy.relevance.hard_set_target import (
    SPREAD,
    WHOLE,
    RecordView,
    Target,
    relevances,
)

SCARCE = (3, 8)


@pytest.fixture(scope="module")
def digits() -> tuple[Classifier, Examples, Examples]:
    """A model to which 3 and 8 are scarce, sixteen of them that it gets wrong, and all other digits."""
    from sklearn.datasets import load_digits

    loaded = load_digits()
    x = (loaded.images / 16).astype(np.float32)[:, None]
    every = Examples(x, loaded.target.astype(np.int64))
    order = np.random.default_rng(0).permutation(len(x))
    train = every[order[:600]]
    scarce = np.isin(train.y, SCARCE)
    train = train[np.flatnonzero(~scarce | (np.cumsum(scarce) <= 4))]
    model = fit(
        build("mlp", x.shape[1:], 10, seed=0), train, None, FitSettings(20, 32, 1e-3), seed=0
    )
    rest = every[order[600:]]
    wrong = np.flatnonzero(~correct(model, rest) & np.isin(rest.y, SCARCE))
    return model, rest[wrong[:16]], rest[np.setdiff1d(np.arange(len(rest)), wrong[:16])]


def test_a_spread_prediction_keeps_the_labels_probability_and_levels_the_others(
    digits: tuple[Classifier, Examples, Examples],
) -> None:
    model, hard, _ = digits
    seen = RecordView.through(model, hard)
    with torch.no_grad():
        likely = model(torch.from_numpy(hard.x)).double().softmax(1).numpy()
    onehot = np.eye(10)[hard.y]
    own = (likely * onehot).sum(axis=1, keepdims=True)
    level = np.where(onehot == 1, own, (1 - own) / 9)
    for spread in (0.0, 0.4, 1.0):
        expected = (1 - spread) * likely + spread * level - onehot
        assert seen.deltas(model.head, spread) == pytest.approx(expected, abs=1e-5)


def test_for_a_ranking_two_thirds_of_the_median_count_one_and_no_record_more_than_its_clip_allows(
    digits: tuple[Classifier, Examples, Examples],
) -> None:
    model, hard, rest = digits
    plain = Target.of(model, hard)
    ranking = plain.for_ranking(model, hard)
    assert (ranking.spread, ranking.direction) == (SPREAD, plain.direction)
    assert float(np.median(relevances(model, hard, ranking))) * WHOLE == pytest.approx(1.0)
    most = ranking.clip * float(ranking.direction.norm()) / ranking.scale
    far = Examples(rest.x * 1e3, rest.y)
    assert np.abs(relevances(model, far, ranking)).max() <= most * (1 + 1e-6)
    assert np.abs(relevances(model, far, plain)).max() > 10 * most


def test_labels_at_random_add_less_to_a_ranking_than_to_plain_relevances(
    digits: tuple[Classifier, Examples, Examples],
) -> None:
    model, hard, rest = digits
    others = rest[np.flatnonzero(~np.isin(rest.y, SCARCE))]
    failing = rest[np.flatnonzero(~correct(model, rest) & np.isin(rest.y, SCARCE))]
    plain = Target.of(model, hard)
    added = {}
    for name, target in (("plain", plain), ("ranking", plain.for_ranking(model, hard))):
        honest = np.clip(relevances(model, failing, target), -1, 1).mean()
        # Every label in turn: the mean over random ones, without their chance.
        wrong = [
            np.clip(
                relevances(model, Examples(others.x, np.full(len(others), label)), target), -1, 1
            )
            for label in range(10)
        ]
        added[name] = np.mean(wrong) / honest
    assert added["plain"] > 0
    assert abs(added["ranking"]) < 0.8 * added["plain"]


def test_a_noised_target_and_a_hard_set_without_an_own_side_stay_as_they_are(
    digits: tuple[Classifier, Examples, Examples],
) -> None:
    model, hard, _ = digits
    plain = Target.of(model, hard)
    clipped = Target(plain.direction, 1.0, clip=2.0)
    assert clipped.for_ranking(model, hard) is clipped
    assert plain.for_ranking(model, hard[:0]) is plain
    # Against the direction: no median above zero to go by.
    against = Target(-plain.direction, 1.0)
    assert against.for_ranking(model, hard) is against
