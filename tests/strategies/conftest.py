"""A trainer that knows digits upright only, and what owners could bring it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mycroft_fl.data.sources import load_dataset
from mycroft_fl.data.task import Task
from mycroft_fl.examples import Examples
from mycroft_fl.models import fitting
from mycroft_fl.models.sources import Source
from mycroft_fl.models.weights import flat_weights
from mycroft_fl.settings.run_config import RunConfig
from strategies.training import fine_tuning
from strategies.training.trainer import Trainer, TrainerData

TASK = Task(tuple("0123456789"), (1, 8, 8), np.dtype(np.uint8), "mlp")
QUICK = RunConfig(fit_epochs=10, fine_tune_steps=40, scoring_repeats=2, hard_set_sent=12)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def people() -> dict[str, Examples]:
    """The trainer's own digits, `train` and `validation`; useful, plain and noisy ones of owners."""
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


@pytest.fixture(scope="session")
def trainer_of(people: dict[str, Examples]) -> Callable[..., Trainer]:
    """A trainer with quick settings but for what is given; `data` replaces parts of its own."""

    def make(data: dict[str, Any] | None = None, **changed: Any) -> Trainer:
        whole = {"train": people["train"], "validation": people["validation"], **(data or {})}
        return Trainer(TASK, TrainerData(**whole), replace(QUICK, **changed))

    return make


@pytest.fixture(scope="module")
def usual(trainer_of: Callable[..., Trainer]) -> Trainer:
    """A trainer with quick settings and nothing changed."""
    return trainer_of()


@pytest.fixture(scope="session")
def same() -> Callable[[torch.nn.Module, torch.nn.Module], bool]:
    """Whether two networks have the same weights, to the bit."""
    return lambda a, b: bool(np.array_equal(flat_weights(a), flat_weights(b)))


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[Source], int]]:
    """The sources and the seed of every fine-tune."""
    calls: list[tuple[list[Source], int]] = []
    real = fitting.fine_tune

    def noted(model: Any, sources: Any, settings: Any, *, seed: int) -> Any:
        calls.append((list(sources), seed))
        return real(model, sources, settings, seed=seed)

    monkeypatch.setattr(fine_tuning, "fine_tune", noted)
    return calls
