"""Fitting, fine-tuning and evaluating a model: a network, or a scikit-learn classifier."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar, cast

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Float64, Int64
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from mycroft_fl.errors import SettingError
from mycroft_fl.examples import Examples
from mycroft_fl.metrics.metric import Metric
from mycroft_fl.models.estimators import Estimator
from mycroft_fl.models.fit_cache import cached_fit
from mycroft_fl.models.frozen import FrozenBody
from mycroft_fl.models.networks import Classifier
from mycroft_fl.models.sources import Source

AnyModel = Classifier | Estimator
Model = TypeVar("Model", bound=AnyModel)


@dataclass(frozen=True)
class FitSettings:
    """How a first fit goes: epochs at most, examples a step, Adam's learning rate."""

    epochs: int
    batch_size: int
    learning_rate: float


@dataclass(frozen=True)
class FineTuneSettings:
    """How every fine-tune goes: steps, examples a step, Adam's learning rate."""

    steps: int
    batch_size: int
    learning_rate: float


def as_input(x: np.ndarray) -> Float[Tensor, "n ..."]:
    """Return arrays as a model takes them: images in [0, 1], vectors as they are, not copied."""
    return as_tensor(x).float() / 255 if x.dtype == np.uint8 else as_tensor(x)


def as_tensor(array: np.ndarray) -> Tensor:
    """Return an array in the same memory, also one that nobody may write, as an owner's records are.

    `torch.from_numpy` warns of those; DLPack hands them on as they are.
    """
    return (
        torch.from_numpy(array) if array.flags.writeable else torch.utils.dlpack.from_dlpack(array)
    )


@cached_fit
def fit(
    model: Model, train: Examples, tuning: Examples | None, settings: FitSettings, *, seed: int
) -> Model:
    """Fit a copy of `model` to `train`.

    A network comes from the epoch that gets most of `tuning` right (the last of equals), or from the last
    epoch where there is none. Not the lowest loss: where the model fails for want of data, its
    loss there rises while all else still improves. A scikit-learn classifier goes by its own
    settings.

    Args:
        model: left as it is.
        train: examples to fit to.
        tuning: examples that choose the epoch; None: the last one.
        settings: epochs, batch size and learning rate.
        seed: of the order of examples.
    """
    if isinstance(model, Estimator):
        return cast(Model, model.fitted(train, seed=seed))
    model = copy.deepcopy(model)
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.learning_rate, fused=True)
    trained, x = _trained(model, train.x)
    _check_batches(trained, len(train), settings.batch_size)
    y = as_tensor(train.y)
    best_accuracy, best_weights = -1.0, model.state_dict()
    rng = np.random.default_rng(seed)
    for _ in range(settings.epochs):
        for batch in np.array_split(
            rng.permutation(len(train)), max(1, len(train) // settings.batch_size)
        ):
            _step(trained, optimizer, x[batch], y[batch])
        reached = math.inf if tuning is None else accuracy(model, tuning)
        if reached >= best_accuracy:
            best_accuracy, best_weights = reached, copy.deepcopy(model.state_dict())
    model.load_state_dict(best_weights)
    return model


def _check_batches(model: nn.Module, examples: int, batch_size: int) -> None:
    """Raise `SettingError` where a model that normalises over a batch would get one example at a time."""
    normalises = any(isinstance(each, nn.modules.batchnorm._BatchNorm) for each in model.modules())
    if not normalises or min(examples, batch_size) > 1:
        return
    flaw = "fit.batch-size is 1" if batch_size == 1 else "the trainer holds 1 training example"
    raise SettingError(
        f"{flaw}, but this model normalises over a batch (BatchNorm); give it at least 2"
    )


@cached_fit
def fine_tune(
    model: Model, sources: Sequence[Source], settings: FineTuneSettings, *, seed: int
) -> Model:
    """Train a copy of `model` on batches to which each source gives its share.

    Shares are made whole numbers of examples a batch (at least one of a source that has any),
    the first source taking what is left. Each source is gone through in random order again and
    again, so that a small subset is seen as often as its share says. An empty source gives nothing.
    A scikit-learn classifier is fitted anew, each source weighing as much as its share.

    Args:
        model: left as it is.
        sources: examples, each with its share of a batch.
        settings: steps, batch size and learning rate.
        seed: of the order of examples.
    """
    if isinstance(model, Estimator):
        return cast(Model, model.refitted(sources, seed=seed))
    model = copy.deepcopy(model)
    sources = [source for source in sources if len(source.examples)]
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.learning_rate, fused=True)
    rng = np.random.default_rng(seed)
    counts = _counts(sources, settings.batch_size)
    streams = [
        _cycle(len(source.examples), count, np.random.default_rng(rng.integers(2**63)))
        for source, count in zip(sources, counts, strict=True)
    ]
    given = [_trained(model, source.examples.x) for source in sources]
    trained = given[0][0]
    inputs = [
        (x, as_tensor(source.examples.y)) for (_, x), source in zip(given, sources, strict=True)
    ]
    for _ in range(settings.steps):
        batches = [next(stream) for stream in streams]
        x = torch.cat([x[batch] for (x, _), batch in zip(inputs, batches, strict=True)])
        y = torch.cat([y[batch] for (_, y), batch in zip(inputs, batches, strict=True)])
        _step(trained, optimizer, x, y)
    return model


