"""Attacks: each gets what it should where nothing hinders it, and never more than is possible."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from scipy import stats

from mycroft_fl.examples import Examples
from mycroft_fl.models.networks import build
from mycroft_fl.privacy.attacks import findings
from mycroft_fl.privacy.attacks.membership import (
    Shadows,
    auc_between_models,
    auc_ceiling,
    confidences,
    likelihood_ratios,
    membership_auc,
    paired_shadows,
    shadows,
)
from mycroft_fl.privacy.attacks.probing import (
    drawn_share,
    half_known,
    inclusion_of_the_only_useful,
    most_similar,
)
from mycroft_fl.privacy.attacks.reconstruction import (
    features_within,
    identification_ceiling,
    identified,
    similarity,
)
from mycroft_fl.privacy.audits.bounds import (
    drawing_probabilities,
    gaussian_epsilon,
    membership_ceiling,
)
from mycroft_fl.privacy.noise.mechanisms import choice_price, noised_sum
from mycroft_fl.privacy.noise.samplers import simulated
from mycroft_fl.privacy.relevance.hard_set_target import RecordView


def ideal_shadows(mu: float, models: int = 64, records: int = 300) -> Shadows:
    """Confidences that are Gaussian, mu apart: what LiRA assumes, so that it is the best attack."""
    rng = np.random.default_rng(0)
    member = rng.random((models, records)).argsort(axis=0) < models // 2
    return Shadows(member, rng.normal(size=member.shape) + mu * member + rng.normal(size=records))


@pytest.mark.parametrize("mu", [0.0, 1.0, 2.5])
def test_membership_inference_meets_its_ceiling_where_all_is_gaussian(mu: float) -> None:
    found = membership_auc(ideal_shadows(mu))
    assert found.mean == pytest.approx(membership_ceiling(mu), abs=0.02)


def test_a_model_under_attack_plays_no_part_in_what_it_is_compared_with() -> None:
    plain = ideal_shadows(1.0)
    others, seen = np.delete(plain.confidence, 5, axis=0), plain.confidence[5]
    member = np.delete(plain.member, 5, axis=0)
    output = []
    for where in (member, ~member):
        means = np.ma.masked_array(others, ~where).mean(axis=0).data
        off = (others - means)[where]
        spread = np.sqrt((off**2).sum() / (len(off) - len(means)))
        output.append(stats.norm.logpdf(seen, means, spread))
    assert likelihood_ratios(plain)[5] == pytest.approx(output[0] - output[1])


def test_every_record_is_in_half_of_the_models_and_no_model_sees_another_record() -> None:
    pool = Examples(np.arange(12, dtype=np.float32)[:, None], np.zeros(12, np.int64))
    seen: list[set[float]] = []

    def fine_tune(acquired: Examples, seed: int) -> torch.nn.Module:
        seen.append(set(acquired.x[:, 0].tolist()))
        return build("linear", (1,), 2, seed=seed)

    found = shadows(fine_tune, pool, 8, seed=0)
    assert found.member.sum(axis=0).tolist() == [4] * 12
    assert [set(np.flatnonzero(row).tolist()) for row in found.member] == seen
    assert found.confidence.shape == (8, 12)


def paired(mu: float, pairs: int, records: int, seed: int = 0) -> Shadows:
    """As `ideal_shadows`, in pairs of which one has what the other has not."""
    rng = np.random.default_rng(seed)
    first = rng.random((pairs, records)) < 0.5
    member = np.stack([first, ~first], axis=1).reshape(2 * pairs, records)
    return Shadows(member, rng.normal(size=member.shape) + mu * member + rng.normal(size=records))


def test_of_a_pair_each_record_is_in_one_model_and_a_coin_says_in_which() -> None:
    pool = Examples(np.arange(500, dtype=np.float32)[:, None], np.zeros(500, np.int64))
    seen: list[set[float]] = []

    def fine_tune(acquired: Examples, seed: int) -> torch.nn.Module:
        seen.append(set(acquired.x[:, 0].tolist()))
        return build("linear", (1,), 2, seed=seed)

    found = paired_shadows(fine_tune, pool, 3, seed=0)
    assert [set(np.flatnonzero(row).tolist()) for row in found.member] == seen
    for first in (0, 2, 4):
        assert seen[first] | seen[first + 1] == set(range(500))
        assert not seen[first] & seen[first + 1]
        assert stats.binomtest(len(seen[first]), 500).pvalue > 1e-6


def test_pairs_of_different_models_are_what_is_counted() -> None:
    """Beside a count of every pair, one by one; a model with all records, or none, is among them."""
    found = paired(1.0, 3, 12)
    found.member[0], found.member[1] = True, False
    ratios = likelihood_ratios(found, together=2)
    n, m = found.member.shape
    better = [
        float(ratios[a, i] > ratios[b, j]) + 0.5 * float(ratios[a, i] == ratios[b, j])
        for a, i, b, j in itertools.product(range(n), range(m), range(n), range(m))
        if a != b and found.member[a, i] and not found.member[b, j]
    ]
    assert auc_between_models(found) == pytest.approx(np.mean(better), rel=1e-12)


@pytest.mark.parametrize("mu", [0.0, 1.0, 2.5])
def test_between_models_too_the_ceiling_is_met_where_all_is_gaussian(mu: float) -> None:
    assert auc_between_models(paired(mu, 32, 300)) == pytest.approx(
        membership_ceiling(mu), abs=0.02
    )


def test_an_attack_on_nothing_comes_to_a_half_with_few_models_too() -> None:
    found = [auc_between_models(paired(0.0, 4, 400, seed)) for seed in range(60)]
    assert np.mean(found) == pytest.approx(0.5, abs=4 * np.std(found) / math.sqrt(60))


def test_confidence_is_the_logit_of_the_probability_however_near_to_one() -> None:
    model = build("linear", (4,), 3, seed=0)
    examples = Examples(
        np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32), np.arange(6) % 3
    )
    chance = model(torch.from_numpy(examples.x)).double().softmax(1).detach().numpy()
    own = chance[np.arange(6), examples.y]
    assert confidences(model, examples) == pytest.approx(np.log(own / (1 - own)), rel=1e-5)
    with torch.no_grad():
        model.head.weight.mul_(1e4)
    assert np.isfinite(confidences(model, examples)).all()


@pytest.mark.parametrize("mu", [0.25, 1.0])
def test_the_ceiling_of_a_gaussians_whole_profile_is_that_of_its_mu(mu: float) -> None:
    deltas = np.concatenate([np.geomspace(1e-9, 0.05, 30), np.linspace(0.06, 0.38, 40)])
    deltas = deltas[deltas < stats.norm.cdf(mu / 2) - stats.norm.cdf(-mu / 2)]
    epsilons = np.array([gaussian_epsilon(mu, delta) for delta in deltas])
    assert auc_ceiling(epsilons, deltas) == pytest.approx(membership_ceiling(mu), abs=0.005)


def test_the_ceiling_of_pure_privacy_is_what_the_two_lines_leave() -> None:
    epsilon = math.log(3)
    # Through (1/4, 3/4): 3 fpr up to there, then 1 - (1 - fpr) / 3.
    assert auc_ceiling(np.array([epsilon]), np.zeros(1)) == pytest.approx(0.75, abs=1e-4)


# Reconstruction


def test_a_gradient_gives_its_records_image_away() -> None:
    rng = np.random.default_rng(0)
    model = build("linear", (1, 8, 8), 5, seed=0)
    image = Examples(rng.random((1, 1, 8, 8)).astype(np.float32), np.array([3]))
    row = RecordView.through(model, image).gradients(model.head, np.ones(1), clip=1.0)[:][0]
    assert features_within(row.reshape(5, 65)) == pytest.approx(image.x.ravel(), abs=1e-5)


def test_likeness_is_the_cosine_and_nothing_where_there_is_nothing() -> None:
    assert similarity(np.array([1.0, 0.0]), np.array([1.0, 1.0])) == pytest.approx(math.sqrt(0.5))
    assert similarity(np.zeros(2), np.ones(2)) == 0.0


@pytest.mark.parametrize("mu", [0.5, 2.0, 4.0])
def test_nobody_is_right_more_often_than_the_ceiling_and_two_opposites_meet_it(mu: float) -> None:
    # Two candidates, one of which adds nothing: the two data sets of adding or removing a record.
    candidates, truth = np.array([[0.0], [1.0]]), np.random.default_rng(1).integers(0, 2, 3000)
    source = simulated(3)

    def release(rows: np.ndarray) -> np.ndarray:
        return noised_sum(rows, Fraction(1), 1 / mu, source).values

    right = identified(release, candidates, np.zeros((1, 1)), truth) / len(truth)
    assert right == pytest.approx(stats.norm.cdf(mu / 2), abs=0.03)
    assert right <= identification_ceiling(2, mu)


# Probing


def test_a_probe_holds_the_known_half_and_nothing_of_the_other() -> None:
    rng = np.random.default_rng(0)
    image, typical = rng.random((1, 8, 8)).astype(np.float32), np.full((1, 8, 8), 0.5, np.float32)
    probe = half_known(image, 3, typical)
    other = image.copy()
    other[:, 4:] = rng.random((1, 4, 8))
    assert np.array_equal(probe.x, half_known(other, 3, typical).x)
    assert np.array_equal(probe.x[0, :, :4], image[:, :4])
    assert set(probe.y.tolist()) == {3}


def test_the_nearest_to_a_probe_is_the_record_that_it_is_made_of() -> None:
    rng = np.random.default_rng(0)
    pool = Examples(rng.random((50, 1, 8, 8)).astype(np.float32), np.zeros(50, np.int64))
    typical = np.full((1, 8, 8), 0.5, np.float32)
    assert all(
        each in most_similar(pool, half_known(pool.x[each], 0, typical), 1) for each in range(9)
    )


@pytest.mark.parametrize("beside", [0, 2, 4])
def test_the_chance_of_being_drawn_is_that_of_all_sets_enumerated(beside: int) -> None:
    n, k, strength = 7, 3, 1.5
    utilities = np.array([1.0] * (beside + 1) + [0.0] * (n - beside - 1))
    chances = drawing_probabilities(utilities, k, strength)
    expected = sum(chance for drawn, chance in chances.items() if 0 in drawn)
    assert inclusion_of_the_only_useful(n, k, strength, beside) == pytest.approx(expected)
    share = drawn_share(utilities == 1, 0, k, strength, 4000, simulated(0))
    assert share == pytest.approx(expected, abs=4 * math.sqrt(0.25 / 4000))


def test_numbers_that_are_no_draw_are_refused() -> None:
    for n, k, beside in ((5, 5, 0), (5, 1, 5), (5, 1, -1)):
        with pytest.raises(ValueError, match="give fewer than"):
            inclusion_of_the_only_useful(n, k, 1.0, beside)


def test_a_lone_record_is_drawn_too_often_at_the_size_that_is_promised_and_in_a_crowd_it_is_not() -> (
    None
):
    n, k, strength = 10_000, 50, 4.0
    lone = inclusion_of_the_only_useful(n, k, strength)
    assert 0.23 < lone <= 1 - math.exp(-choice_price(k, strength, n)) < 0.25
    crowd = inclusion_of_the_only_useful(n, k, strength, beside=859)
    assert crowd <= 1 - math.exp(-choice_price(k, strength, n, useful=860)) <= 0.05


# All of them, as the command runs them

EVERY = list(dict.fromkeys(itertools.chain.from_iterable(findings.ATTACKS.values())))


@pytest.mark.parametrize("attack", EVERY, ids=lambda each: each.__name__)
def test_no_attack_gets_more_than_is_possible_and_each_works_where_it_can(
    attack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(findings, "VICTIMS", 12)
    monkeypatch.setattr(findings, "MODELS", 8)
    monkeypatch.setattr(findings, "TRIALS", 150)
    found = list(attack())
    assert found
    assert [each for each in found if not each.holds] == []


@pytest.mark.slow
def test_twice_the_strength_that_was_paid_for_is_seen_by_probing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(findings, "VICTIMS", 12)
    monkeypatch.setattr(
        findings, "drawn_share", lambda useful, x, k, strength, draws, noise: drawn_share(
            useful, x, k, 2 * strength, draws, noise
        ),
    )  # fmt: skip
    assert not all(each.holds for each in findings.probe_drawn())


def test_attacks_of_a_mode_are_those_and_no_other() -> None:
    assert findings.attacked("score") == []
