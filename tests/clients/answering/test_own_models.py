"""An owner's own model: the same whenever it is asked for, fitted once in a row."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import clients.answering.own_models
from clients.answering.own_models import BATCH, RATE, OwnModels
from mycroft_fl.examples import Examples
from mycroft_fl.models.fitting import FitSettings, fit
from mycroft_fl.models.networks import build
from mycroft_fl.models.weights import flat_weights

RNG = np.random.default_rng(0)
EXAMPLES = Examples(RNG.normal(size=(40, 5)).astype(np.float32), RNG.integers(0, 3, 40))


def test_a_kept_model_is_the_one_that_is_fitted_anew() -> None:
    models = OwnModels(EXAMPLES)
    settings = FitSettings(2, BATCH, RATE)
    anew = fit(build("mlp", (5,), 3, seed=7), EXAMPLES, None, settings, seed=7)
    for _ in range(3):
        assert flat_weights(models.fitted("mlp", 3, 2, 7)).tolist() == flat_weights(anew).tolist()


def test_it_is_fitted_once_in_a_row_and_again_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def counted(*given: object, seed: int) -> object:
        asked.append(seed)
        return fit(*given, seed=seed)  # type: ignore[arg-type]

    monkeypatch.setattr(clients.answering.own_models, "fit", counted)
    models = OwnModels(EXAMPLES)
    for seed in (1, 1, 2, 2, 1):
        models.fitted("mlp", 3, 1, seed)
    models.fitted("mlp", 3, 2, 1)
    assert asked == [1, 2, 1, 1]


def test_what_a_method_does_to_its_copy_reaches_no_other() -> None:
    models = OwnModels(EXAMPLES)
    before = flat_weights(models.fitted("mlp", 3, 1, 0))
    with torch.no_grad():
        for parameter in models.fitted("mlp", 3, 1, 0).parameters():
            parameter.zero_()
    assert flat_weights(models.fitted("mlp", 3, 1, 0)).tolist() == before.tolist()
