"""Feature spaces, by name: where an example's likeness to a hard one is measured.

A space is a function of examples and the query that gives a vector each; Euclidean distance is
the measure. To add one, write it and name it in `SPACES` and in `names.PLAIN_SPACES`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mycroft_fl.encoders.embeddings import embeddings_of
from mycroft_fl.errors import SettingError
from mycroft_fl.examples import Examples
from mycroft_fl.models.fitting import as_input
from mycroft_fl.models.networks import Classifier
from mycroft_fl.represent.binning import binned_distances
from mycroft_fl.settings.space_names import check_space, is_encoder
from mycroft_fl.texts import is_text


@runtime_checkable
class Asked(Protocol):
    """The query that a space may look at besides the examples."""

    @property
    def hard(self) -> Examples: ...
    def require_model(self) -> Classifier: ...


Space = Callable[[Examples, Asked], Float[Tensor, "n d"]]


def pixels(examples: Examples, asked: Asked) -> Float[Tensor, "n d"]:
    """Return the input itself, flattened."""
    return as_input(examples.x).flatten(start_dim=1)


@torch.no_grad()
def model(examples: Examples, asked: Asked) -> Float[Tensor, "n d"]:
    """Return the model's last hidden layer."""
    network = asked.require_model().eval()
    return torch.cat([network.features(part) for part in torch.split(as_input(examples.x), 1024)])


def standardised(examples: Examples, asked: Asked) -> Float[Tensor, "n d"]:
    """Return a table's columns, which its schema has scaled by the trainer's mean and deviation."""
    _require_vectors("standardised", examples)
    return as_input(examples.x)


def binning(examples: Examples, asked: Asked) -> Float[Tensor, "n 1"]:
    """Return the paper's distance of each example to the hard ones of its class, as one coordinate.

    Hard examples are at zero by definition, so that the distance between a candidate and any
    hard example of its class is the candidate's coordinate.
    """
    _require_vectors("binning", examples)
    distances = np.zeros(len(examples), dtype=np.float32)
    for label in np.unique(examples.y):
        hard = asked.hard.x[asked.hard.y == label]
        of_class = np.flatnonzero(examples.y == label)
        if len(hard):
            distances[of_class] = binned_distances(examples.x[of_class], hard)
    return torch.from_numpy(distances)[:, None]


SPACES: dict[str, Space] = {
    "pixels": pixels,
    "model": model,
    "standardised": standardised,
    "binning": binning,
}


def space_named(name: str) -> Space:
    """Return the space of that name, or the one that an encoder of that name spans."""
    check_space(name)
    if not is_encoder(name):
        return SPACES[name]

    def embedded(examples: Examples, asked: Asked) -> Float[Tensor, "n d"]:
        vectors = torch.from_numpy(embeddings_of(name).of(examples.x))
        return torch.nn.functional.normalize(vectors, dim=1)

    return embedded


def check_input(name: str, shape: tuple[int, ...]) -> None:
    """Raise `SettingError` where examples of that shape have no place in the space of that name."""
    if len(shape) != 1 and name in ("standardised", "binning"):
        raise SettingError(
            f"feature-space '{name}' is for tables, but these are images; use pixels, model or an "
            "encoder"
        )


def _require_vectors(name: str, examples: Examples) -> None:
    check_input(name, examples.x.shape[1:])
    if is_text(examples.x):
        raise SettingError(
            f"feature-space '{name}' is for tables, but these are texts; use tfidf, hashing or an encoder"
        )
