"""The sum of releases: a filter at one Rényi order, fixed by the budget before anything is asked.

A trainer chooses each query after it has seen the answer to the last, so the order must not be
chosen afterwards. At a fixed order the sum of what was spent is a valid stopping rule (Feldman &
Zrnic 2021); for Gaussian releases, whose price at order a is a * rho, it is the filter of zCDP
(Whitehouse et al. 2023). PLD is tighter but no stopping rule: `epsilon_by_pld` is for lists of
events that were fixed in advance.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mycroft_fl.errors import InputError

ORDERS = (
    *(1 + each / 20 for each in range(1, 180)),
    *range(10, 64),
    *(int(64 * 1.06**each) for each in range(80)),
)
"""Wider than Opacus's own, which stop at 63: small budgets have their best order far beyond."""


@dataclass(frozen=True)
class SgdRun:
    """DP-SGD with Poisson sampling: each of `steps` takes every record with `sample_rate`."""

    sample_rate: float
    noise_multiplier: float
    steps: int


@dataclass(frozen=True)
class Spend:
    """The price of one answer, per unit of privacy.

    `records` are handed over as they are; `rho` is of zCDP; `epsilon_minus` is for the choice of
    `raw-gumbel` alone; `sgd` is a run of DP-SGD. `requests` counts the answers that it stands for.
    """

    records: int = 0
    rho: float = 0.0
    epsilon_minus: float = 0.0
    sgd: SgdRun | None = None
    requests: int = 1

    def __post_init__(self) -> None:
        # A price below zero would be a refund, and nan passes any comparison.
        if not all(0 <= each < math.inf for each in (self.records, self.rho, self.epsilon_minus)):
            raise ValueError(f"a spend is finite and at least 0, not {self}")

    def renyi(self, order: float) -> float:
        """Return the Rényi divergence at `order`."""
        return order * self.rho + (sgd_renyi(self.sgd, order) if self.sgd else 0.0)


def epsilon_at(renyi: float, order: float, delta: float) -> float:
    """Return (epsilon, delta) from a Rényi divergence at one order.

    Canonne, Kamath & Steinke 2020, Proposition 12; Balle et al. 2020, Theorem 21.
    """
    if math.isnan(renyi):
        raise ValueError("a Rényi divergence that is not a number promises nothing")
    bound = renyi + math.log1p(-1 / order) - math.log(delta * order) / (order - 1)
    return max(0.0, bound)


def epsilon_of_rho(rho: float, delta: float) -> float:
    """Return the least epsilon that rho of zCDP promises at `delta`, over all orders."""
    if rho == 0:
        return 0.0
    return min(epsilon_at(order * rho, order, delta) for order in (*_near(rho, delta), *ORDERS))


def epsilon_of(spends: Iterable[Spend], delta: float) -> float:
    """Return the least epsilon of a finished list of spends; the order may be chosen, the list is over."""
    spends = list(spends)
    if all(spend.sgd is None for spend in spends):
        return epsilon_of_rho(sum(spend.rho for spend in spends), delta)
    return min(
        epsilon_at(sum(spend.renyi(order) for spend in spends), order, delta) for order in ORDERS
    )


@dataclass(frozen=True)
class Filter:
    """A budget of (epsilon, delta) as a limit at one order: spends may add up to `limit` there."""

    epsilon: float
    delta: float
    order: float
    limit: float

    @classmethod
    def of(cls, epsilon: float, delta: float) -> Filter:
        """Return the order at which the budget buys the most Gaussian noise; by the budget alone."""
        if not (epsilon > 0 and 0 < delta < 1):
            raise InputError(
                f"a budget of epsilon {epsilon} at delta {delta}; give epsilon above 0 and delta "
                "between 0 and 1, such as epsilon = 1.0 and delta = 1e-6"
            )

        def buys(order: float) -> float:
            return epsilon - math.log1p(-1 / order) + math.log(delta * order) / (order - 1)

        order = max(ORDERS, key=lambda each: buys(each) / each)
        if buys(order) <= 0:
            raise InputError(f"epsilon {epsilon} at delta {delta} pays for no release; raise one")
        return cls(epsilon, delta, order, buys(order))

    @property
    def rho(self) -> float:
        """The budget in zCDP, where only Gaussian releases are paid from it."""
        return self.limit / self.order

    def spent(self, spends: Iterable[Spend]) -> float:
        """Return what `spends` add up to, in the unit of `limit`."""
        return math.fsum(spend.renyi(self.order) for spend in spends)

    def admits(self, earlier: Iterable[Spend], spend: Spend) -> bool:
        """Return whether `spend` still fits; may be asked again and again with what came of it."""
        # So little that no rounding of the sum can refuse the last of an exact division.
        return self.spent([*earlier, spend]) <= self.limit * (1 + 1e-9)

    def epsilon_with(self, spends: Iterable[Spend]) -> float:
        """Return the epsilon reached at the filter's order: at most `epsilon` while it admits."""
        return epsilon_at(self.spent(spends), self.order, self.delta)


