"""A pursuit's task: atoms and a target at norm one, and the options of the search."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mycroft_fl.errors import SettingError
from mycroft_fl.represent.gradients.atoms import Atoms

Stop = Literal["k", "tolerance", "no-candidate-improves"]

# Below these a number is rounding, and nothing to act on.
LEAST_COSINE = 1e-7  # with the target; its square is the gain that float64 can still tell
LEAST_GAIN = 1e-14  # of the squared target
LEAST_PIVOT = 1e-6  # of an atom's squared norm; below, it is all but a sum of those chosen
TIE = 1e-12  # what is nearer than this is equal: the lowest index wins on any number of threads

_SAFE_PIVOT = 1e-5  # what float32 still tells from zero, for the rule ols

# What a step prefers, from cosines with the residual, norms and pivots (the share of each squared
# norm outside the span of those chosen): the factor that a cosine is multiplied with.
RULES: dict[str, Callable[[Tensor, Tensor], Tensor | None]] = {
    "norm": lambda norms, pivots: None,
    "dot": lambda norms, pivots: norms,
    "ols": lambda norms, pivots: pivots.clamp_min(_SAFE_PIVOT).rsqrt(),
}


@dataclass(frozen=True, eq=False)
class Problem:
    """Atoms and a target at norm one; what is penalised is one more row per atom, orthogonal to all.

    `norms` are those of the atoms with that row, 1 where an atom is zero; `penalty` is the row's
    share of each squared norm.
    """

    atoms: Atoms
    target: Float[Tensor, "*direction"]
    norms: Float[Tensor, " n"]
    penalty: Float[Tensor, " n"]
    zero: Bool[Tensor, " n"]

    @classmethod
    def scaled(
        cls, atoms: Atoms, target: Tensor, squared: Tensor, ridge: float, extra: Tensor
    ) -> Problem:
        """Scale atoms and target to norm one, with the penalty's row.

        Args:
            atoms: as they came.
            target: at norm one.
            squared: the atoms' squared norms.
            ridge: a share of the mean squared norm.
            extra: each atom's own penalty, squared.
        """
        row, zero = ridge * squared.mean() + extra, squared == 0
        whole = (squared + row).masked_fill(zero, 1)
        return cls(atoms, target.to(atoms.device), whole.sqrt(), row / whole, zero)

    def residual(
        self, index: Int[Tensor, " t"], weights: Float[Tensor, " t"]
    ) -> Float[Tensor, "*direction"]:
        """Return what these weights of atoms at norm one leave of the target, in float64."""
        index = index.to(self.atoms.device)
        few = self.atoms[index].double()
        every = torch.arange(len(few), device=few.device)
        return self.target - few.combine(every, weights.to(few.device) / self.norms[index])


@dataclass(frozen=True)
class Options:
    """How a pursuit goes, checked."""

    nonnegative: bool = True
    rule: str = "norm"
    ridge: float = 0.0
    tolerance: float = 1e-4

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise SettingError(f"rule is {self.rule!r}; choose from {sorted(RULES)}")
        if not 0 <= self.ridge < math.inf:
            raise SettingError(
                f"ridge is {self.ridge}; give 0 or more, as a share of the mean squared norm"
            )
        if not 0 <= self.tolerance < 1:
            raise SettingError(
                f"tolerance is {self.tolerance}; give a share of the target, from 0 up to but not 1"
            )
