"""Accounting: what Opacus, dp-accounting and closed forms say too, and a filter that holds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opacus.accountants.analysis.rdp import compute_rdp
from scipy import special
from scipy.stats import norm

from mycroft_fl.errors import InputError
from mycroft_fl.privacy.noise.accounting import (
    Filter,
    SgdRun,
    Spend,
    epsilon_at,
    epsilon_by_pld,
    epsilon_of,
    epsilon_of_rho,
    multiplier_for,
    sgd_renyi,
)

DELTA = 1e-5
GAUSSIANS = [Spend(rho=1 / 128)] * 20
SGD = Spend(sgd=SgdRun(sample_rate=0.05, noise_multiplier=1.0, steps=200))
budgets = st.tuples(st.floats(0.05, 20), st.floats(1e-9, 0.01))


def gaussian_delta(epsilon: float, mu: float) -> float:
    """The exact delta of Gaussians at mu (Balle & Wang 2018, Theorem 8)."""
    return float(
        norm.cdf(mu / 2 - epsilon / mu) - math.exp(epsilon) * norm.cdf(-mu / 2 - epsilon / mu)
    )


def test_known_figures() -> None:
    assert epsilon_of(GAUSSIANS, DELTA) == pytest.approx(2.452, abs=1e-3)
    assert epsilon_of([SGD], DELTA) == pytest.approx(5.371, abs=1e-3)


@given(st.floats(1e-4, 5), st.floats(1e-9, 0.01))
def test_the_epsilon_of_rho_covers_the_exact_gaussian_and_not_by_much(
    rho: float, delta: float
) -> None:
    epsilon = epsilon_of_rho(rho, delta)
    exact = gaussian_delta(epsilon, math.sqrt(2 * rho))
    assert exact <= delta
    assert gaussian_delta(0.8 * epsilon - 0.05, math.sqrt(2 * rho)) > delta


def test_dp_sgd_is_what_two_other_accountants_say() -> None:
    from dp_accounting import GaussianDpEvent, PoissonSampledDpEvent, SelfComposedDpEvent
    from dp_accounting.rdp import RdpAccountant
    from opacus.accountants import RDPAccountant

    ours = epsilon_of([SGD], DELTA)
    opacus = RDPAccountant()
    opacus.history = [(1.0, 0.05, 200)]
    assert ours == pytest.approx(opacus.get_epsilon(DELTA), rel=0.01)
    google = RdpAccountant()
    google.compose(SelfComposedDpEvent(PoissonSampledDpEvent(0.05, GaussianDpEvent(1.0)), 200))
    assert ours == pytest.approx(google.get_epsilon(DELTA), rel=0.01)


def test_pld_is_tighter_than_what_is_enforced() -> None:
    assert epsilon_by_pld(GAUSSIANS, DELTA) == pytest.approx(2.258, abs=0.002)
    assert epsilon_by_pld([SGD], DELTA) == pytest.approx(4.766, abs=0.002)
    both = [*GAUSSIANS, SGD]
    assert epsilon_by_pld(both, DELTA) < epsilon_of(both, DELTA)


def test_the_order_of_a_budget_is_beyond_those_that_opacus_tries_where_it_is_small() -> None:
    assert Filter.of(0.1, DELTA).order > 63


@given(budgets)
def test_a_filter_spent_to_the_last_promises_its_epsilon_and_no_more(
    budget: tuple[float, float],
) -> None:
    epsilon, delta = budget
    try:
        limits = Filter.of(epsilon, delta)
    except InputError:
        assert epsilon < 0.1
        return
    spent = [Spend(rho=limits.rho / 10)] * 10
    assert limits.admits(spent[:9], spent[9])
    assert not limits.admits(spent, Spend(rho=limits.rho / 1000))
    assert limits.epsilon_with(spent) <= epsilon * (1 + 1e-6)
    assert epsilon_of_rho(limits.rho, delta) <= epsilon * (1 + 1e-6)
    assert epsilon_of_rho(limits.rho, delta) >= 0.97 * epsilon


@given(st.lists(st.floats(0, 0.02), max_size=60))
def test_no_sequence_that_a_filter_admits_passes_its_budget(rhos: list[float]) -> None:
    limits, spent = Filter.of(1.0, DELTA), list[Spend]()
    for rho in rhos:
        if limits.admits(spent, Spend(rho=rho)):
            spent.append(Spend(rho=rho))
    assert epsilon_of_rho(sum(each.rho for each in spent), DELTA) <= 1.0 + 1e-6


def test_the_order_is_fixed_by_the_budget_and_never_by_what_was_spent() -> None:
    limits = Filter.of(3.0, DELTA)
    mixed = [Spend(rho=0.01), Spend(sgd=SgdRun(0.01, 2.0, 100))]
    assert limits.admits([], mixed[0])
    assert limits.admits(mixed[:1], mixed[1])
    expected = limits.order * 0.01 + sgd_renyi(SgdRun(0.01, 2.0, 100), limits.order)
    assert limits.spent(mixed) == pytest.approx(expected)
    assert limits.epsilon_with(mixed) <= 3.0


def test_what_the_best_order_or_pld_would_still_admit_is_refused() -> None:
    # A stopping rule must not look at what was spent to choose its order, nor be a PLD.
    run = Spend(sgd=SgdRun(sample_rate=0.02, noise_multiplier=1.5, steps=10))
    limits, spent = Filter.of(2.5, DELTA), list[Spend]()
    while limits.admits(spent, run):
        spent.append(run)
    assert spent
    assert epsilon_of([*spent, run], DELTA) <= 2.5
    assert epsilon_by_pld([*spent, run], DELTA) <= 2.5
    assert not limits.admits(spent, run)


@pytest.mark.parametrize("at", [0, 1])
def test_what_is_not_a_number_is_never_admitted(at: int) -> None:
    for price in (math.nan, math.inf, -1e-9):
        with pytest.raises(ValueError, match="finite and at least 0"):
            Spend(rho=price)
    # Opacus overflows at such orders.
    assert sgd_renyi(SgdRun(0.05, 1.0, 200), 3000.0 + at) == math.inf
    with pytest.raises(ValueError, match="not a number"):
        epsilon_at(math.nan, 2.0, DELTA)


@pytest.mark.parametrize("budget", [(0.0, 1e-5), (-1.0, 1e-5), (1.0, 0.0), (1.0, 1.0)])
def test_a_budget_that_is_none_is_an_error_that_shows_one(budget: tuple[float, float]) -> None:
    with pytest.raises(InputError, match=r"such as epsilon = 1.0 and delta = 1e-6"):
        Filter.of(*budget)


def test_a_budget_too_small_for_any_order_says_so() -> None:
    with pytest.raises(InputError, match="pays for no release"):
        Filter.of(1e-4, 1e-9)


@given(st.floats(1e-6, 10))
def test_the_multiplier_for_a_price_costs_no_more(rho: float) -> None:
    multiplier = multiplier_for(rho)
    assert 1 / (2 * multiplier**2) <= rho
    assert np.isclose(1 / (2 * multiplier**2), rho)


def test_nothing_spent_promises_everything() -> None:
    assert epsilon_of([], DELTA) == 0.0
    assert epsilon_of_rho(0.0, DELTA) == 0.0


def discrete(sigma: float, shift: int, reach: int = 400) -> np.ndarray:
    """P(x) ~ exp(-(x - shift)^2 / (2 sigma^2)) on the integers from -reach to reach."""
    x = np.arange(-reach, reach + 1)
    weights = np.exp(-((x - shift) ** 2) / (2 * sigma**2))
    found: np.ndarray = weights / weights.sum()
    return found


def divergence(p: np.ndarray, q: np.ndarray, order: float) -> float:
    """Of two distributions, term by term, where neither is so small that it is not there."""
    there = (p > 1e-290) & (q > 1e-290)
    terms = order * np.log(p[there]) + (1 - order) * np.log(q[there])
    return float(special.logsumexp(terms)) / (order - 1)


@pytest.mark.parametrize("order", [1.05, 1.5, 2, 2.5, 3, 4, 5.75, 8])
@pytest.mark.parametrize(("rate", "sigma", "shift"), [
    (0.05, 0.5, 1), (0.25, 1.0, 1), (0.25, 3.0, 2), (0.9, 4.0, 3), (0.01, 2.5, 4),
])  # fmt: skip
def test_a_sampled_discrete_gaussian_costs_no_more_than_it_is_charged_in_both_directions(
    rate: float, sigma: float, shift: int, order: float
) -> None:
    without, moved = discrete(sigma, 0), discrete(sigma, shift)
    with_unit = (1 - rate) * without + rate * moved
    charged = sgd_renyi(SgdRun(rate, sigma / shift, 1), order)
    removed = divergence(with_unit, without, order)
    added = divergence(without, with_unit, order)
    assert added <= removed * (1 + 1e-9)
    assert removed <= charged * (1 + 1e-9)
    if order == int(order):  # and no less: the moments are the same
        assert charged == pytest.approx(removed, rel=1e-6)


def test_two_numbers_of_an_answer_cost_what_one_of_their_length_does() -> None:
    # Of (3, 4) in the plane, whose length is 5.
    rate, sigma, order = 0.2, 4.0, 3
    x = np.arange(-60, 61)
    plane = np.exp(-(x[:, None] ** 2 + x[None] ** 2) / (2 * sigma**2))
    there = np.exp(-((x[:, None] - 3) ** 2 + (x[None] - 4) ** 2) / (2 * sigma**2))
    without, moved = plane / plane.sum(), there / there.sum()
    found = divergence((1 - rate) * without + rate * moved, without, order)
    assert sgd_renyi(SgdRun(rate, sigma / 5, 1), order) == pytest.approx(found, rel=1e-6)


def test_between_whole_orders_the_charge_is_above_the_continuous_gaussians_and_near_it() -> None:
    run = SgdRun(0.05, 1.0, 100)
    for order in (1.5, 2.25, 6.8, 9.5):
        plain = compute_rdp(q=0.05, noise_multiplier=1.0, steps=100, orders=[order])[0]
        assert plain <= sgd_renyi(run, order) <= 1.6 * plain
