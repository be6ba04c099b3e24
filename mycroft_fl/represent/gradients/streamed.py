"""Atoms that stay on disk, or in host memory, and are read a block at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from mycroft_fl.errors import DataError
from mycroft_fl.represent.gradients.atoms import Atoms, DenseAtoms, require_some

_BLOCK_NUMBERS = 2**23  # 32 MiB in float32: one block in memory


@dataclass(frozen=True, eq=False)
class StreamedAtoms:
    """Atoms in arrays larger than memory: each product is one pass over them, block by block.

    `arrays` are what `make` takes, one row an example: `(rows,)` for `DenseAtoms`, `(delta, inputs)`
    for `GradientFactors`; memory-mapped, or anything that has a shape and a dtype and slices like
    an array. Memory-mapped files are read and not touched as memory, so that what has been read
    does not stay resident. Blocks are computed on `device`. Floats as PyTorch has them.
    """

    arrays: tuple[np.ndarray, ...]
    make: Callable[..., Atoms] = DenseAtoms
    device: torch.device | str = "cpu"
    ahead: int = 32
    """Columns of the Gram matrix per pass; here a pass costs more than a wrong guess."""

    def __post_init__(self) -> None:
        if not self.arrays or len({len(array) for array in self.arrays}) != 1:
            lengths = [len(array) for array in self.arrays]
            raise DataError(f"arrays of {lengths} rows; give one row of each per example")
        self._first(0)

    def __len__(self) -> int:
        return len(self.arrays[0])

    def __getitem__(self, index: Int[Tensor, " t"]) -> Atoms:
        """Return the atoms at `index`, in memory."""
        rows = index.cpu().numpy()
        # Sorted and once each: what arrays on disk can do, and a read that goes forward only.
        places, back = np.unique(rows, return_inverse=True)
        return self._made([_gathered(array, places)[back] for array in self.arrays])

    @property
    def shape(self) -> torch.Size:
        return self._first(0).shape

    @property
    def dtype(self) -> torch.dtype:
        return self._first(0).dtype

    @property
    def numbers(self) -> int:
        return sum(int(np.prod(array.shape)) for array in self.arrays)

    def double(self) -> Atoms:
        """Return the same atoms in float64, in memory."""
        return self._first(len(self)).double()

    def squared_norms(self) -> Float[Tensor, " n"]:
        return self._joined(lambda block: block.squared_norms())

    def correlate(self, direction: Float[Tensor, "*direction"]) -> Float[Tensor, " n"]:
        return self._joined(lambda block: block.correlate(direction))

    def gram(
        self, index: Int[Tensor, " t"], scale: Float[Tensor, " t"] | None = None
    ) -> Float[Tensor, "n t"]:
        return self.products(self[index], scale)

    def products(
        self, few: Atoms, scale: Float[Tensor, " t"] | None = None
    ) -> Float[Tensor, "n t"]:
        return self._joined(lambda block: block.products(few, scale))

    def combine(
        self, index: Int[Tensor, " t"], weights: Float[Tensor, " t"]
    ) -> Float[Tensor, "*direction"]:
        few = self[index]
        return few.combine(torch.arange(len(few), device=self.device), weights)

    def mean(self) -> Float[Tensor, "*direction"]:
        """Return the mean atom, a target to match. `DataError` for no atoms."""
        require_some(torch.empty(len(self), 0))
        total = torch.zeros(self.shape, dtype=torch.float64, device=self.device)
        for _, block in self._blocks():
            total += block.mean().double() * len(block)
        return (total / len(self)).to(self.dtype)

    def _joined(self, product: Callable[[Atoms], Tensor]) -> Tensor:
        whole: Tensor | None = None
        for rows, block in self._blocks():
            part = product(block)
            if whole is None:
                whole = part.new_empty(len(self), *part.shape[1:])
            whole[rows] = part
        return product(self._first(0)) if whole is None else whole

    def _blocks(self) -> Iterator[tuple[slice, Atoms]]:
        step = max(1, _BLOCK_NUMBERS * len(self) // max(1, self.numbers))
        for start in range(0, len(self), step):
            rows = slice(start, min(start + step, len(self)))
            yield rows, self._made([_read(array, rows) for array in self.arrays])

    def _first(self, count: int) -> Atoms:
        return self._made([_read(array, slice(0, count)) for array in self.arrays])

    def _made(self, arrays: list[np.ndarray]) -> Atoms:
        return self.make(*[torch.from_numpy(array).to(self.device) for array in arrays])


def _read(array: Any, rows: slice) -> np.ndarray:
    """Return some rows, as an array of their own."""
    if not _is_whole_file(array):
        return np.array(array[rows])
    width = int(np.prod(array.shape[1:]))
    start = array.offset + rows.start * width * array.dtype.itemsize
    count = (rows.stop - rows.start) * width
    block = np.fromfile(array.filename, array.dtype, count, offset=start)
    if len(block) < count:
        raise DataError(f"{array.filename} ends early; write the candidates anew")
    return block.reshape(-1, *array.shape[1:])


def _gathered(array: Any, rows: np.ndarray) -> np.ndarray:
    """Read rows here and there, one by one: a map would bring their neighbours in, for good."""
    if not _is_whole_file(array):
        return np.asarray(array[rows])
    found = [_read(array, slice(row, row + 1)) for row in rows.tolist()]
    return np.concatenate(found) if found else _read(array, slice(0, 0))


def _is_whole_file(array: Any) -> bool:
    """Return whether rows lie in a file one after the other, from an offset that is known."""
    if type(array) is not np.memmap or array.filename is None or not array.flags.c_contiguous:
        return False
    return type(array.base) is not np.memmap  # a part of a map does not tell where it starts
