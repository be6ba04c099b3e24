"""A package of somebody's own: a method, a model, a data set and a mode, found by entry points."""

import numpy as np
import torch
from torch import nn

from mycroft_fl.examples import Examples
from mycroft_fl.modes import Mode
from mycroft_fl.selection.methods import Query, Selection

PLAIN = Mode(
    "plain",
    "examples as they are, by another name",
    hands_over=True,
    promise="mycroft_fl.protocol.card:disclosed_promise",
    plans="strategies.rounds.plans:bought",
)


def furthest(candidates: Examples, query: Query, k: int) -> Selection:
    """Pick the candidates of the largest norm."""
    norms = np.linalg.norm(candidates.x.reshape(len(candidates), -1), axis=1)
    return Selection.unweighted(np.argsort(-norms, kind="stable")[:k])


class Wide(nn.Module):
    """Two layers on vectors of three numbers."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.hidden, self.out = nn.Linear(3, 32), nn.Linear(32, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(torch.relu(self.hidden(x)))


def blobs() -> tuple[np.ndarray, np.ndarray]:
    """Three clouds of points."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 400)
    return (rng.normal(0, 1, (400, 3)) + 3 * np.eye(3)[y]).astype(np.float32), y
