"""Mechanisms: no record can add more than the bound, whatever it holds."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from mycroft_fl.privacy.attacks.probing import inclusion_of_the_only_useful
from mycroft_fl.privacy.noise import mechanisms
from mycroft_fl.privacy.noise.mechanisms import (
    BLOCK,
    STRONGEST,
    UNITS,
    Crowd,
    choice_price,
    drawn_by_utility,
    exact_sum,
    finite,
    noised_sum,
    price,
    quantised,
    sigma_units,
    strength_by_count,
    strength_within,
)
from mycroft_fl.privacy.noise.samplers import simulated

ONE = Fraction(1)
rows_of_any_size = arrays(
    np.float64,
    st.tuples(st.integers(1, 6), st.integers(1, 5)),
    elements=st.floats(allow_nan=False, allow_infinity=False, width=64),
)


# A bound whose root is a whole number as a float, and is not.
@example(np.array([[5.0], [1.0]]), 1 - Fraction(1, 10**30))
@given(rows_of_any_size, st.fractions(Fraction(1, 1000), 1000))
def test_no_row_is_longer_than_the_bound_in_whole_numbers(
    rows: np.ndarray, bound_squared: Fraction
) -> None:
    whole = quantised(rows, bound_squared)
    for row in whole.tolist():
        assert sum(each**2 for each in row) <= bound_squared * UNITS**2


@given(rows_of_any_size)
@example(np.array([[0.75, -0.75]]) / UNITS)
def test_truncation_goes_toward_zero_and_turns_no_sign(rows: np.ndarray) -> None:
    whole = quantised(rows, Fraction(10))
    assert (whole * np.sign(rows) >= 0).all()
    assert (np.abs(whole) <= np.minimum(np.abs(rows), 10) * UNITS).all()


def test_a_row_within_the_bound_keeps_its_value_and_a_longer_one_its_direction() -> None:
    rows = np.array([[0.5, -0.25], [3.0, 4.0]])
    whole = quantised(rows, ONE) / UNITS
    assert whole[0].tolist() == [0.5, -0.25]
    assert np.allclose(whole[1], [0.6, 0.8], atol=2 / UNITS)


def test_rounding_to_the_nearest_would_have_broken_the_bound() -> None:
    # Each value rounds up: only truncation keeps the row below the bound.
    row = np.full((1, 400), 0.05)
    assert (np.round(row * UNITS).astype(np.int64) ** 2).sum() > UNITS**2
    assert (quantised(row, ONE) ** 2).sum() <= UNITS**2


@pytest.mark.parametrize(("records", "size"), [(700, 300), (3, BLOCK + 1), (1, 1), (0, 5)])
def test_a_sum_in_blocks_is_the_sum_of_every_row(records: int, size: int) -> None:
    rows = np.random.default_rng(0).normal(size=(records, size))
    assert np.array_equal(exact_sum(rows, ONE), quantised(rows, ONE).sum(axis=0))


def test_what_a_row_gives_hangs_on_that_row_alone() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(30, 4)) * 3
    together = quantised(rows, ONE)
    alone = np.concatenate([quantised(row[None], ONE) for row in rows])
    assert np.array_equal(together, alone)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_record_that_is_not_finite_is_left_out_and_voids_nothing(bad: float) -> None:
    rows = np.array([[0.1, 0.2], [bad, 0.0], [0.3, 0.1]])
    assert finite(rows).tolist() == [True, False, True]
    with pytest.raises(ValueError, match="not finite; drop such records first"):
        quantised(rows, ONE)
    with_bad = noised_sum(rows, ONE, 2.0, simulated(0)).values
    without = noised_sum(rows[[0, 2]], ONE, 2.0, simulated(0)).values
    assert np.array_equal(with_bad, without)


@settings(max_examples=50)
@given(rows_of_any_size, st.integers(0, 5))
def test_one_record_moves_the_sum_by_no_more_than_the_bound(rows: np.ndarray, at: int) -> None:
    at %= len(rows)
    with_it = noised_sum(rows, ONE, 1.0, simulated(7)).values
    without = noised_sum(np.delete(rows, at, axis=0), ONE, 1.0, simulated(7)).values
    assert ((with_it - without) ** 2).sum() <= 1.0


def test_all_records_of_one_person_move_the_sum_by_no_more_than_the_bound() -> None:
    rows = np.full((50, 2), 0.7)
    persons = np.array(["a"] * 49 + ["b"])
    by_person = noised_sum(rows, ONE, 1.0, simulated(7), persons=persons).values
    only_b = noised_sum(rows[49:], ONE, 1.0, simulated(7), persons=persons[49:]).values
    assert np.linalg.norm(by_person - only_b) <= 1.0
    by_record = noised_sum(rows, ONE, 1.0, simulated(7)).values
    assert np.linalg.norm(by_record - only_b) > 40


@given(st.lists(st.integers(0, 9), max_size=60), st.integers(1, 8), st.integers(0, 10**6))
def test_persons_summed_a_few_at_a_time_add_what_each_adds_alone(
    persons: list[int], block: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(len(persons), 3)) * rng.choice([0.1, 3, np.nan], len(persons))[:, None]
    whose = np.array(persons, np.int64)
    expected = np.zeros(3, np.int64)
    for person in set(persons):
        own = rows[(whose == person) & np.isfinite(rows).all(axis=1)]
        together = quantised(own, ONE).sum(axis=0) / UNITS
        expected += quantised(together[None], ONE)[0]
    with patch.object(mechanisms, "BLOCK", block):
        assert np.array_equal(exact_sum(rows, ONE, persons=whose), expected)


def test_an_owner_without_records_answers_with_noise_all_the_same() -> None:
    empty = noised_sum(np.empty((0, 3)), ONE, 4.0, simulated(1))
    assert empty.values.shape == (3,)
    assert np.abs(empty.values).max() > 0


@given(st.floats(0.01, 1000), st.fractions(Fraction(1, 100), 1000))
def test_the_noise_is_never_smaller_than_what_was_paid_for(
    noise_multiplier: float, bound_squared: Fraction
) -> None:
    sigma = sigma_units(bound_squared, noise_multiplier)
    exact_rho = bound_squared * UNITS**2 / (2 * Fraction(sigma) ** 2)
    assert exact_rho <= Fraction(1, 2) / Fraction(noise_multiplier) ** 2 <= price(noise_multiplier)


def test_what_leaves_is_whole_65536ths_and_hangs_on_the_source_alone() -> None:
    rows = np.random.default_rng(2).normal(size=(40, 5))
    first, again = (noised_sum(rows, ONE, 2.0, simulated(4)).values for _ in range(2))
    assert np.array_equal(first, again)
    assert np.array_equal(first * UNITS, np.round(first * UNITS))


def test_the_sum_is_the_sum_and_the_noise_has_the_stated_size() -> None:
    rng = np.random.default_rng(1)
    rows = rng.uniform(-0.5, 0.5, size=(200, 2))
    sums = np.array([noised_sum(rows, ONE, 3.0, simulated(seed)).values for seed in range(2000)])
    output = noised_sum(rows, ONE, 3.0, simulated(0))
    assert output.sigma == pytest.approx(3.0, rel=1e-4)
    assert np.allclose(sums.mean(axis=0), rows.sum(axis=0), atol=0.3)
    assert np.allclose(sums.std(axis=0), output.sigma, rtol=0.06)


# Examples drawn by utility


def chance_of(order: tuple[int, ...], utilities: np.ndarray, strength: float) -> float:
    """The probability of drawing exactly these, in this order: a product of shares."""
    weights, chance = np.exp(strength * utilities), 1.0
    left = weights.sum()
    for index in order:
        chance *= weights[index] / left
        left -= weights[index]
    return chance


def test_each_ordered_choice_comes_up_as_often_as_its_probability_says() -> None:
    utilities = np.array([1.0, 0.0, 0.5, 0.0, 1.0])
    levels = (utilities * UNITS).astype(np.int64)
    source = simulated(11)
    orders = list(itertools.permutations(range(5), 2))
    counts = dict.fromkeys(orders, 0)
    for _ in range(6000):
        counts[tuple(drawn_by_utility(levels, 2, 1.5, source).tolist())] += 1
    expected = [6000 * chance_of(order, utilities, 1.5) for order in orders]
    assert stats.chisquare(list(counts.values()), expected).pvalue > 1e-6


def test_no_index_is_drawn_twice_and_never_more_than_there_are() -> None:
    drawn = drawn_by_utility(np.zeros(7, np.int64), 50, 4.0, simulated(2))
    assert sorted(drawn.tolist()) == list(range(7))
    assert len(drawn_by_utility(np.empty(0, np.int64), 3, 4.0, simulated(2))) == 0


@pytest.mark.parametrize("levels", [[-1, 0], [0, UNITS + 1]])
def test_a_utility_out_of_its_range_is_refused(levels: list[int]) -> None:
    with pytest.raises(ValueError, match="levels go from"):
        drawn_by_utility(np.array(levels), 1, 4.0, simulated(0))


def test_the_price_of_a_choice_bounds_every_set_exactly() -> None:
    n, k, strength = 7, 2, 2.0
    rng = np.random.default_rng(0)
    bound = choice_price(k, strength, n)
    # The first is the worst: nobody else is useful.
    for utilities in (np.zeros(n), *rng.uniform(size=(20, n))):
        utilities[0] = 1.0
        for without in itertools.permutations(range(1, n), k):
            with_x = chance_of(without, utilities, strength)
            shifted = tuple(each - 1 for each in without)
            no_x = chance_of(shifted, utilities[1:], strength)
            assert with_x <= no_x <= math.exp(bound) * with_x
        picked = sum(
            chance_of(order, utilities, strength)
            for order in itertools.permutations(range(n), k)
            if 0 in order
        )
        assert picked <= 1 - math.exp(-bound)


def test_a_crowd_of_useful_records_lowers_the_price_and_it_still_bounds_every_set_exactly() -> None:
    n, k, strength, useful = 8, 2, 2.5, 5
    utilities = np.array([1.0] * useful + [0.0] * (n - useful))
    bound = choice_price(k, strength, n, useful)
    assert bound < choice_price(k, strength, n)
    worst = 0.0
    for without in itertools.permutations(range(1, n), k):
        with_x = chance_of(without, utilities, strength)
        no_x = chance_of(tuple(each - 1 for each in without), utilities[1:], strength)
        worst = max(worst, math.log(no_x / with_x))
    assert 0.8 * bound <= worst <= bound
    drawn = [order for order in itertools.permutations(range(n), k) if 0 in order]
    assert sum(chance_of(o, utilities, strength) for o in drawn) <= 1 - math.exp(-bound)


def test_utilities_count_only_where_enough_records_are_surely_useful() -> None:
    crowd = Crowd(at_least=100, noise_multiplier=5.0, delta=1e-5)
    margin = 5.0 * math.sqrt(2 * math.log(1e5))
    for useful, expected in ((0, 0.0), (100, 0.0), (int(100 + 2 * margin), 4.0)):
        levels = np.array([UNITS] * useful + [0] * 400 + [UNITS - 1] * 300)
        output = {strength_by_count(levels, 4.0, crowd, simulated(seed)) for seed in range(200)}
        assert output == {expected}


def test_the_count_is_noised_as_much_as_is_paid_for() -> None:
    crowd, levels = Crowd(100, 5.0, 0.999999), np.full(103, UNITS)
    passed = [strength_by_count(levels, 1.0, crowd, simulated(seed)) for seed in range(3000)]
    margin = 5.0 * math.sqrt(2 * math.log(1 / crowd.delta))
    assert np.mean(passed) == pytest.approx(stats.norm.sf((margin - 3) / 5), abs=0.03)


def test_a_choice_with_nobody_to_hide_among_has_no_price() -> None:
    with pytest.raises(ValueError, match="cannot hide"):
        choice_price(5, 4.0, 5)


@given(
    k=st.integers(1, 50),
    n=st.integers(100, 10_000),
    useful=st.integers(0, 2000),
    budget=st.floats(0.001, 5.0),
)
def test_the_strength_of_a_budget_is_the_most_that_it_pays_for(
    k: int, n: int, useful: int, budget: float
) -> None:
    if choice_price(k, 0.0, n, useful) >= budget:
        with pytest.raises(ValueError, match="whatever the strength"):
            strength_within(budget, k, n, useful)
        return
    strength = strength_within(budget, k, n, useful)
    assert choice_price(k, strength, n, useful) <= budget
    assert strength == STRONGEST or choice_price(k, strength + 1e-6, n, useful) > budget * (
        1 - 1e-6
    )


def test_the_strength_for_one_in_twenty_gives_no_probe_a_record_more_often() -> None:
    n, k, epsilon_minus = 10_000, 50, -math.log(0.95)
    for useful in (0, 860):
        strength = strength_within(epsilon_minus, k, n, useful)
        assert inclusion_of_the_only_useful(n, k, strength, max(0, useful - 1)) <= 0.05
    assert strength >= 4
