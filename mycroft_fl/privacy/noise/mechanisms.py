"""The mechanisms: an exact noised sum, and examples drawn by a bounded utility.

A record may add a vector of whole numbers, truncated toward zero and of checked length;
sums are exact, noise is added last. Bounds are public constants: nothing here looks at the data to
set one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64, Shaped

from mycroft_fl.privacy.noise.samplers import (
    LARGEST_SIGMA,
    Noise,
    discrete_gaussian,
    exp_coins,
    uniform_below,
)

UNITS = 2**16
"""Whole numbers to 1: a value loses less than 1/65536 by being truncated."""
LARGEST_BOUND = Fraction(2**30)
SHRINK = 1 - 2.0**-20
RECORDS_PER_PICK = 100
"""`raw-gumbel` is offered only where a choice has so many records to hide among."""
BLOCK = 2**16
"""Numbers that are made whole at a time: as many as stay in a processor's cache."""


@runtime_checkable
class RowBlocks(Protocol):
    """The rows that records add, made when some are asked for; an array is one too."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Records, and numbers in a row."""
        ...

    def __getitem__(self, some: slice | Int64[np.ndarray, " m"], /) -> Float[np.ndarray, "m d"]:
        """Return the rows of some records, each the same whoever else is asked for."""
        ...


@dataclass(frozen=True, eq=False)
class NoisedSum:
    """A sum over records with noise of standard deviation `sigma`, and its price in zCDP.

    `values` are in the unit of the records, and multiples of 1/65536.
    """

    values: Float64[np.ndarray, " d"]
    sigma: float
    rho: float


def finite(rows: Float[np.ndarray, "n d"]) -> Bool[np.ndarray, " n"]:
    """Tell which records may be used at all: one that is not finite would come through any clipping."""
    usable: np.ndarray = np.isfinite(rows).all(axis=1)
    return usable


def quantised(rows: Float[np.ndarray, "n d"], bound_squared: Fraction) -> Int64[np.ndarray, "n d"]:
    """Bring each row to whole 65536ths, truncated toward zero, of squared length at most `bound_squared`.

    A longer row is scaled down to the bound. Whether it fits is settled on the integers. Raises
    `ValueError` where a value is not finite.
    """
    rows = np.ascontiguousarray(rows, np.float64)  # summed in one order, whatever came
    if not finite(rows).all():
        raise ValueError("a record is not finite; drop such records first, see finite()")
    check_bound(bound_squared)
    bound = math.sqrt(bound_squared)
    # A float's look at each length; rows clearly within the bound are only scaled to units.
    with np.errstate(over="ignore"):
        too_long = ~(np.sqrt(np.einsum("ij,ij->i", rows, rows)) <= bound * (1 + 1e-9))
        scaled = rows * UNITS
    if too_long.any():
        # Norms of the row over its largest value: the squares of huge values would overflow.
        relative = rows[too_long] / np.abs(rows[too_long]).max(axis=1)[:, None]
        scaled[too_long] = relative * (bound / np.linalg.norm(relative, axis=1)[:, None]) * UNITS
    whole: np.ndarray = np.trunc(scaled).astype(np.int64)
    allowed = math.floor(bound_squared * UNITS**2)
    # The length that counts is that of the whole numbers: shrink until it fits exactly.
    while len(over := np.flatnonzero(np.einsum("ij,ij->i", whole, whole) > allowed)):
        scaled[over] *= SHRINK
        whole[over] = np.trunc(scaled[over]).astype(np.int64)
    return whole


def check_bound(bound_squared: Fraction) -> None:
    """Raise `ValueError` where no record could be clipped to the bound."""
    if not 0 < bound_squared <= LARGEST_BOUND:
        raise ValueError(f"the squared bound is {bound_squared}; it must be in (0, 2**30]")


def noised_sum(
    rows: RowBlocks,
    bound_squared: Fraction,
    noise_multiplier: float,
    noise: Noise,
    *,
    persons: Shaped[np.ndarray, " n"] | None = None,
) -> NoisedSum:
    """Sum the records, each clipped to the bound, and add discrete Gaussian noise.

    sigma = noise_multiplier * bound, so rho = 1 / (2 noise_multiplier^2) of zCDP for adding or
    removing one record, or all records of one person (Canonne, Kamath & Steinke 2020, Theorem 14).
    Records that are not finite are left out.

    Args:
        rows: what each record adds.
        bound_squared: the square of the length that one record, or person, may have.
        noise_multiplier: sigma as a multiple of the bound.
        noise: the source of random bytes.
        persons: whose each record is; None where each stands alone.
    """
    whole = exact_sum(rows, bound_squared, persons=persons)
    return noised(whole, bound_squared, noise_multiplier, noise)


