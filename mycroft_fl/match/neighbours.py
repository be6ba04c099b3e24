"""Pairs of a hard example and a candidate near it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Pairs of a hard example and a near candidate, hard examples in order, nearest first."""

    hard: Int[Tensor, " pairs"]
    candidate: Int[Tensor, " pairs"]
    distance: Float[Tensor, " pairs"]
    """Euclidean, from a difference in float64, rounded to float32 so that equal ones compare so."""

    @property
    def depth(self) -> Int[Tensor, " pairs"]:
        """0 for a hard example's nearest, 1 for its second nearest, and so on."""
        place = torch.arange(len(self.hard), device=self.hard.device)
        return place - torch.searchsorted(self.hard, self.hard)

    def where(self, index: Int[Tensor, " kept"]) -> Neighbours:
        """The pairs at `index`."""
        return Neighbours(self.hard[index], self.candidate[index], self.distance[index])

    @staticmethod
    def joined(parts: list[Neighbours]) -> Neighbours:
        """All pairs of `parts`, one part after the other."""
        return Neighbours(
            torch.cat([part.hard for part in parts]),
            torch.cat([part.candidate for part in parts]),
            torch.cat([part.distance for part in parts]),
        )
