"""The networks, by name.

Each is a `Classifier`: `features` (all but the last layer) and `head` (the last, linear one), so
that last-layer gradients have a closed form. To add one, write it and name it in `NETWORKS`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import nn

from mycroft_fl.errors import SettingError, suggestion
from mycroft_fl.models.classifier import Classifier, InputShape
from mycroft_fl.models.frozen import FrozenBody
from mycroft_fl.models.own import build_own, is_own_network
from mycroft_fl.models.vision import resnet, vit
from mycroft_fl.settings.own_names import is_own
from mycroft_fl.settings.space_names import HEADS, TRAINED

__all__ = ["NETWORKS", "Classifier", "InputShape", "build", "is_network"]

HIDDEN = 256
"""Units of the hidden layer of `mlp`."""


def mlp(shape: InputShape, num_classes: int) -> Classifier:
    """Build one hidden layer of 256 units on the flattened input."""
    inputs = int(torch.Size(shape).numel())
    return Classifier(
        nn.Sequential(nn.Flatten(), nn.Linear(inputs, HIDDEN), nn.ReLU()), HIDDEN, num_classes
    )


def cnn(shape: InputShape, num_classes: int) -> Classifier:
    """Build two convolutions with pooling and a hidden layer of 128 units, for images from 8x8 up."""
    if len(shape) != 3:
        raise SettingError(
            f"model 'cnn' needs images; these examples have shape {shape}; use 'mlp'"
        )
    channels, height, width = shape
    body = nn.Sequential(
        nn.Conv2d(channels, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * (height // 4) * (width // 4), 128),
        nn.ReLU(),
    )
    return Classifier(body, 128, num_classes)


def linear(shape: InputShape, num_classes: int) -> Classifier:
    """Build multinomial logistic regression on the flattened input."""
    return Classifier(nn.Flatten(), int(torch.Size(shape).numel()), num_classes)


NETWORKS: dict[str, Callable[[InputShape, int], Classifier]] = {
    "mlp": mlp,
    "cnn": cnn,
    "linear": linear,
    "resnet18": functools.partial(resnet, "resnet18"),
    "resnet50": functools.partial(resnet, "resnet50"),
    "vit": vit,
}


def _on_encoder(name: str, shape: InputShape, num_classes: int) -> Classifier:
    head, _, encoder = name.partition(":")
    body = FrozenBody(encoder)
    width = body.width(shape)
    if head == "linear":
        return Classifier(body, width, num_classes)
    return Classifier(nn.Sequential(body, nn.Linear(width, HIDDEN), nn.ReLU()), HIDDEN, num_classes)


def is_network(name: str) -> bool:
    """Return whether a model of that name is a network, whose gradients and weights there are.

    An import path of one's own is imported for it: an owner asks its policy first.
    """
    ours = name in NETWORKS or name.startswith((*HEADS, *TRAINED))
    return ours or (is_own(name) and is_own_network(name))


def build(name: str, shape: InputShape, num_classes: int, *, seed: int) -> Classifier:
    """Return the network called `name`, for examples of `shape`, with weights drawn from `seed`.

    Args:
        name: see `NETWORKS`.
        shape: of an example.
        num_classes: how many classes the network tells apart.
        seed: of the first weights.
    """
    if not is_network(name):
        raise SettingError(f"unknown model '{name}'{suggestion(name, list(NETWORKS))}")
    if name not in NETWORKS and is_own(name):
        return build_own(name, shape, num_classes, seed=seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if name.startswith(HEADS):
            return _on_encoder(name, shape, num_classes)
        if name.startswith(TRAINED):
            from mycroft_fl.models.transformer import transformer

            return transformer(name, shape, num_classes)
        return NETWORKS[name](shape, num_classes)
