"""The score by a detector's region: a count, corrected by rehearsal, against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from mycroft_fl.protocol.detector import Detector
from mycroft_fl.protocol.messages import COUNT_WEIGHT, COUNTS, Statistic
from mycroft_fl.scoring import MOST
from mycroft_fl.selection.detector import Rehearsed
from strategies.noised.scores import region_score

DETECTOR = Detector(
    None, False, np.zeros(1, np.float32), np.ones(1, np.float32), np.array([], np.int64),
    np.zeros((2, 3), np.float32), np.zeros(2, np.float32), 0.5,
)  # fmt: skip


def rehearsed(recall: float, alarms: float, others: int = 10**9) -> Rehearsed:
    return Rehearsed(DETECTOR, recall, alarms, others)


def counted(inside: float, records: float, sigma: float = 1.0) -> Statistic:
    counts = COUNT_WEIGHT * np.array([0.0, records - inside, inside])
    return Statistic(np.array([inside, *counts]), sigma)


@pytest.mark.parametrize("useful", [0.0, 0.03, 0.4, 1.0])
@pytest.mark.parametrize(("recall", "alarms"), [(1.0, 0.0), (0.6, 0.02), (0.5, 0.3)])
def test_from_the_expected_count_the_share_of_useful_records_comes_back(
    useful: float, recall: float, alarms: float
) -> None:
    records = 1000.0
    inside = records * (useful * recall + (1 - useful) * alarms)
    score, stock = region_score(counted(inside, records), rehearsed(recall, alarms), 0.95)
    assert score.gain == pytest.approx(useful, abs=1e-9)
    assert stock == pytest.approx(inside)


def test_the_interval_is_of_both_counts_noise_of_chance_and_of_the_alarms_own_uncertainty() -> None:
    recall, alarms, others, sigma, records = 0.7, 0.1, 96, 12.0, 400.0
    score, _ = region_score(counted(90.0, records, sigma), rehearsed(recall, alarms, others), 0.9)
    share = (alarms * others + 2) / (others + 4)
    useful = (90.0 / records - alarms) / (recall - alarms)
    variance = sum([
        sigma**2,
        COUNTS * (90.0 / records * sigma / COUNT_WEIGHT) ** 2,
        records * useful * recall * (1 - recall) + records * (1 - useful) * alarms * (1 - alarms),
        records**2 * share * (1 - share) / (others + 4),
    ])  # fmt: skip
    half = stats.norm.ppf(0.95) * np.sqrt(variance) / (records * (recall - alarms))
    assert (score.low, score.high) == pytest.approx((score.gain - half, score.gain + half))


@pytest.mark.parametrize(
    ("useful", "records", "alarms", "sigma"),
    [(0.1, 1000, 0.05, 10.0), (0.0, 200, 0.2, 1.0), (0.5, 300, 0.3, 10.0), (0.0, 5000, 0.1, 5.0)],
)
def test_over_many_draws_the_interval_covers_the_truth_as_often_as_it_says(
    useful: float, records: int, alarms: float, sigma: float
) -> None:
    rng, covered, runs = np.random.default_rng(0), 0, 2000
    recall, others = 0.6, 500
    for _ in range(runs):
        helping = round(useful * records)
        inside = rng.binomial(helping, recall) + rng.binomial(records - helping, alarms)
        counts = COUNT_WEIGHT * np.array([0, records - inside, inside])
        noisy = np.concatenate([[inside], counts]) + rng.normal(0, sigma, 1 + COUNTS)
        seen = rehearsed(recall, rng.binomial(others, alarms) / others, others)
        score, _ = region_score(Statistic(noisy, sigma), seen, 0.9)
        covered += score.low <= useful <= score.high
    assert covered / runs == pytest.approx(0.9, abs=0.03)


def test_a_region_no_better_than_chance_says_nothing_for_certain() -> None:
    score, stock = region_score(counted(-3.0, 100.0, 5.0), rehearsed(0.2, 0.4, 50), 0.95)
    assert (score.low, score.high) == (-1.0, 1.0)  # all shares that there are
    assert -1.0 <= score.gain <= 1.0
    assert stock == 0.0


def test_where_the_noise_leaves_no_record_the_count_is_taken_for_the_noise() -> None:
    score, _ = region_score(counted(2.0, -50.0, 8.0), rehearsed(1.0, 0.0), 0.95)
    assert score.gain == pytest.approx(2.0 / 8.0)


@pytest.mark.parametrize("claimed", [1e300, -1e300])
def test_whatever_an_owner_claims_its_stock_and_score_stay_within_what_a_result_can_hold(
    claimed: float,
) -> None:
    statistic = Statistic(np.array([claimed, 0.0, 0.0, 10.0]), 1.0)
    score, stock = region_score(statistic, rehearsed(0.6, 0.1), 0.95)
    assert 0 <= stock <= 20  # the records that it says it has
    assert max(map(abs, (score.gain, score.low, score.high))) <= 1


@pytest.mark.parametrize("claimed", [1e300, -1e300])
def test_an_owner_that_claims_any_number_of_records_has_a_finite_score_and_stock(
    claimed: float,
) -> None:
    statistic = Statistic(np.array([abs(claimed), 0.0, claimed, claimed]), 1.0)
    score, stock = region_score(statistic, rehearsed(0.6, 0.1), 0.95)
    assert 0 <= stock <= MOST
    assert max(map(abs, (score.gain, score.low, score.high))) <= 1
