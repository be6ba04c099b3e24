"""Audits: the code keeps its claims, and every known bug that is planted shows."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from mycroft_fl.privacy.audits import catalogue as audits
from mycroft_fl.privacy.audits.bounds import (
    audit,
    drawing_loss,
    drawing_probabilities,
    gaussian_epsilon,
    membership_ceiling,
)
from mycroft_fl.privacy.audits.seeded_bugs import BUGS, caught


@pytest.fixture(autouse=True)
def fewer_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audits, "RUNS", 60_000)
    monkeypatch.setattr(audits, "DRAWS", 4000)


EVERY = list(dict.fromkeys(each for chosen in audits.audits_by_name().values() for each in chosen))


def slowest(named: list, name: str) -> list:
    """Mark those that draw exact noise for many owners in Python: half a minute each, and more."""
    return [
        pytest.param(each, marks=pytest.mark.slow) if name in str(each) else each for each in named
    ]


@pytest.mark.parametrize(
    "audited", slowest(EVERY, "audit_published"), ids=lambda each: each.__name__
)
def test_the_code_keeps_what_it_claims(audited) -> None:
    found = list(audited())
    assert found
    assert [finding for finding in found if not finding.holds] == []


@pytest.mark.parametrize("name", slowest(list(BUGS), "published scores"))
def test_a_planted_bug_is_caught(name: str) -> None:
    assert caught(name)


def test_at_least_eight_bugs_are_planted() -> None:
    assert len(BUGS) >= 8


@pytest.mark.parametrize("mu", [0.5, 1.0, 2.0, 4.0])
def test_the_bounds_of_a_true_gaussian_are_below_and_near_what_it_is(mu: float) -> None:
    rng = np.random.default_rng(0)
    found = audit(rng.normal(mu, 1, 200_000), rng.normal(0, 1, 200_000), delta=1e-5)
    assert 0.9 * mu <= found.mu <= mu
    assert 0 < found.epsilon <= gaussian_epsilon(mu, 1e-5)


def test_two_outputs_alike_show_nothing() -> None:
    rng = np.random.default_rng(1)
    found = audit(rng.normal(size=50_000), rng.normal(size=50_000), delta=1e-5)
    assert found.epsilon <= 0.05
    assert found.mu <= 0.05


def test_an_event_that_only_one_side_has_shows_whatever_the_epsilon() -> None:
    rng = np.random.default_rng(2)
    one = rng.normal(size=50_000)
    one[::90] = 50.0  # with a probability of 1.1 %, and never on the other side
    assert audit(one, rng.normal(size=50_000), delta=1e-6).breaks(1.0)


@pytest.mark.parametrize("mu", [0.3, 1.0, 3.0])
def test_the_exact_epsilon_of_a_gaussian_has_its_delta(mu: float) -> None:
    epsilon = gaussian_epsilon(mu, 1e-5)
    # The privacy profile, integrated where the likelihood ratio is above e^epsilon.
    cut = epsilon / mu + mu / 2
    delta = stats.norm.sf(cut - mu) - math.exp(epsilon) * stats.norm.sf(cut)
    assert delta == pytest.approx(1e-5, rel=1e-3)


def test_the_probabilities_of_all_sets_add_up_to_one() -> None:
    chances = drawing_probabilities(np.array([0.2, 1.0, 0.0, 0.5]), 2, 3.0)
    assert sum(chances.values()) == pytest.approx(1.0)
    assert len(chances) == 6


def test_the_loss_of_a_draw_agrees_with_a_count_by_hand() -> None:
    # One of two records of equal utility: without x the other is drawn for certain.
    epsilon, chance = drawing_loss(np.zeros(2), 1, 1.0, 0)
    assert (epsilon, chance) == (pytest.approx(math.log(2)), pytest.approx(0.5))


def test_no_membership_inference_beats_its_ceiling_and_the_best_one_meets_it() -> None:
    rng = np.random.default_rng(3)
    members, others = rng.normal(1.0, 1, 100_000), rng.normal(0, 1, 100_000)
    auc = stats.mannwhitneyu(members, others).statistic / 1e10
    assert auc == pytest.approx(membership_ceiling(1.0), abs=0.005)
