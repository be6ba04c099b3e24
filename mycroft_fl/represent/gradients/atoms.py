"""Atoms: vectors that matching pursuit combines, known by their products."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, Self, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mycroft_fl.errors import DataError

_CACHED = 2**17  # 1 MiB in float64
_BLOCK_NUMBERS = 2**22  # 32 MiB in float64: what a block's temporary may take


@runtime_checkable
@runtime_checkable
class Atoms(Protocol):
    """n vectors, known by their products alone, so that they need not be held as rows.

    A *direction* is a tensor in the atoms' own shape (C x (p+1) for gradients of a linear layer,
    d for rows); its norm is the Frobenius norm. Products come in the atoms' own precision;
    `atoms[index].double()` gives the few that need more.
    """

    def __len__(self) -> int:
        """Return how many atoms there are."""

    def __getitem__(self, index: Int[Tensor, " t"]) -> Atoms:
        """Return the atoms at `index`, in that order."""

    @property
    def shape(self) -> torch.Size:
        """The shape of a direction."""

    @property
    def dtype(self) -> torch.dtype:
        """The precision of the products."""

    @property
    def device(self) -> torch.device:
        """Where the products are computed."""

    @property
    def numbers(self) -> int:
        """How many numbers are held."""

    def double(self) -> Atoms:
        """Return the same atoms in float64."""

    def squared_norms(self) -> Float[Tensor, " n"]:
        """Return each atom's squared norm, in float64; not finite where the atom is not."""

    def correlate(self, direction: Float[Tensor, "*direction"]) -> Float[Tensor, " n"]:
        """Return each atom's inner product with `direction`. DataError where its shape is another."""

    def gram(
        self, index: Int[Tensor, " t"], scale: Float[Tensor, " t"] | None = None
    ) -> Float[Tensor, "n t"]:
        """Return inner products of all atoms with those at `index`, each first multiplied by `scale`."""

    def products(self, few: Self, scale: Float[Tensor, " t"] | None = None) -> Float[Tensor, "n t"]:
        """Return inner products with a few others of the same kind."""

    def combine(
        self, index: Int[Tensor, " t"], weights: Float[Tensor, " t"]
    ) -> Float[Tensor, "*direction"]:
        """Return the weighted sum of the atoms at `index`."""

    def mean(self) -> Float[Tensor, "*direction"]:
        """Return the mean atom, a target to match. `DataError` for no atoms."""


@dataclass(frozen=True, eq=False)
class DenseAtoms:
    """Explicit vectors, one a row."""

    rows: Float[Tensor, "n d"]

    def __post_init__(self) -> None:
        require_matrix("rows", self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Int[Tensor, " t"]) -> DenseAtoms:
        return DenseAtoms(self.rows[index])

    @property
    def shape(self) -> torch.Size:
        return self.rows.shape[1:]

    @property
    def dtype(self) -> torch.dtype:
        return self.rows.dtype

    @property
    def device(self) -> torch.device:
        return self.rows.device

    @property
    def numbers(self) -> int:
        return self.rows.numel()

    def double(self) -> DenseAtoms:
        return DenseAtoms(self.rows.double())

    def squared_norms(self) -> Float[Tensor, " n"]:
        return squared_row_norms(self.rows)

    def correlate(self, direction: Float[Tensor, " d"]) -> Float[Tensor, " n"]:
        require_shape(direction, self.rows.shape[1:])
        return self.rows @ direction.to(self.rows)

    def gram(
        self, index: Int[Tensor, " t"], scale: Float[Tensor, " t"] | None = None
    ) -> Float[Tensor, "n t"]:
        return self.products(self[index], scale)

    def products(
        self, few: DenseAtoms, scale: Float[Tensor, " t"] | None = None
    ) -> Float[Tensor, "n t"]:
        return self.rows @ scaled(few.rows, scale).T

    def combine(
        self, index: Int[Tensor, " t"], weights: Float[Tensor, " t"]
    ) -> Float[Tensor, " d"]:
        return weights.to(self.rows) @ self.rows[index]

    def mean(self) -> Float[Tensor, " d"]:
        """Return the mean row, a target to match. `DataError` for no atoms."""
        require_some(self.rows)
        return self.rows.mean(0)


def require_matrix(name: str, tensor: Tensor) -> None:
    require_floats(name, tensor, 2)


def require_floats(name: str, tensor: Tensor, dimensions: int) -> None:
    if tensor.ndim != dimensions or not tensor.is_floating_point():
        raise DataError(
            f"{name} has shape {tuple(tensor.shape)} and type {tensor.dtype}; "
            "give floating-point numbers, one row per example"
        )


def require_shape(tensor: Tensor, shape: torch.Size, name: str = "the target") -> None:
    if tensor.shape != shape:
        raise DataError(
            f"{name} has shape {tuple(tensor.shape)}, not {tuple(shape)}; "
            "take it from the same model as the candidates"
        )


def require_some(rows: Tensor) -> None:
    if not len(rows):
        raise DataError("a mean over no example; give at least one hard example")


def blocks(rows: int, width: int, numbers: int | None = None) -> Iterator[slice]:
    """Return slices of rows that hold about so many numbers each, `_BLOCK_NUMBERS` if not given."""
    step = max(1, (numbers or _BLOCK_NUMBERS) // max(1, width))
    return (slice(start, start + step) for start in range(0, rows, step))


def scaled(rows: Float[Tensor, "t d"], scale: Float[Tensor, " t"] | None) -> Float[Tensor, "t d"]:
    return rows if scale is None else rows * scale.to(rows)[:, None]


def squared_row_norms(rows: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
    """Return squared norms in float64, where that of a vanishing gradient is still above zero."""
    norms = torch.empty(len(rows), dtype=torch.float64, device=rows.device)
    # Blocks that stay in a processor's cache: a copy in float64 of all would take twice the atoms.
    for block in blocks(len(rows), rows.shape[1], _CACHED if rows.device.type == "cpu" else None):
        torch.linalg.vector_norm(rows[block], dim=1, dtype=torch.float64, out=norms[block])
    return norms.square_()
