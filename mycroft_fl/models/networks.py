"""The networks, by name.

Each is a `Classifier`: `features` (all but the last layer) and `head` (the last, linear one), so
that last-layer gradients have a closed form. To add one, write it and name it in `NETWORKS`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mycroft_fl.config import suggestion
from mycroft_fl.errors import SettingError

InputShape = tuple[int, ...]


class Classifier(nn.Module):
    """Logits = head(features(x)); x as floats in [0, 1] for images."""

    def __init__(self, body: nn.Module, width: int, num_classes: int) -> None:
        super().__init__()
        self.body = body
        self.head = nn.Linear(width, num_classes)

    def features(self, x: Float[Tensor, "n ..."]) -> Float[Tensor, "n p"]:
        """The last hidden layer."""
        hidden: Tensor = self.body(x)
        return hidden

    def forward(self, x: Float[Tensor, "n ..."]) -> Float[Tensor, "n classes"]:
        logits: Tensor = self.head(self.features(x))
        return logits


def mlp(shape: InputShape, num_classes: int) -> Classifier:
    """One hidden layer of 256 units on the flattened input."""
    inputs = int(torch.Size(shape).numel())
    return Classifier(
        nn.Sequential(nn.Flatten(), nn.Linear(inputs, 256), nn.ReLU()), 256, num_classes
    )


def cnn(shape: InputShape, num_classes: int) -> Classifier:
    """Two convolutions with pooling and a hidden layer of 128 units, for images from 8x8 up."""
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


NETWORKS: dict[str, Callable[[InputShape, int], Classifier]] = {"mlp": mlp, "cnn": cnn}


def build(name: str, shape: InputShape, num_classes: int, *, seed: int) -> Classifier:
    """The network called `name`, for examples of `shape`, with weights drawn from `seed`."""
    if name not in NETWORKS:
        raise SettingError(f"unknown model '{name}'{suggestion(name, list(NETWORKS))}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return NETWORKS[name](shape, num_classes)
