"""The vault in mode dp-sgd: a trained last layer, charged by Rényi, with a card that says what it is."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from clients.answering.policy import Policy
from clients.answering.private_records import PrivateRecords
from clients.answering.vault import Vault, VaultStorage
from mycroft_fl.errors import BadMessage, InputError, Refused
from mycroft_fl.examples import Examples
from mycroft_fl.models.networks import build
from mycroft_fl.models.weights import flat_head, flat_weights, load_head
from mycroft_fl.privacy.noise.accounting import Filter, Spend, epsilon_of
from mycroft_fl.privacy.noise.samplers import simulated
from mycroft_fl.protocol.messages import OwnerReport, Request

CLASSES, SHAPE = 3, (5,)
MODEL = build("mlp", SHAPE, CLASSES, seed=0)
POLICY = Policy(modes=("score", "dp-sgd"), epsilon=2.0, delta=1e-5, sample_rate=0.2, sgd_steps=10)


def owned(n: int = 60) -> Examples:
    """Records near the hard ones, of their label."""
    rng = np.random.default_rng(1)
    x = (2 + 0.3 * rng.normal(size=(n, *SHAPE))).astype(np.float32)
    return Examples(x, np.full(n, 1))


def hard_set() -> Examples:
    rng = np.random.default_rng(9)
    return Examples((2 + 0.1 * rng.normal(size=(8, *SHAPE))).astype(np.float32), np.full(8, 1))


def request(**changed: Any) -> Request:
    plain: dict[str, Any] = {
        "server_round": 2, "method": "features", "k": 1, "hard": hard_set(),
        "num_classes": CLASSES, "model": "mlp", "weights": flat_weights(MODEL),
        "feature_space": "pixels", "owner_epochs": 1, "seed": 0, "mode": "dp-sgd", "rate": 0.01,
    }  # fmt: skip
    return Request(**(plain | changed))


def vault_of(folder: Path, policy: Policy = POLICY, persons: np.ndarray | None = None) -> Vault:
    storage = VaultStorage(folder, noise_for=lambda digest: simulated(int(digest[:8], 16)))
    return Vault("owner", PrivateRecords(owned(), persons), policy, storage)


def delta_of(report: OwnerReport) -> np.ndarray:
    assert report.statistic is not None
    return report.statistic.values


def test_what_leaves_is_how_the_last_layer_moved_and_it_helps_with_the_hard_set(
    tmp_path: Path,
) -> None:
    generous = replace(POLICY, epsilon=1e4)
    moved = build("mlp", SHAPE, CLASSES, seed=0)
    delta = delta_of(vault_of(tmp_path, generous).answer(request()))
    load_head(moved, (flat_head(MODEL) + delta).astype(np.float32))
    (weights, bias), hard = (moved.head.weight, moved.head.bias), hard_set()
    assert delta.shape == (weights.numel() + bias.numel(),)

    @torch.no_grad()
    def confidence(model) -> float:
        return float(model(torch.from_numpy(hard.x)).softmax(1)[:, 1].mean())

    assert confidence(moved) > confidence(MODEL) + 0.1


def test_the_charge_is_the_run_that_was_drawn_and_asking_again_costs_nothing(
    tmp_path: Path,
) -> None:
    first = vault_of(tmp_path).answer(request())
    again = Vault(
        "owner",
        PrivateRecords(owned(3)),
        POLICY,
        VaultStorage(tmp_path, noise_for=lambda _: simulated(5)),
    )
    assert np.array_equal(delta_of(again.answer(request())), delta_of(first))
    [row] = again._ledger.rows()
    assert row.spend == Spend(sgd=POLICY.sgd_run())
    assert (row.spend.sgd.sample_rate, row.spend.sgd.steps) == (0.2, 10)


def test_the_sampling_rate_and_the_noise_do_not_hang_on_how_many_records_there_are(
    tmp_path: Path,
) -> None:
    reports = []
    for n in (0, 7, 60):
        vault = Vault("owner", PrivateRecords(owned(n)), POLICY, VaultStorage(tmp_path / str(n)))
        reports.append((vault.answer(request()).statistic, vault._ledger.rows()[0].spend))
    assert len({each.sigma for each, _ in reports if each is not None}) == 1
    assert len({spend for _, spend in reports}) == 1


def test_a_score_and_a_run_together_stay_within_epsilon_and_a_second_run_is_refused(
    tmp_path: Path,
) -> None:
    vault = vault_of(tmp_path)
    vault.answer(request(mode="score", server_round=1))
    card = vault.answer(request()).card
    assert card is not None
    spends = [row.spend for row in vault._ledger.rows()]
    assert card.epsilon_total == epsilon_of(spends, 1e-5) <= 2.0
    assert Filter.of(2.0, 1e-5).spent(spends) >= 0.99 * Filter.of(2.0, 1e-5).limit
    with pytest.raises(Refused, match="over the 2 over all trainers"):
        vault.answer(request(server_round=3))


def test_the_card_says_what_its_noise_is_worth(tmp_path: Path) -> None:
    simulated_card = vault_of(tmp_path / "simulated").answer(request()).card
    real = (
        Vault("owner", PrivateRecords(owned()), POLICY, VaultStorage(tmp_path / "real"))
        .answer(request())
        .card
    )
    assert simulated_card is not None
    assert real is not None
    assert (simulated_card.noise, real.noise) == ("SIMULATED", "os-entropy")
    assert (len(simulated_card.taints()), real.taints()) == (1, [])
    for card in (simulated_card, real):
        assert 0 < card.epsilon <= 2.0


def test_a_request_without_a_rate_is_no_request_and_charges_nothing(tmp_path: Path) -> None:
    vault = vault_of(tmp_path)
    with pytest.raises(BadMessage, match="needs a rate above 0"):
        vault.answer(request(rate=0.0))
    assert vault._ledger.rows() == []


@pytest.mark.parametrize("rate", [math.inf, math.nan, 1e300])
def test_a_rate_that_leads_beyond_all_numbers_is_no_request_and_charges_nothing(
    rate: float, tmp_path: Path
) -> None:
    vault = vault_of(tmp_path)
    with pytest.raises(BadMessage, match="needs a rate above 0, and none that leads beyond"):
        vault.answer(request(rate=rate))
    assert vault._ledger.rows() == []


def test_where_privacy_is_by_person_a_run_hides_persons_and_its_card_says_so(
    tmp_path: Path,
) -> None:
    card = vault_of(tmp_path, persons=np.arange(60) // 6).answer(request()).card
    assert card is not None
    assert card.unit == "person"
    assert "all records of one person" in card.assumptions()[0]


@pytest.mark.parametrize("rate", [1.0, 2.5])
def test_a_sampling_rate_that_is_none_is_refused(rate: float) -> None:
    with pytest.raises(InputError, match=r"policy.sample-rate is .*; it must be below 1"):
        replace(POLICY, sample_rate=rate)
