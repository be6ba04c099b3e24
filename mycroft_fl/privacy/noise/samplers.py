"""Noise without floating-point error: exact coins, and the discrete Gaussian made of them.

A float that is almost a sample from the right distribution can give away what it should hide
(Mironov 2012), so every decision here is exact. Floats only sort out the draws that are clear by a
margin far above their rounding error; the few others are decided with as many digits as it takes.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float64, Int64

LARGEST_SIGMA = 2**40
WORD = 53
MARGIN = 2.0**-36
"""Relative; the floats below are right to 2**-38, see `discrete_gaussian`."""
TINY = 1e-300


@dataclass(frozen=True)
class Noise:
    """A source of random bytes, and what it is worth: `SIMULATED` noise hides nothing."""

    draw: Callable[[int], bytes]
    origin: Literal["os-entropy", "SIMULATED"]


OS_ENTROPY = Noise(secrets.token_bytes, "os-entropy")


def simulated(seed: int) -> Noise:
    """Return noise that can be repeated, for simulations alone.

    Never for a real owner: whoever knows the seed can subtract the noise.
    """
    return Noise(np.random.default_rng(seed).bytes, "SIMULATED")


def discrete_gaussian(size: int, sigma: int, noise: Noise) -> Int64[np.ndarray, " size"]:
    """Draw `size` independent whole numbers with P(x) ~ exp(-x^2 / (2 sigma^2)).

    Exact rejection from a discrete Laplace (Canonne, Kamath & Steinke 2020, Algorithm 3). Where
    |x| is below 64 sigma the float exponent is right to 2**-39; beyond that the coin's probability
    is below `TINY` and counts as undecided.
    """
    if not 1 <= sigma <= LARGEST_SIGMA:
        raise ValueError(f"sigma is {sigma}; it must be a whole number from 1 to {LARGEST_SIGMA}")
    scale = sigma + 1
    drawn = np.empty(0, np.int64)
    while len(drawn) < size:
        proposed = _discrete_laplace(int(1.5 * (size - len(drawn))) + 16, scale, noise)
        distance = (np.abs(proposed) - sigma * (sigma / scale)) / sigma

        def exact(place: int, of: np.ndarray = proposed) -> Fraction:
            return Fraction((abs(int(of[place])) * scale - sigma**2) ** 2, 2 * (sigma * scale) ** 2)

        drawn = np.append(drawn, proposed[exp_coins(distance**2 / 2, exact, noise)])
    return drawn[:size]


def uniform_below(size: int, n: int, noise: Noise) -> Int64[np.ndarray, " size"]:
    """Draw `size` independent numbers, each of 0..n-1 equally likely; n up to 2**62."""
    shift = np.uint64(64 - max(1, (n - 1).bit_length()))
    drawn = np.empty(0, np.int64)
    while len(drawn) < size:
        words = (_words(2 * (size - len(drawn)) + 8, noise) >> shift).astype(np.int64)
        drawn = np.append(drawn, words[words < n])
    return drawn[:size]


def coins(size: int, chance: Fraction, noise: Noise) -> Bool[np.ndarray, " size"]:
    """Throw `size` independent coins, each true with probability `chance` exactly, from 0 to 1.

    A uniform number's binary digits are compared with the chance's, 64 at a time, until they differ.
    """
    if not 0 <= chance <= 1:
        raise ValueError(f"a chance of {chance}; it must be from 0 to 1")
    if chance == 1:
        return np.ones(size, bool)
    heads, alike, rest = np.zeros(size, bool), np.arange(size), chance
    while len(alike) and rest:
        digits = math.floor(rest * 2**64)
        rest = rest * 2**64 - digits
        words = _words(len(alike), noise)
        heads[alike[words < np.uint64(digits)]] = True
        alike = alike[words == np.uint64(digits)]
    return heads


def exp_coins(
    exponent: Float64[np.ndarray, " n"],
    exact: Callable[[int], Fraction],
    noise: Noise,
    *,
    margin: float = MARGIN,
) -> Bool[np.ndarray, " n"]:
    """Throw independent coins, the i-th true with probability exp(-exact(i)).

    The outcome depends on the random bytes alone, never on `margin`.

    Args:
        exponent: a float near `exact`, wrong by less than half of `margin`.
        exact: the i-th exponent itself.
        noise: the source of random bytes.
        margin: how near a draw must be for `exact` to be asked.
    """
    words = (_words(len(exponent), noise) >> np.uint64(64 - WORD)).astype(np.float64)
    chance = np.exp(-exponent)
    yes = (words + 1) * 2.0**-WORD <= chance * (1 - margin)
    no = words * 2.0**-WORD >= chance * (1 + margin) + TINY
    for place in np.flatnonzero(~(yes | no)):
        yes[place] = _is_below_exp(int(words[place]), exact(int(place)), noise)
    settled: np.ndarray = yes
    return settled


def _discrete_laplace(size: int, scale: int, noise: Noise) -> np.ndarray:
    """Draw from P(x) ~ exp(-|x| / scale). Canonne, Kamath & Steinke 2020, Algorithm 2."""
    drawn = np.empty(0, np.int64)
    while len(drawn) < size:
        low = uniform_below(2 * (size - len(drawn)) + 16, scale, noise)

        def exact(place: int, of: np.ndarray = low) -> Fraction:
            return Fraction(int(of[place]), scale)

        low = low[exp_coins(low / scale, exact, noise)]
        magnitude = low + scale * _geometric(len(low), noise)
        negative = uniform_below(len(low), 2, noise) == 1
        kept = ~(negative & (magnitude == 0))  # or zero would come up twice as often
        drawn = np.append(drawn, np.where(negative, -magnitude, magnitude)[kept])
    return drawn[:size]


def _geometric(size: int, noise: Noise) -> np.ndarray:
    """Count the coins of probability 1/e that come up before the first that does not."""
    counts, alive = np.zeros(size, np.int64), np.arange(size)
    while len(alive):
        alive = alive[exp_coins(np.ones(len(alive)), lambda place: Fraction(1), noise)]
        counts[alive] += 1
    return counts


def _is_below_exp(prefix: int, exponent: Fraction, noise: Noise) -> bool:
    """Return whether a uniform number whose binary digits begin with `prefix` is below exp(-exponent)."""
    if exponent == 0:
        return True
    bits = WORD
    while True:
        with localcontext() as context:
            # The quotient, and so the exponential, loses as many digits as the exponent has.
            context.prec = bits // 3 + 60 + len(str(int(exponent)))
            chance = (-Decimal(exponent.numerator) / Decimal(exponent.denominator)).exp()
            chance *= 2**bits
            error = chance * Decimal(10) ** -(bits // 3 + 40)
            if prefix + 1 <= chance - error:
                return True
            if prefix >= chance + error:
                return False
        prefix = (prefix << 64) | int.from_bytes(noise.draw(8), "big")
        bits += 64


def _words(size: int, noise: Noise) -> np.ndarray:
    return np.frombuffer(noise.draw(8 * size), np.uint64)
