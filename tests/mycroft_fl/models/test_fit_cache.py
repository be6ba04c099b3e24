"""A fit that is remembered is the fit itself, and nothing that differs is taken for it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from mycroft_fl.examples import Examples
from mycroft_fl.models import fit_cache
from mycroft_fl.models.catalogue import build_model
from mycroft_fl.models.fit_cache import caching_fits
from mycroft_fl.models.fitting import FineTuneSettings, FitSettings, fine_tune, fit
from mycroft_fl.models.sources import Source

RNG = np.random.default_rng(0)
SOME = Examples(RNG.normal(size=(40, 5)).astype(np.float32), RNG.integers(3, size=40))
OTHERS = Examples(SOME.x + 1, SOME.y)
SETTINGS = FitSettings(epochs=2, batch_size=8, learning_rate=1e-2)
TUNE = FineTuneSettings(steps=5, batch_size=8, learning_rate=1e-2)


def model(name="mlp", seed=0):
    return build_model(name, (5,), 3, seed=seed)


def weights(fitted):
    return torch.cat([value.flatten() for value in fitted.state_dict().values()])


@pytest.fixture
def steps(monkeypatch):
    """How many steps were taken."""
    from mycroft_fl.models import fitting

    taken, step = [], fitting._step
    monkeypatch.setattr(fitting, "_step", lambda *args: (taken.append(1), step(*args)))
    return taken


def test_the_same_fit_is_done_once_and_gives_the_same_weights(steps):
    plain = weights(fit(model(), SOME, OTHERS, SETTINGS, seed=1))
    once = len(steps)
    with caching_fits():
        first = fit(model(), SOME, OTHERS, SETTINGS, seed=1)
        again = fit(model(), Examples(SOME.x.copy(), SOME.y.copy()), OTHERS, SETTINGS, seed=1)
    assert len(steps) == 2 * once
    assert torch.equal(weights(first), plain)
    assert torch.equal(weights(again), plain)


def test_whoever_changes_its_copy_changes_no_other():
    with caching_fits():
        first = fit(model(), SOME, None, SETTINGS, seed=1)
        kept = weights(first).clone()
        with torch.no_grad():
            first.head.weight.zero_()
        second = fit(model(), SOME, None, SETTINGS, seed=1)
        assert torch.equal(weights(second), kept)


@pytest.mark.parametrize(
    "other",
    [
        lambda: fit(model(seed=1), SOME, None, SETTINGS, seed=1),
        lambda: fit(model("linear"), SOME, None, SETTINGS, seed=1),
        lambda: fit(model(), OTHERS, None, SETTINGS, seed=1),
        lambda: fit(model(), Examples(SOME.x, (SOME.y + 1) % 3), None, SETTINGS, seed=1),
        lambda: fit(model(), SOME[np.arange(39, -1, -1)], None, SETTINGS, seed=1),
        lambda: fit(model(), SOME, OTHERS, SETTINGS, seed=1),
        lambda: fit(model(), SOME, None, replace(SETTINGS, epochs=3), seed=1),
        lambda: fit(model(), SOME, None, SETTINGS, seed=2),
    ],
)
def test_whatever_differs_is_fitted_by_itself(steps, other):
    with caching_fits():
        fit(model(), SOME, None, SETTINGS, seed=1)
        before = len(steps)
        found = other()
        assert len(steps) > before
    assert torch.equal(weights(found), weights(other()))


def test_a_fine_tune_depends_on_every_share(steps):
    def tuned(share):
        sources = [Source(SOME, 1.0), Source(OTHERS, share)]
        return fine_tune(model(), sources, TUNE, seed=0)

    with caching_fits():
        tuned(0.25), tuned(0.25)
        assert len(steps) == 5
        tuned(0.5)
        assert len(steps) == 10


def test_other_threads_are_another_fit(steps):
    before = torch.get_num_threads()
    try:
        with caching_fits():
            torch.set_num_threads(1)
            fit(model(), SOME, None, SETTINGS, seed=1)
            once = len(steps)
            torch.set_num_threads(2)
            fit(model(), SOME, None, SETTINGS, seed=1)
        assert len(steps) == 2 * once
    finally:
        torch.set_num_threads(before)


def test_classifiers_of_scikit_learn_are_remembered_too(monkeypatch):
    from mycroft_fl.models.estimators import Estimator

    fits, fitted = [], Estimator.fitted
    monkeypatch.setattr(
        Estimator, "fitted", lambda self, *a, **k: (fits.append(1), fitted(self, *a, **k))[1]
    )
    with caching_fits():
        trees = [fit(model("decision-tree"), SOME, None, SETTINGS, seed=s) for s in (1, 1, 2)]
    assert len(fits) == 2
    assert np.array_equal(trees[0].predict(SOME.x), trees[1].predict(SOME.x))


def test_no_more_is_kept_than_allowed(steps):
    size = fit_cache._size(model())
    kept = fit_cache.Kept(2 * size)
    for key in (b"a", b"b"):
        kept.keep(key, model())
    assert kept.get(b"a") is not None
    kept.keep(b"c", model())
    assert kept.get(b"b") is None
    assert kept.get(b"a") is not None
    assert kept.get(b"c") is not None


def test_outside_nothing_is_kept(steps):
    with caching_fits():
        fit(model(), SOME, None, SETTINGS, seed=1)
    before = len(steps)
    fit(model(), SOME, None, SETTINGS, seed=1)
    assert len(steps) > before
