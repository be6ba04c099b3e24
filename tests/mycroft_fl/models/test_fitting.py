"""Fitting, fine-tuning and evaluating: on scikit-learn's digits and against its metrics."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.metrics import accuracy_score, log_loss
from torch import Tensor, nn

from mycroft_fl.errors import SettingError
from mycroft_fl.examples import Examples
from mycroft_fl.models import fitting
from mycroft_fl.models.fitting import (
    FineTuneSettings,
    FitSettings,
    accuracy,
    as_input,
    correct,
    fine_tune,
    fit,
    logits,
    losses,
    predict,
)
from mycroft_fl.models.networks import Classifier, build
from mycroft_fl.models.sources import Source
from mycroft_fl.models.weights import flat_weights

SHAPE = (1, 8, 8)
QUICK = FitSettings(epochs=4, batch_size=32, learning_rate=3e-3)


@pytest.fixture(scope="module")
def digits() -> tuple[Examples, Examples, Examples]:
    """600 to train on, 200 to tune on, 400 to test on."""
    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(y))
    whole = Examples((x * 15).astype(np.uint8).reshape(-1, *SHAPE)[order], y[order].astype(int))
    return whole[:600], whole[600:800], whole[800:1200]


@pytest.fixture(scope="module")
def fitted(digits) -> Classifier:
    train, tuning, _ = digits
    return fit(build("mlp", SHAPE, 10, seed=0), train, tuning, QUICK, seed=0)


# The first fit


@pytest.mark.parametrize("name", ["mlp", "cnn"])
def test_a_fit_gets_far_beyond_chance(name: str, digits) -> None:
    train, tuning, test = digits
    model = build(name, SHAPE, 10, seed=0)
    assert accuracy(model, test) < 0.3
    assert accuracy(fit(model, train, tuning, QUICK, seed=0), test) > 0.7


def test_a_fit_leaves_the_model_it_was_given_untouched(digits) -> None:
    train, tuning, _ = digits
    model = build("mlp", SHAPE, 10, seed=0)
    before = flat_weights(model)
    fit(model, train, tuning, QUICK, seed=0)
    assert np.array_equal(flat_weights(model), before)


def test_the_seed_alone_decides_a_fit(digits) -> None:
    train, tuning, _ = digits
    model = build("mlp", SHAPE, 10, seed=0)
    first, again, other = (
        flat_weights(fit(model, train, tuning, QUICK, seed=seed)) for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    ("reached", "best"), [([0.2, 0.9, 0.5], 2), ([0.1, 0.7, 0.7], 3), ([0.9, 0.1, 0.1], 1)]
)
def test_a_fit_takes_the_best_tuning_epoch_and_of_equals_the_last(
    reached: list[float], best: int, digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, tuning, _ = digits
    model = build("mlp", SHAPE, 10, seed=0)
    # Without tuning examples a fit ends with the weights of its last epoch.
    after = flat_weights(fit(model, train, None, FitSettings(best, 32, 1e-3), seed=0))
    output = iter(reached)
    monkeypatch.setattr(fitting, "accuracy", lambda model, examples: next(output))
    found = fit(model, train, tuning, FitSettings(len(reached), 32, 1e-3), seed=0)
    assert np.array_equal(flat_weights(found), after)


def test_every_example_is_seen_once_an_epoch_even_in_fewer_than_a_batch() -> None:
    for n in (3, 7, 100):
        seen = Seen()
        examples = Examples(np.arange(n, dtype=np.float32)[:, None], np.zeros(n, np.int64))
        fitting.fit(seen, examples, None, FitSettings(2, 8, 1e-3), seed=0)
        assert Counter(v for batch in seen.batches for v in batch) == dict.fromkeys(range(n), 2)


# Fine-tuning


class Seen(Classifier):
    """A model that writes down the first number of every example it is trained on."""

    def __init__(self) -> None:
        super().__init__(nn.Identity(), 1, 2)
        self.batches: list[list[int]] = []

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.batches.append(x[:, 0].int().tolist())
        return super().forward(x)

    def __deepcopy__(self, memo: dict) -> Seen:
        return self


def source(first: int, n: int, share: float) -> Source:
    """Examples numbered from `first`."""
    x = np.arange(first, first + n, dtype=np.float32)[:, None]
    return Source(Examples(x, np.zeros(n, np.int64)), share)


def test_each_source_gives_its_share_of_each_batch() -> None:
    seen = Seen()
    sources = [source(0, 50, 1.0), source(100, 7, 0.1), source(200, 30, 0.25)]
    fine_tune(seen, sources, FineTuneSettings(20, 64, 1e-3), seed=0)
    assert len(seen.batches) == 20
    for batch in seen.batches:
        assert Counter(value // 100 for value in batch) == {0: 42, 1: 6, 2: 16}


def test_a_source_is_gone_through_evenly_however_small_it_is() -> None:
    seen = Seen()
    fine_tune(
        seen, [source(0, 50, 1.0), source(100, 7, 0.25)], FineTuneSettings(21, 64, 1e-3), seed=0
    )
    counts = Counter(value for batch in seen.batches for value in batch)
    # 21 batches of 16 from 7 examples, of 48 from 50.
    assert all(counts[value] == 48 for value in range(100, 107))
    assert {counts[value] for value in range(50)} <= {20, 21}


def test_a_share_too_small_for_a_batch_still_gives_one_example() -> None:
    seen = Seen()
    fine_tune(
        seen, [source(0, 9, 1.0), source(100, 3, 0.001)], FineTuneSettings(3, 8, 1e-3), seed=0
    )
    for batch in seen.batches:
        assert Counter(value // 100 for value in batch) == {0: 7, 1: 1}


def test_an_empty_source_gives_nothing_and_ends() -> None:
    seen = Seen()
    fine_tune(seen, [source(0, 9, 1.0), source(100, 0, 0.5)], FineTuneSettings(3, 8, 1e-3), seed=0)
    assert [len(batch) for batch in seen.batches] == [8, 8, 8]


def test_the_seed_alone_decides_a_fine_tune_and_the_model_given_is_untouched(
    digits, fitted: Classifier
) -> None:
    train, tuning, _ = digits
    sources = [Source(train, 1.0), Source(tuning, 0.25)]
    before = flat_weights(fitted)
    settings = FineTuneSettings(5, 32, 1e-3)
    first, again, other = (
        flat_weights(fine_tune(fitted, sources, settings, seed=seed)) for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert np.array_equal(flat_weights(fitted), before)
    assert not np.array_equal(first, before)


def test_a_fine_tune_learns_from_a_source_what_the_rest_does_not_know(
    digits, fitted: Classifier
) -> None:
    train, tuning, test = digits
    turned = Examples(tuning.x[:, :, ::-1, ::-1].copy(), tuning.y)
    turned_test = Examples(test.x[:, :, ::-1, ::-1].copy(), test.y)
    settings = FineTuneSettings(60, 64, 3e-3)
    without = fine_tune(fitted, [Source(train, 1.0)], settings, seed=0)
    with_it = fine_tune(fitted, [Source(train, 1.0), Source(turned, 0.4)], settings, seed=0)
    assert accuracy(with_it, turned_test) > accuracy(without, turned_test) + 0.1


# Evaluation


def test_evaluation_agrees_with_scikit_learn(digits, fitted: Classifier) -> None:
    _, _, test = digits
    output = predict(fitted, test.x)
    share = torch.softmax(logits(fitted, test.x).double(), dim=1).numpy()
    assert accuracy(fitted, test) == pytest.approx(accuracy_score(test.y, output))
    assert np.array_equal(correct(fitted, test), output == test.y)
    assert losses(fitted, test).mean() == pytest.approx(
        log_loss(test.y, share, labels=range(10)), rel=1e-5
    )
    one_by_one = [-np.log(share[i, label]) for i, label in enumerate(test.y)]
    assert losses(fitted, test) == pytest.approx(one_by_one, rel=1e-3, abs=1e-5)


def test_the_size_of_a_batch_changes_no_logits(digits, fitted: Classifier) -> None:
    _, _, test = digits
    whole = logits(fitted, test.x)
    assert torch.allclose(logits(fitted, test.x, batch_size=7), whole, atol=1e-5)
    assert whole.shape == (400, 10)


def test_no_example_has_no_logits(fitted: Classifier) -> None:
    assert logits(fitted, np.empty((0, *SHAPE), np.uint8)).shape == (0, 10)
    assert predict(fitted, np.empty((0, *SHAPE), np.uint8)).shape == (0,)


def test_evaluation_turns_dropout_off() -> None:
    model = Classifier(nn.Dropout(0.5), 4, 2)
    x = np.ones((50, 4), np.float32)
    assert torch.equal(logits(model, x)[0].expand(50, 2), logits(model, x))


def test_images_become_shares_of_white_and_vectors_stay() -> None:
    assert as_input(np.array([[0, 51, 255]], np.uint8)).tolist() == [[0.0, pytest.approx(0.2), 1.0]]
    x = np.array([[1.5, -2.0]], np.float32)
    assert torch.equal(as_input(x), torch.tensor([[1.5, -2.0]]))
    x.flags.writeable = False
    assert as_input(x).data_ptr() == x.__array_interface__["data"][0]


@pytest.mark.parametrize("share", [0.9, 0.95, 0.999, 1.0])
def test_a_batch_keeps_its_size_however_large_a_source(share):
    some = Examples(np.zeros((3, 2), np.float32), np.zeros(3, np.int64))
    assert (
        sum(fitting._counts([Source(some, 1.0), Source(some, 0.1), Source(some, share)], 64)) == 64
    )


@pytest.mark.parametrize(
    ("examples", "batch_size", "words"),
    [(20, 1, "fit.batch-size is 1, but"), (1, 32, "the trainer holds 1 training example, but")],
)
def test_a_model_that_normalises_over_a_batch_refuses_single_examples(
    examples: int, batch_size: int, words: str, digits
) -> None:
    train = digits[0][:examples]
    settings = FitSettings(epochs=1, batch_size=batch_size, learning_rate=1e-3)
    with pytest.raises(SettingError, match=words):
        fit(build("resnet18", SHAPE, 10, seed=0), train, None, settings, seed=0)
    fit(build("mlp", SHAPE, 10, seed=0), train, None, settings, seed=0)