def exact_sum(
    rows: RowBlocks, bound_squared: Fraction, *, persons: Shaped[np.ndarray, " n"] | None = None
) -> Int64[np.ndarray, " d"]:
    """Sum the clipped records, or persons, in whole 65536ths. The sum never leaves the owner."""
    check_bound(bound_squared)  # here too: where there are no records, nothing else would
    records, size = rows.shape
    if persons is not None:
        return _sum_by_person(rows, bound_squared, persons)
    total = np.zeros(size, np.int64)
    # A block of rows at a time; whole numbers add up exactly in any order.
    step = max(1, BLOCK // max(1, size))
    for start in range(0, records, step):
        block = rows[start : start + step]
        usable = finite(block)
        block = block if usable.all() else block[usable]
        total += quantised(block, bound_squared).sum(axis=0)
    return total


def _sum_by_person(
    rows: RowBlocks, bound_squared: Fraction, persons: Shaped[np.ndarray, " n"]
) -> Int64[np.ndarray, " d"]:
    """Sum some persons at a time, each of them whole: what all add by themselves would fill the memory."""
    size = rows.shape[1]
    step = max(1, BLOCK // max(1, size))
    # Rows in the order of persons, numbered from 0.
    _, person = np.unique(persons, return_inverse=True)
    in_order = np.argsort(person, kind="stable")
    ordered = person[in_order]
    total = np.zeros(size, np.int64)
    for first in range(0, int(person.max(initial=-1)) + 1, step):
        # All rows of `step` persons, summed by person, then each person clipped as one.
        start, end = np.searchsorted(ordered, [first, first + step])
        together = np.zeros((step, size), np.int64)
        for at in range(start, end, step):
            some = in_order[at : min(at + step, end)]
            block = rows[some]
            usable = finite(block)
            np.add.at(
                together, person[some[usable]] - first, quantised(block[usable], bound_squared)
            )
        total += quantised(together / UNITS, bound_squared).sum(axis=0)
    return total


def noised(
    whole: Int64[np.ndarray, " d"], bound_squared: Fraction, noise_multiplier: float, noise: Noise
) -> NoisedSum:
    """Add noise to an exact sum, to each number by itself.

    Args:
        whole: the sum in whole 65536ths.
        bound_squared: that it was clipped to.
        noise_multiplier: sigma as a multiple of the bound.
        noise: the source of random bytes.
    """
    sigma = sigma_units(bound_squared, noise_multiplier)
    values = (whole + discrete_gaussian(len(whole), sigma, noise)) / UNITS
    return NoisedSum(values, sigma / UNITS, price(noise_multiplier))


def sigma_units(bound_squared: Fraction, noise_multiplier: float) -> int:
    """Return the noise's standard deviation in whole 65536ths, rounded up. `ValueError` beyond 2**40."""
    exact = Fraction(noise_multiplier) ** 2 * bound_squared * UNITS**2
    root = math.isqrt(math.ceil(exact))
    root = root if root**2 >= exact else root + 1
    if root > LARGEST_SIGMA:
        raise ValueError(f"noise of {root / UNITS:g} is more than is drawn exactly; ask for less")
    return root


def price(noise_multiplier: float) -> float:
    """Return what one noised sum costs: rho of zCDP, rounded up."""
    # In fractions: a float of the square would be one rounding short of the price at times.
    return math.nextafter(float(1 / (2 * Fraction(noise_multiplier) ** 2)), math.inf)


def drawn_by_utility(
    levels: Int64[np.ndarray, " n"], k: int, strength: float, noise: Noise
) -> Int64[np.ndarray, " k"]:
    """Draw `k` indices one by one, each with P(i) ~ exp(strength * levels[i] / 65536) of the rest.

    The same distribution as the k largest of strength * u_i + Gumbel noise, but exact: an index is
    proposed uniformly and kept with probability exp(-strength * (1 - u_i)).

    Args:
        levels: utilities from 0 to 65536, a function of each record and public things alone.
        k: how many to draw.
        strength: 0 draws without looking.
        noise: the source of random bytes.
    """
    if len(levels) and not 0 <= levels.min() <= levels.max() <= UNITS:
        raise ValueError(f"levels go from {levels.min()} to {levels.max()}; give 0 to {UNITS}")
    picked: dict[int, None] = {}  # ordered
    while len(picked) < min(k, len(levels)):
        # Propose uniformly, with indices that were picked before: those do not count again.
        proposed = uniform_below(16 * k + 64, len(levels), noise)
        short = UNITS - levels[proposed]

        def exact(place: int, of: np.ndarray = short) -> Fraction:
            return Fraction(strength) * int(of[place]) / UNITS

        # Keep each with probability exp(-strength * (1 - u)).
        kept = proposed[exp_coins(strength * short / UNITS, exact, noise)]
        for index in kept.tolist():
            if len(picked) < k:
                picked.setdefault(index)
    return np.fromiter(picked, np.int64, len(picked))


def choice_price(k: int, strength: float, n: int, useful: int = 0) -> float:
    """Return epsilon-minus of drawing `k` of at least `n` records: k ln(1 + e^R / (n - k)), rounded up.

    For any set of picks without x, its probability with and without x in the data differs at most
    by the factor e^epsilon-minus; that x itself is picked has probability at most
    1 - e^-epsilon-minus. Where at least `useful` records have the highest utility, what is left
    weighs more: n - k becomes n - k + (useful - k) (e^R - 1).

    Args:
        k: how many are drawn.
        strength: R, of the draw.
        n: records at least, above `k`.
        useful: how many records at least have the highest utility.
    """
    if n <= k:
        raise ValueError(f"{k} records of {n} cannot hide among the others")
    others = n - k + max(0, min(useful, n) - k) * math.expm1(strength)
    return math.nextafter(k * math.log1p(math.exp(strength) / others) * (1 + 1e-12), math.inf)


STRONGEST = 10.0
"""Beyond it the useful records are drawn before any other."""


def strength_within(epsilon_minus: float, k: int, n: int, useful: int = 0) -> float:
    """Return the strength at which `choice_price` is `epsilon_minus`, `STRONGEST` at most.

    Raises `ValueError` where even a draw without looking costs as much.

    Args:
        epsilon_minus: what the draw may cost.
        k: how many are drawn.
        n: records at least.
        useful: how many records at least have the highest utility.
    """
    if choice_price(k, 0.0, n, useful) >= epsilon_minus:
        raise ValueError(
            f"{k} records of {n} cost more than {epsilon_minus}, whatever the strength"
        )
    low, high = 0.0, STRONGEST
    if choice_price(k, high, n, useful) <= epsilon_minus:
        return high
    while high - low > 1e-9:
        middle = (low + high) / 2
        low, high = (
            (middle, high) if choice_price(k, middle, n, useful) <= epsilon_minus else (low, middle)
        )
    return low


@dataclass(frozen=True)
class Crowd:
    """How many useful records a choice hides among, or it is made without looking at all.

    They are counted with noise; one count finds too many with probability `delta` at most, which is
    an equal part of the budget's delta for each count that the budget pays for.
    """

    at_least: int
    noise_multiplier: float
    delta: float


def strength_by_count(
    levels: Int64[np.ndarray, " n"], strength: float, crowd: Crowd, noise: Noise
) -> float:
    """Return `strength` where a noised count says that enough records have the highest utility; else 0.

    Costs `price(crowd.noise_multiplier)` for adding or removing a record. A probe that only the
    record it is after answers to then gets no more of it than of any other.

    Args:
        levels: utilities from 0 to 65536.
        strength: of the draw, if enough are useful.
        crowd: how many are enough, and the count's noise.
        noise: the source of random bytes.
    """
    count = int((levels == UNITS).sum()) * UNITS
    noised_count = noised(np.array([count]), Fraction(1), crowd.noise_multiplier, noise)
    # A discrete Gaussian's tail is at most a Gaussian's: exp(-t^2 / (2 sigma^2)).
    margin = noised_count.sigma * math.sqrt(2 * math.log(1 / crowd.delta))
    return strength if noised_count.values[0] - margin >= crowd.at_least else 0.0
