"""Atoms in parts, such as one per layer of a network."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mycroft_fl.errors import DataError
from mycroft_fl.represent.gradients.atoms import Atoms, require_shape


@dataclass(frozen=True, eq=False)
class SummedAtoms:
    """Atoms in parts: a product is the sum of the parts' products.

    A direction is flat, the parts' directions one after the other.
    """

    parts: tuple[Atoms, ...]

    def __post_init__(self) -> None:
        lengths = {len(part) for part in self.parts}
        if len(lengths) != 1:
            raise DataError(
                f"parts of {sorted(lengths)} atoms; give at least one, all equally long"
            )

    def __len__(self) -> int:
        return len(self.parts[0])

    def __getitem__(self, index: Int[Tensor, " t"]) -> SummedAtoms:
        return SummedAtoms(tuple(part[index] for part in self.parts))

    @property
    def shape(self) -> torch.Size:
        return torch.Size([sum(self._sizes)])

    @property
    def dtype(self) -> torch.dtype:
        return self.parts[0].dtype

    @property
    def device(self) -> torch.device:
        return self.parts[0].device

    @property
    def numbers(self) -> int:
        return sum(part.numbers for part in self.parts)

    def double(self) -> SummedAtoms:
        return SummedAtoms(tuple(part.double() for part in self.parts))

    def squared_norms(self) -> Float[Tensor, " n"]:
        return _sum([part.squared_norms() for part in self.parts])

    def correlate(self, direction: Float[Tensor, " d"]) -> Float[Tensor, " n"]:
        require_shape(direction, self.shape)
        pieces = zip(self.parts, torch.split(direction, self._sizes), strict=True)
        return _sum([part.correlate(piece.reshape(part.shape)) for part, piece in pieces])

    def gram(
        self, index: Int[Tensor, " t"], scale: Float[Tensor, " t"] | None = None
    ) -> Float[Tensor, "n t"]:
        return self.products(self[index], scale)

    def products(
        self, few: SummedAtoms, scale: Float[Tensor, " t"] | None = None
    ) -> Float[Tensor, "n t"]:
        pairs = zip(self.parts, few.parts, strict=True)
        return _sum([part.products(theirs, scale) for part, theirs in pairs])

    def combine(
        self, index: Int[Tensor, " t"], weights: Float[Tensor, " t"]
    ) -> Float[Tensor, " d"]:
        return torch.cat([part.combine(index, weights).flatten() for part in self.parts])

    def mean(self) -> Float[Tensor, " d"]:
        """Return the mean atom, a target to match. `DataError` for no atoms."""
        return torch.cat([part.mean().flatten() for part in self.parts])

    @property
    def _sizes(self) -> list[int]:
        return [part.shape.numel() for part in self.parts]


def _sum(products: list[Tensor]) -> Tensor:
    total = products[0]
    for product in products[1:]:
        total.add_(product)
    return total
