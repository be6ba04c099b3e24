"""Least squares on the few atoms that a pursuit holds, in tensors whose numbers nobody reads."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import pad

_DROPS = 3  # at most, a step; what should go beyond them goes in the next


@dataclass(frozen=True, eq=False)
class DeviceFit:
    """Weights by slot, in float64 on the atoms' device; nothing here ever waits for the host.

    A slot is a place for an atom, free again once its atom is dropped. `inverse` is that of the
    chosen atoms' Gram matrix and zero elsewhere: a rank-one update lets one in, another lets one
    out, and either can be undone by a mask, where a program would ask and branch.
    """

    chosen: Bool[Tensor, " s"]
    weights: Float[Tensor, " s"]
    direct: Float[Tensor, " s"]
    gram: Float[Tensor, "s s"]
    inverse: Float[Tensor, "s s"]

    @classmethod
    def empty(cls, slots: int, device: torch.device) -> DeviceFit:
        """Return a fit in which nothing is chosen yet."""
        zeros = torch.zeros(slots, dtype=torch.float64, device=device)
        square = zeros.new_zeros(slots, slots)
        return cls(zeros.bool(), zeros, zeros, square, square)

    def widened(self, slots: int) -> DeviceFit:
        """Return the same with room for more."""
        more = slots - len(self.chosen)

        def wide(square: Tensor) -> Tensor:
            return pad(square, (0, more, 0, more))

        def longer(numbers: Tensor) -> Tensor:
            return pad(numbers, (0, more))

        return DeviceFit(
            longer(self.chosen),
            longer(self.weights),
            longer(self.direct),
            wide(self.gram),
            wide(self.inverse),
        )

    @property
    def objective(self) -> Float[Tensor, ""]:
        """||residual||^2 plus the penalty, as a share of ||target||^2."""
        return 1 - 2 * (self.weights @ self.direct) + self.weights @ (self.gram @ self.weights)

    def free_slot(self) -> Int[Tensor, " 1"]:
        """Return the first slot that is free."""
        return (~self.chosen).to(torch.int8).argmax(keepdim=True)

    def parts(
        self, products: Float[Tensor, "s c"]
    ) -> tuple[Float[Tensor, "s c"], Float[Tensor, " c"]]:
        """Return atoms as sums of the chosen, and the share of each squared norm outside their span."""
        inside = self.inverse @ products
        return inside, 1 - (products * inside).sum(0)

    def joined(
        self, slot: Int[Tensor, " 1"], products: Float[Tensor, " s"], direct: Float[Tensor, " 1"]
    ) -> tuple[DeviceFit, Float[Tensor, " s"]]:
        """Return the fit with one more atom, at weight zero; and the unit vector it adds, by its weights."""
        here = torch.zeros_like(self.chosen).index_fill(0, slot, True)
        products = torch.where(self.chosen, products, 0.0)
        # The part outside the span at norm one, as weights: 1 / sqrt(pivot) for the atom itself.
        inside, pivot = self.parts(products[:, None])
        unit = torch.where(here, 1.0, -inside[:, 0]) * pivot.clamp_min(1e-300).rsqrt()
        # Its row and column of the Gram matrix, s x s.
        row = torch.where(here, 1.0, products)
        gram = torch.where(here[:, None], row, torch.where(here, row[:, None], self.gram))
        weights = self.weights.masked_fill(here, 0.0)
        straight = torch.where(here, direct, self.direct)
        inverse = self.inverse + torch.outer(unit, unit)  # the inverse grows by rank one
        return DeviceFit(self.chosen | here, weights, straight, gram, inverse), unit

    def solved(self) -> Float[Tensor, " s"]:
        """Return the weights that minimise the objective, whatever their sign."""
        weights = self.inverse @ self.direct
        # Once more with what is left: the inverse need then be right to a few digits only.
        left = torch.where(self.chosen, self.direct - self.gram @ weights, 0.0)
        return weights + self.inverse @ left

    def refitted(self, nonnegative: bool) -> tuple[DeviceFit, list[Float[Tensor, " s"]]]:
        """Return the fit with the best weights; and the unit vectors of those that had to go, or zeros."""
        fit, units = self, []
        for _ in range(_DROPS if nonnegative else 0):
            fit, unit = fit._without_the_first_to_turn()
            units.append(unit)
        goal = fit.solved()
        if not nonnegative:
            return replace(fit, weights=goal), units
        share, _, _ = fit._way_to(goal)
        return replace(
            fit, weights=(fit.weights + share * (goal - fit.weights)).clamp_min(0)
        ), units

    def _way_to(self, goal: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return how much of the way no weight turns negative, who would be first, and if anyone does."""
        turns = self.chosen & (goal <= 0)
        shares = torch.where(
            turns, self.weights / (self.weights - goal).clamp_min(1e-300), torch.inf
        )
        share, first = shares.min(0, keepdim=True)
        return share.clamp_max(1.0), first, turns.any()

    def _without_the_first_to_turn(self) -> tuple[DeviceFit, Float[Tensor, " s"]]:
        # Go towards the best weights until the first turns to zero, and drop that one.
        goal = self.solved()
        share, first, any_turns = self._way_to(goal)
        out = torch.zeros_like(self.chosen).index_fill(0, first, True) & any_turns
        weights = (self.weights + share * (goal - self.weights)).clamp_min(0).masked_fill(out, 0.0)
        # Its own direction outside the others' span leaves the inverse, by rank one.
        own = self.inverse.index_select(1, first)[:, 0]
        unit = own * own.index_select(0, first).clamp_min(1e-300).rsqrt() * any_turns
        inverse = (self.inverse - torch.outer(unit, unit)).masked_fill(
            out[:, None] | out, 0.0
        )  # exactly: what rounding leaves would grow
        weights = torch.where(any_turns, weights, self.weights)
        return replace(self, chosen=self.chosen & ~out, weights=weights, inverse=inverse), unit

    def or_else(self, accepted: Bool[Tensor, ""], other: DeviceFit) -> DeviceFit:
        """Return this fit where accepted, else the other."""
        pairs = (
            (getattr(self, name), getattr(other, name))
            for name in ("chosen", "weights", "direct", "gram", "inverse")
        )
        return DeviceFit(*(torch.where(accepted, mine, theirs) for mine, theirs in pairs))
