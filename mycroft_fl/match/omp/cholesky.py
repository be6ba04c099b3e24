"""Least squares on the few atoms that a pursuit holds, in float64, updated in O(t^2) a step."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float, Int
from scipy.linalg.lapack import dtrtri

_FIRST = 64  # atoms that there is room for at first; doubled when it is full


class Fit:
    """Weights of the chosen atoms, all vectors at norm one; what is known of each that ever entered.

    An atom that enters gets a *slot* for good: its products with the others are kept should it be
    dropped and come back. `chosen` are slots. `_inverse` is the inverse of the Cholesky factor of
    the chosen atoms' Gram matrix, so that a new row costs two products and no solve.
    """

    def __init__(self) -> None:
        self.slots = 0
        self.chosen: Int[np.ndarray, " t"] = np.empty(0, dtype=np.int64)
        self.weights: Float[np.ndarray, " t"] = np.empty(0)
        self._products, self._direct = np.empty((_FIRST, _FIRST)), np.empty(_FIRST)
        self._inverse = np.zeros((_FIRST, _FIRST))

    def __len__(self) -> int:
        return len(self.chosen)

    @property
    def objective(self) -> float:
        """||residual||^2 plus the penalty, as a share of ||target||^2; for solved weights."""
        return 1.0 - float(self.weights @ self._direct[self.chosen])

    @property
    def unexplained(self) -> float:
        """||residual|| / ||target||, where nothing is penalised."""
        return math.sqrt(max(0.0, self.objective))

    @property
    def is_as_entered(self) -> bool:
        """Whether all that ever entered are chosen, in the order they came."""
        return len(self) == self.slots and bool((self.chosen[1:] > self.chosen[:-1]).all())

    @property
    def inverse(self) -> Float[np.ndarray, "t t"]:
        """The inverse of the Cholesky factor of the chosen atoms' products: lower triangular."""
        return self._triangle

    @property
    def by_slot(self) -> Float[np.ndarray, " slots"]:
        """Every slot's weight, 0 for those dropped."""
        weights = np.zeros(self.slots)
        weights[self.chosen] = self.weights
        return weights

    def new_slot(self, products: Float[np.ndarray, " slots"], direct: float) -> int:
        """Add a slot for an atom with these products with all that have one, and with the target."""
        slot = self.slots
        if slot == len(self._direct):
            self._double()
        self._products[slot, :slot] = self._products[:slot, slot] = products
        self._products[slot, slot] = 1.0
        self._direct[slot] = direct
        self.slots += 1
        return slot

    def products(self, slot: int) -> Float[np.ndarray, " slots"]:
        """Return an atom's products with all that have a slot."""
        return self._products[slot, : self.slots]

    def direct(self, slot: int) -> float:
        """Return an atom's product with the target."""
        return float(self._direct[slot])

    def half(self, products: Float[np.ndarray, "slots ..."]) -> Float[np.ndarray, "t ..."]:
        """Return what of some atoms lies in the span of the chosen, in an orthonormal basis of that."""
        half: np.ndarray = self._triangle @ products[self.chosen]
        return half

    def residual_products(
        self, products: Float[np.ndarray, "slots c"], direct: Float[np.ndarray, " c"]
    ) -> Float[np.ndarray, " c"]:
        """Return the products of atoms with what is not explained yet."""
        left: np.ndarray = direct - self.weights @ products[self.chosen]
        return left

    def insert(self, slot: int) -> Float[np.ndarray, " t"]:
        """Choose one more, at weight zero: the new row of the inverse factor."""
        t = len(self)
        half = self.half(self._products[: self.slots, slot])
        root = np.sqrt(max(1.0 - half @ half, 1e-300))
        self._inverse[t, :t] = (half @ self._triangle) / -root
        self._inverse[t, t] = 1.0 / root
        self.chosen = np.append(self.chosen, slot)
        self.weights = np.append(self.weights, 0.0)
        return self._inverse[t, : t + 1]

    def adopt(
        self,
        products: Float[np.ndarray, "new slots"],
        direct: Float[np.ndarray, " new"],
        rows: Float[np.ndarray, "new slots"],
        weights: Float[np.ndarray, " slots"],
    ) -> None:
        """Give slots to atoms that were chosen elsewhere, one after the other, and none dropped.

        Args:
            products: those of each new atom with all that have a slot then.
            direct: those of each new atom with the target.
            rows: new rows of the inverse factor.
            weights: the solved ones, by slot.
        """
        first, self.slots = self.slots, self.slots + len(direct)
        while self.slots > len(self._direct):
            self._double()
        new, every = slice(first, self.slots), slice(self.slots)
        self._products[new, every] = products
        self._products[every, new] = products.T
        self._direct[new] = direct
        self._inverse[new, every] = rows
        self.chosen, self.weights = np.arange(self.slots), weights

    def solved(self) -> Float[np.ndarray, " t"]:
        """Return the weights that minimise the objective, whatever their sign."""
        triangle, direct = self._triangle, self._direct[self.chosen]
        weights: np.ndarray = (triangle @ direct) @ triangle
        # Once more with what is left: the inverse need then be right to a few digits only.
        left = direct - self._products[self.chosen[:, None], self.chosen] @ weights
        weights += (triangle @ left) @ triangle
        return weights

    def grown(self, row: Float[np.ndarray, " t"]) -> tuple[Float[np.ndarray, " t"], float]:
        """Return those weights from solved ones and the row of the one atom inserted since; the step."""
        step = float(row @ self._direct[self.chosen])
        return self.weights + step * row, step

    def own_part(self, place: int) -> Float[np.ndarray, " t"]:
        """Return what one chosen atom adds to the others' span, at norm one, as weights of the chosen."""
        triangle = self._triangle
        own: np.ndarray = triangle[:, place] @ triangle
        own /= np.sqrt(own[place])
        return own

    def drop(self, places: Int[np.ndarray, " out"]) -> None:
        """Drop the chosen at these places; the factor is made anew, free of drift."""
        self.chosen, self.weights = np.delete(self.chosen, places), np.delete(self.weights, places)
        if len(self):
            factor = np.linalg.cholesky(self._products[self.chosen[:, None], self.chosen])
            self._triangle[:] = np.tril(dtrtri(factor, lower=1)[0])

    def drop_last(self) -> None:
        """Undo an `insert`."""
        self.chosen, self.weights = self.chosen[:-1], self.weights[:-1]

    def snapshot(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return what it takes to `restore` the fit as it was before the last `insert`."""
        return self.chosen[:-1], self.weights[:-1], self._triangle[:-1, :-1].copy()

    def restore(self, kept: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
        """Choose those that were chosen at a `snapshot`; slots stay."""
        self.chosen, self.weights, triangle = kept
        self._triangle[:] = triangle

    @property
    def _triangle(self) -> Float[np.ndarray, "t t"]:
        return self._inverse[: len(self), : len(self)]

    def _double(self) -> None:
        size = len(self._direct)
        self._direct = np.concatenate([self._direct, np.empty(size)])
        room = ((0, size), (0, size))
        self._products, self._inverse = np.pad(self._products, room), np.pad(self._inverse, room)
