"""Noise: the right distribution, exact where floats cannot tell, never from the run's seed."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mycroft_fl.privacy.noise import samplers as module
from mycroft_fl.privacy.noise.samplers import (
    OS_ENTROPY,
    Noise,
    coins,
    discrete_gaussian,
    exp_coins,
    simulated,
    uniform_below,
)

LEAST_P = 1e-6
"""Of a fixed seed, so a test that passes once passes for ever."""


def gaussian_chances(sigma: int, reach: int) -> np.ndarray:
    """P(-reach..reach) of the discrete Gaussian, summed in floats."""
    x = np.arange(-reach, reach + 1)
    weights = np.exp(-(x**2) / (2 * sigma**2))
    return weights / np.exp(-(np.arange(-60 * sigma, 60 * sigma + 1) ** 2) / (2 * sigma**2)).sum()


@pytest.mark.parametrize("sigma", [1, 2, 7, 40])
@pytest.mark.parametrize("origin", ["seeded", "entropy"])
def test_every_integer_comes_up_as_often_as_the_discrete_gaussian_says(
    sigma: int, origin: str
) -> None:
    source = simulated(sigma) if origin == "seeded" else OS_ENTROPY
    drawn = discrete_gaussian(100_000, sigma, source)
    reach = 3 * sigma
    expected = gaussian_chances(sigma, reach) * len(drawn)
    inside = np.bincount(drawn[np.abs(drawn) <= reach] + reach, minlength=2 * reach + 1)
    observed = np.append(inside, len(drawn) - inside.sum())
    expected = np.append(expected, len(drawn) - expected.sum())
    assert stats.chisquare(observed, expected).pvalue > (LEAST_P if origin == "seeded" else 1e-9)


def test_a_wide_gaussian_is_the_continuous_one_to_the_eye() -> None:
    drawn = discrete_gaussian(50_000, 2**30, simulated(3)) / 2**30
    assert stats.kstest(drawn, "norm").pvalue > LEAST_P


def test_draws_are_independent_of_each_other() -> None:
    drawn = discrete_gaussian(100_000, 5, simulated(9)).astype(float)
    assert abs(np.corrcoef(drawn[:-1], drawn[1:])[0, 1]) < 0.015


@pytest.mark.parametrize("margin", [module.MARGIN, 0.5, 2.0])
def test_an_outcome_hangs_on_the_bytes_alone_and_not_on_what_floats_could_settle(
    margin: float,
) -> None:
    # With a margin of 2 no coin is settled by floats: all are decided by decimals.
    numerators = np.arange(600) % 37
    exponents = numerators / 11

    def exact(place: int) -> Fraction:
        return Fraction(int(numerators[place]), 11)

    settled = exp_coins(exponents, exact, simulated(4))
    assert np.array_equal(exp_coins(exponents, exact, simulated(4), margin=margin), settled)


def test_coins_that_a_float_cannot_settle_read_on_until_they_are_settled() -> None:
    # The first 53 digits of exp(-1), then as many that decide.
    prefix = int(Decimal(-1).exp() * 2**53)

    def bytes_of(follow: int):
        supply = iter([(prefix << 11).to_bytes(8, "little"), follow.to_bytes(8, "big")])
        return Noise(lambda count: next(supply), "SIMULATED")

    low = exp_coins(np.ones(1), lambda place: Fraction(1), bytes_of(0))
    high = exp_coins(np.ones(1), lambda place: Fraction(1), bytes_of(2**64 - 1))
    assert low.tolist() == [True]
    assert high.tolist() == [False]


@given(st.fractions(0, 30), st.integers(0, 2**53 - 1))
def test_the_exact_coin_agrees_with_many_digits(exponent: Fraction, prefix: int) -> None:
    from mpmath import mp, mpf  # torch brings it

    mp.dps = 60
    chance = mp.exp(-mpf(exponent.numerator) / exponent.denominator)
    output = module._is_below_exp(prefix, exponent, Noise(lambda count: bytes(count), "SIMULATED"))
    # All further digits are 0, so the number is exactly prefix / 2**53.
    assert output == (mpf(prefix) / 2**53 < chance)


def test_an_exponent_of_zero_always_comes_up_and_a_huge_one_never() -> None:
    assert exp_coins(np.zeros(1000), lambda place: Fraction(0), simulated(0)).all()
    huge = exp_coins(np.full(1000, 5000.0), lambda place: Fraction(5000), simulated(0))
    assert not huge.any()


@pytest.mark.parametrize("n", [1, 2, 3, 10, 2**20 + 1])
def test_uniform_draws_are_uniform(n: int) -> None:
    drawn = uniform_below(50_000, n, simulated(1))
    assert drawn.min() >= 0
    assert drawn.max() < n
    if 1 < n < 100:
        assert stats.chisquare(np.bincount(drawn, minlength=n)).pvalue > LEAST_P


def test_simulated_noise_can_be_repeated_and_says_what_it_is() -> None:
    assert simulated(5).origin == "SIMULATED"
    assert OS_ENTROPY.origin == "os-entropy"
    first, again = (discrete_gaussian(50, 9, simulated(5)) for _ in range(2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, discrete_gaussian(50, 9, simulated(6)))


def test_real_noise_takes_no_seed() -> None:
    np.random.seed(0)
    first = discrete_gaussian(50, 1000, OS_ENTROPY)
    np.random.seed(0)
    assert not np.array_equal(first, discrete_gaussian(50, 1000, OS_ENTROPY))


@pytest.mark.parametrize("sigma", [0, -1, 2**40 + 1])
def test_a_sigma_out_of_range_is_refused(sigma: int) -> None:
    with pytest.raises(ValueError, match="it must be a whole number from 1"):
        discrete_gaussian(1, sigma, OS_ENTROPY)


@pytest.mark.parametrize("chance", [0.0, 2.0**-70, 0.05, 0.5, 0.999, 1.0])
def test_a_coin_is_true_as_often_as_its_chance_says(chance: float) -> None:
    drawn = coins(200_000, Fraction(chance), simulated(0))
    error = 5 * math.sqrt(chance * (1 - chance) / 200_000)
    assert drawn.mean() == pytest.approx(chance, abs=error + 1e-12)


@pytest.mark.parametrize("chance", [Fraction(1, 3), Fraction(2, 3), Fraction(5, 2**66)])
def test_a_coin_that_is_not_settled_by_64_digits_is_settled_by_the_next(chance: Fraction) -> None:
    first = math.floor(chance * 2**64)
    second = math.floor((chance * 2**64 - first) * 2**64)

    def after(words: list[int]) -> Noise:
        output = b"".join(int(word).to_bytes(8, "little") for word in words)
        left = bytearray(output)

        def draw(size: int) -> bytes:
            taken = bytes(left[:size])
            del left[:size]
            return taken

        return Noise(draw, "SIMULATED")

    assert coins(1, chance, after([first, second - 1]))[0]
    assert not coins(1, chance, after([first, second + 1]))[0]
    if first:
        assert coins(1, chance, after([first - 1]))[0]
    assert not coins(1, chance, after([first + 1]))[0]


@pytest.mark.parametrize("chance", [Fraction(-1, 2), Fraction(3, 2)])
def test_what_is_no_chance_is_refused(chance: Fraction) -> None:
    with pytest.raises(ValueError, match="it must be from 0 to 1"):
        coins(1, chance, simulated(0))
