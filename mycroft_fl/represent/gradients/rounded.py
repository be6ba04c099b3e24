"""Atoms in two precisions: bfloat16 for what passes over all of them, their own for the few."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mycroft_fl.represent.gradients.atoms import Atoms, DenseAtoms
from mycroft_fl.represent.gradients.factors import GradientFactors


@dataclass(frozen=True, eq=False)
class RoundedAtoms:
    """Atoms whose columns of the Gram matrix come from factors in bfloat16: half the memory read.

    All else is exact: what a pursuit picks among the leading candidates, its weights and its
    residual. Only which candidates are looked at closely is told from rounded products, so picks
    differ from those of `exact` where more than a few dozen candidates are nearly as good.
    """

    exact: GradientFactors | DenseAtoms
    coarse: GradientFactors | DenseAtoms
    rounding: float = 2**-7
    """How wrong an entry of a column may be, at norm one: four roundings to eight bits."""

    @classmethod
    def of(cls, atoms: GradientFactors | DenseAtoms) -> RoundedAtoms:
        """These atoms, with a copy in bfloat16."""
        if isinstance(atoms, DenseAtoms):
            return cls(atoms, DenseAtoms(atoms.rows.bfloat16()))
        delta, inputs = atoms.delta.bfloat16(), atoms.inputs.bfloat16()
        return cls(atoms, GradientFactors(delta, inputs, atoms.bias))

    def __len__(self) -> int:
        return len(self.exact)

    def __getitem__(self, index: Int[Tensor, " t"]) -> Atoms:
        """The exact atoms at `index`."""
        return self.exact[index]

    @property
    def shape(self) -> torch.Size:
        return self.exact.shape

    @property
    def dtype(self) -> torch.dtype:
        return self.exact.dtype

    @property
    def device(self) -> torch.device:
        return self.exact.device

    @property
    def numbers(self) -> int:
        return self.exact.numbers

    def double(self) -> Atoms:
        """The exact atoms in float64."""
        return self.exact.double()

    def squared_norms(self) -> Float[Tensor, " n"]:
        return self.exact.squared_norms()

    def correlate(self, direction: Float[Tensor, "*direction"]) -> Float[Tensor, " n"]:
        return self.exact.correlate(direction)

    def gram(
        self, index: Int[Tensor, " t"], scale: Float[Tensor, " t"] | None = None
    ) -> Float[Tensor, "n t"]:
        """As any atoms', but rounded."""
        return self.coarse.gram(index, scale).to(self.dtype)

    def products(
        self, few: Atoms, scale: Float[Tensor, " t"] | None = None
    ) -> Float[Tensor, "n t"]:
        return self.exact.products(few, scale)  # type: ignore[arg-type]

    def combine(
        self, index: Int[Tensor, " t"], weights: Float[Tensor, " t"]
    ) -> Float[Tensor, "*direction"]:
        return self.exact.combine(index, weights)

    def mean(self) -> Float[Tensor, "*direction"]:
        """The exact mean atom."""
        return self.exact.mean()