@torch.no_grad()
def logits(model: nn.Module, x: np.ndarray, *, batch_size: int = 1024) -> Float32[Tensor, "n c"]:
    """Return the model's logits on `x`, in evaluation mode, a batch at a time."""
    model.eval()
    parts = (_trained(model, part) for part in _batches(x, batch_size))
    return torch.cat([part(given) for part, given in parts])


def predict(model: nn.Module | Estimator, x: np.ndarray) -> Int64[np.ndarray, " n"]:
    """Return the class that the model finds most likely, for each example."""
    if isinstance(model, Estimator):
        return model.predict(x)
    return logits(model, x).argmax(dim=1).numpy()


def probabilities(model: nn.Module | Estimator, examples: Examples) -> Float64[np.ndarray, "n c"]:
    """Return the probability that the model gives each class, for each example.

    In double precision, so that the likeliest class is the one that `predict` returns.
    """
    if isinstance(model, Estimator):
        return model.probabilities(examples.x)
    return logits(model, examples.x).double().softmax(dim=1).numpy()


def losses(model: nn.Module | Estimator, examples: Examples) -> Float32[np.ndarray, " n"]:
    """Return each example's cross-entropy."""
    if isinstance(model, Estimator):
        return model.losses(examples)
    y = as_tensor(examples.y)
    return cross_entropy(logits(model, examples.x), y, reduction="none").numpy()


def correct(model: nn.Module | Estimator, examples: Examples) -> Bool[np.ndarray, " n"]:
    """Return which examples the model gets right."""
    right: np.ndarray = predict(model, examples.x) == examples.y
    return right


def accuracy(model: nn.Module | Estimator, examples: Examples) -> float:
    """Return the share of `examples` that the model gets right."""
    return float(correct(model, examples).mean())


def judged(model: nn.Module | Estimator, examples: Examples, metric: Metric) -> float:
    """Return the metric's value of a model on `examples`; larger is better."""
    if metric.is_accuracy:
        return accuracy(model, examples)
    return metric.value(examples.y, probabilities(model, examples))


def _trained(model: nn.Module, x: np.ndarray) -> tuple[nn.Module, Tensor]:
    """Return what a step changes, and what it is given: behind a frozen body its features, looked up once."""
    body = getattr(model, "body", None)
    if isinstance(model, Classifier) and isinstance(body, FrozenBody):
        return model.head, body.of(x)
    if isinstance(model, Classifier) and isinstance(body, nn.Sequential):
        first, *others = body
        if isinstance(first, FrozenBody):
            return nn.Sequential(*others, model.head), first.of(x)
    return model, as_input(x)


def _step(model: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor) -> None:
    model.train()
    optimizer.zero_grad()
    loss: Tensor = cross_entropy(model(x), y)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()


def _batches(x: np.ndarray, size: int) -> Iterator[np.ndarray]:
    for start in range(0, max(len(x), 1), size):
        yield x[start : start + size]


def _counts(sources: Sequence[Source], batch_size: int) -> list[int]:
    rest = [max(1, round(source.share * batch_size)) for source in sources[1:]]
    # The first has at least one of each batch, the largest of the rest giving way.
    if sum(rest) >= batch_size:
        rest[rest.index(max(rest))] -= sum(rest) - batch_size + 1
    return [batch_size - sum(rest), *rest]


def _cycle(n: int, count: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield batches of `count` indices below `n` without end; every index once before any again."""
    waiting = np.empty(0, dtype=np.int64)
    while True:
        while len(waiting) < count:
            waiting = np.concatenate([waiting, rng.permutation(n)])
        yield waiting[:count]
        waiting = waiting[count:]