def sgd_renyi(run: SgdRun, order: float) -> float:
    """Return the Rényi divergence of a run of DP-SGD whose noise is a discrete Gaussian.

    At a whole order the moments of a discrete Gaussian that is moved by a whole vector are those of
    the continuous one, and so is their binomial sum over who was sampled (Mironov et al. 2019). In
    between, (order - 1) times the divergence is convex in the order and 0 at 1: it is at most what a
    straight line between the whole orders says. See docs/privacy.md.
    """
    below, above = math.floor(order), math.ceil(order)
    if below == above:
        return _sgd_renyi_at_whole(run, below)
    share = order - below
    line = share * (above - 1) * _sgd_renyi_at_whole(run, above)
    if below > 1:
        line += (1 - share) * (below - 1) * _sgd_renyi_at_whole(run, below)
    return line / (order - 1)


@functools.lru_cache(maxsize=8 * len(ORDERS))  # of fewer, a pass over all orders would keep none
def _sgd_renyi_at_whole(run: SgdRun, order: int) -> float:
    """Return what Opacus computes, with a little more for its rounding."""
    from opacus.accountants.analysis.rdp import compute_rdp

    renyi = compute_rdp(
        q=run.sample_rate,
        noise_multiplier=run.noise_multiplier,
        steps=run.steps,
        orders=[order],
    )
    # At orders far beyond 1000 it overflows to nan, which every comparison would let through.
    return float(renyi[0]) * (1 + 1e-9) if math.isfinite(renyi[0]) else math.inf


def sgd_run_within(limit: float, order: float, sample_rate: float, steps: int) -> SgdRun:
    """Return the run of DP-SGD with the least noise whose Rényi divergence at `order` is within `limit`.

    Args:
        limit: of the divergence.
        order: Rényi's, above 1.
        sample_rate: the chance of a record to be in a batch.
        steps: of the run.
    """
    quiet, loud = 0.1, 1.0
    while sgd_renyi(SgdRun(sample_rate, loud, steps), order) > limit:
        quiet, loud = loud, 2 * loud
    while loud - quiet > 1e-4 * loud:
        middle = (quiet + loud) / 2
        if sgd_renyi(SgdRun(sample_rate, middle, steps), order) > limit:
            quiet = middle
        else:
            loud = middle
    return SgdRun(sample_rate, loud, steps)


def multiplier_for(rho: float) -> float:
    """Return the noise multiplier of a noised sum that costs no more than `rho`."""
    exact = math.sqrt(1 / (2 * rho))
    return math.nextafter(exact * (1 + 1e-12), math.inf)


def epsilon_by_pld(spends: Sequence[Spend], delta: float) -> float:
    """Return the epsilon of a list that was fixed in advance, by privacy loss distributions.

    Never a stopping rule. Needs dp-accounting: `pip install 'mycroft-fl[pld]'`.
    """
    try:
        from dp_accounting import GaussianDpEvent, PoissonSampledDpEvent, SelfComposedDpEvent
        from dp_accounting.pld import PLDAccountant
    except ImportError as error:
        raise InputError(
            "PLD needs dp-accounting; install it with pip install 'mycroft-fl[pld]'"
        ) from error
    accountant = PLDAccountant()
    for spend in spends:
        if spend.rho:
            accountant.compose(GaussianDpEvent(multiplier_for(spend.rho)))
        if spend.sgd:
            step = GaussianDpEvent(spend.sgd.noise_multiplier)
            sampled = PoissonSampledDpEvent(spend.sgd.sample_rate, step)
            accountant.compose(SelfComposedDpEvent(sampled, spend.sgd.steps))
    return float(accountant.get_epsilon(delta))


def _near(rho: float, delta: float) -> list[float]:
    """Return orders around the best one for zCDP, 1 + sqrt(ln(1/delta) / rho), closer than the grid."""
    best = 1 + math.sqrt(math.log(1 / delta) / rho)
    return [1 + (best - 1) * (0.5 + each / 200) for each in range(151)]
