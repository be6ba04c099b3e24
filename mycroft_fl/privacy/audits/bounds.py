"""Audits: what many runs of a mechanism show about its privacy. A test of the code, not a proof.

A mechanism is run many times on two data sets that differ by one unit. A fifth of the outputs choose
where to cut, the others count; what the counts allow is a lower bound on epsilon that holds with
the stated confidence. Far above the claim, the code is broken; far below it for a Gaussian, the audit
is blind.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from scipy import stats

Outputs = Float64[np.ndarray, " runs"]
DELTA = 1e-5
TIGHT = 0.9
"""A share of a Gaussian's mu: a bound below this part of the claim says that the audit is blind."""
CONFIDENCE = 0.9999
"""The confidence of all bounds of an audit: a correct mechanism fails once in ten thousand audits."""
BOUNDS = 16
"""How many one audit takes: two at each of two cuts, for both tails of either data set."""
LEAST_BEYOND = 30
"""Runs beyond a cut, of those that choose it: fewer say nothing."""
CHOOSING = 0.2
"""The share of the runs that choose a cut. It need not be the best, and each is lost to the count."""


@dataclass(frozen=True)
class Audited:
    """A lower bound from outputs under D and D', at one delta, with what a Gaussian would have."""

    epsilon: float
    mu: float

    def breaks(self, claimed_epsilon: float) -> bool:
        """Say whether the bound is above the claim: the code, or its proof, is wrong."""
        return self.epsilon > claimed_epsilon


@dataclass(frozen=True)
class Finding:
    """The finding of one audit: a lower bound (or an exact value) beside the claim."""

    mode: str
    audit: str
    measure: str
    found: float
    claimed: float
    least: float = 0.0

    @property
    def holds(self) -> bool:
        """Whether the code keeps its claim, and the audit could have seen it broken."""
        return self.least <= self.found <= self.claimed * (1 + 1e-9)


def audit(with_unit: Outputs, without: Outputs, *, delta: float) -> Audited:
    """Give lower bounds on epsilon at `delta`, and on mu of Gaussian DP (Dong, Roth & Su 2022).

    Cuts are chosen on the first runs of each and counted on the others (Nasr et al. 2021); the counts
    give Clopper-Pearson intervals. mu of a cut is Phi^-1(1 - fpr) - Phi^-1(fnr).
    """
    epsilon = mu = 0.0
    pairs = ((with_unit, without), (without, with_unit))
    for one, other in (*pairs, *((-first, -second) for first, second in pairs)):
        first_one, counted_one = np.split(one, [int(CHOOSING * len(one))])
        first_other, counted_other = np.split(other, [int(CHOOSING * len(other))])
        cut = _best_cut(first_one, first_other, delta)
        if cut is None:
            continue
        true = _at_least(int((counted_one > cut).sum()), len(counted_one))
        false = _at_most(int((counted_other > cut).sum()), len(counted_other))
        if true > delta and false < 1:
            epsilon = max(epsilon, math.log((true - delta) / false))
            mu = max(mu, float(stats.norm.ppf(true) - stats.norm.ppf(false)))
        middle = float(np.median(np.concatenate([first_one, first_other])))
        true = _at_least(int((counted_one > middle).sum()), len(counted_one))
        false = _at_most(int((counted_other > middle).sum()), len(counted_other))
        mu = max(mu, float(stats.norm.ppf(true) - stats.norm.ppf(false)))
    return Audited(epsilon, mu)


def mu_of(noise_multiplier: float) -> float:
    """Give mu of Gaussian DP for one noised sum."""
    return 1 / noise_multiplier


def gaussian_epsilon(mu: float, delta: float) -> float:
    """Work out the exact epsilon of a Gaussian mechanism (Balle & Wang 2018), by bisection."""

    def over(epsilon: float) -> float:
        first = stats.norm.cdf(mu / 2 - epsilon / mu)
        return float(first - math.exp(epsilon) * stats.norm.cdf(-mu / 2 - epsilon / mu))

    low, high = 0.0, 1.0
    while over(high) > delta:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if over(middle) > delta else (low, middle)
    return high


def drawing_probabilities(
    utilities: Float64[np.ndarray, " n"], k: int, strength: float
) -> dict[frozenset[int], float]:
    """Work out the exact probability of every set that drawing `k` by utility may give."""
    weights = np.exp(strength * utilities)
    chances: dict[frozenset[int], float] = {}
    for order in itertools.permutations(range(len(utilities)), k):
        left, chance = weights.sum(), 1.0
        for index in order:
            chance *= weights[index] / left
            left -= weights[index]
        found = frozenset(order)
        chances[found] = chances.get(found, 0.0) + chance
    return chances


def drawing_loss(
    utilities: Float64[np.ndarray, " n"], k: int, strength: float, x: int
) -> tuple[float, float]:
    """Give exactly epsilon-minus over all sets without record `x`, and the chance that `x` is drawn."""
    with_x = drawing_probabilities(utilities, k, strength)
    names = [index for index in range(len(utilities)) if index != x]
    without = drawing_probabilities(np.delete(utilities, x), k, strength)
    epsilon = max(
        abs(math.log(chance / with_x[frozenset(names[index] for index in found)]))
        for found, chance in without.items()
    )
    return epsilon, sum(chance for found, chance in with_x.items() if x in found)


def membership_ceiling(mu: float) -> float:
    """Give the best AUC of any membership inference against mu of Gaussian DP: Phi(mu / sqrt 2)."""
    return float(stats.norm.cdf(mu / math.sqrt(2)))


def _best_cut(one: Outputs, other: Outputs, delta: float) -> float | None:
    """Say where the shares beyond differ most, as far as enough runs lie there."""
    candidates = np.quantile(np.concatenate([one, other]), np.linspace(0.5, 0.9999, 400))
    best, found = -math.inf, None
    one, other = np.sort(one), np.sort(other)
    for cut in np.unique(candidates):
        true = len(one) - int(np.searchsorted(one, cut, side="right"))
        false = len(other) - int(np.searchsorted(other, cut, side="right"))
        if true < LEAST_BEYOND:
            break
        bounds = _at_least(true, len(one)) - delta, _at_most(false, len(other))
        if bounds[0] > 0 and math.log(bounds[0] / bounds[1]) > best:
            best, found = math.log(bounds[0] / bounds[1]), float(cut)
    return found


def _at_least(count: int, n: int) -> float:
    """Bound a probability from below (Clopper-Pearson), at `CONFIDENCE` over all bounds."""
    return float(stats.beta.ppf((1 - CONFIDENCE) / BOUNDS, count, n - count + 1)) if count else 0.0


def _at_most(count: int, n: int) -> float:
    """Bound a probability from above (Clopper-Pearson), at `CONFIDENCE` over all bounds."""
    if count == n:
        return 1.0
    return float(stats.beta.ppf(1 - (1 - CONFIDENCE) / BOUNDS, count + 1, n - count))
