"""The price list of a result, and what a final model may lose elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mycroft_fl.examples import Examples
from mycroft_fl.models.catalogue import build_model
from mycroft_fl.models.networks import build
from mycroft_fl.settings.run_config import RunConfig
from strategies.training import front as module
from strategies.training.everything import Everything, FreeRival
from strategies.training.front import STEPS, Price, between, front

TEN = Examples(np.arange(10, dtype=np.float32)[:, None], np.zeros(10, np.int64))
Answers = Callable[[np.ndarray, Examples], np.ndarray]


@pytest.fixture
def by_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model is the mask of the ten examples that it gets right."""

    def correct(model: np.ndarray, examples: Examples) -> np.ndarray:
        return model[examples.x[:, 0].astype(int)]

    for place in (module, "strategies.training.everything"):
        target = f"{place}.correct" if isinstance(place, str) else f"{place.__name__}.correct"
        monkeypatch.setattr(target, correct)


def mask(*right: int) -> np.ndarray:
    return np.isin(np.arange(10), right)


BASELINE = mask(*range(6))


@pytest.mark.unchecked
def test_a_price_is_what_is_lost_of_the_right_and_gained_of_the_wrong(by_mask: None) -> None:
    assert Price.of(mask(0, 1, 2, 6, 7), BASELINE, TEN) == Price(50.0, 50.0)
    assert Price.of(mask(), mask(), TEN) == Price(0.0, 0.0)
    assert Price.of(mask(), mask(*range(10)), TEN) == Price(100.0, 0.0)


@pytest.mark.unchecked
def test_a_front_leaves_out_whatever_another_model_undercuts(by_mask: None) -> None:
    cheap, dear = mask(*range(6), 6), mask(*range(3), 6, 7, 8)
    undercut = mask(*range(2), 6, 7, 8)
    found = front([undercut, dear, cheap], BASELINE, TEN)
    assert found == (Price(0.0, 25.0), Price(50.0, 75.0))


@pytest.mark.unchecked
@given(st.lists(st.integers(0, 1023), max_size=12))
def test_no_price_of_a_front_is_undercut_and_each_other_is(numbers: list[int]) -> None:
    models = [np.array([number >> bit & 1 for bit in range(10)], bool) for number in numbers]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "correct", lambda model, examples: model)
        found = front(models, BASELINE, TEN)
        every = [Price.of(each, BASELINE, TEN) for each in (BASELINE, *models)]
    for price in every:
        better = [e for e in found if e.harm <= price.harm and e.gain >= price.gain]
        assert better
        assert (price in found) == (better == [price])
    assert list(found) == sorted(found, key=lambda each: each.harm)


def test_models_between_two_networks_are_means_of_their_weights() -> None:
    first, last = build("mlp", (4,), 3, seed=1), build("mlp", (4,), 3, seed=2)
    found = between(first, last)
    assert len(found) == len(STEPS)
    for step, each in zip(STEPS, found, strict=True):
        assert isinstance(each, torch.nn.Module)
        for name, value in each.state_dict().items():
            wanted = (1 - step) * first.state_dict()[name] + step * last.state_dict()[name]
            assert torch.allclose(value, wanted, atol=1e-6)
    forest = build_model("random-forest", (4,), 3, seed=0)
    assert between(forest, forest) == []


@pytest.mark.unchecked
@pytest.mark.parametrize(
    ("most", "free", "expected"),
    [
        (100.0, mask(*range(6)), "with owners"),
        (50.0, mask(*range(6)), "with owners"),  # the first loses 3 of 6
        (40.0, mask(*range(6)), "free"),
        (40.0, mask(6, 7), "baseline"),
        (0.0, mask(*range(6), 6), "free"),
    ],
)
def test_a_final_model_loses_no_more_than_may_be(
    by_mask: None, most: float, free: np.ndarray, expected: str
) -> None:
    everything: Any = Everything.__new__(Everything)
    everything._config = replace(RunConfig(), harm_at_most=most)
    everything._baseline, everything._tuning = BASELINE, TEN
    everything._reached = lambda model: float(model.mean())
    models = [mask(*range(3), 6, 7, 8, 9), mask(6, 7, 8, 9)]
    final = everything.better_of(models, FreeRival("free", free))
    assert final.how == expected
    assert final.candidates == tuple(models)
