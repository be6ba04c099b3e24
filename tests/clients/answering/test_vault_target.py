"""The vault asked with a noised target: it matches it, scores by it, and refuses what needs more."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clients.answering.policy import Policy
from clients.answering.private_records import PrivateRecords
from clients.answering.vault import Vault, VaultStorage, request_digest
from mycroft_fl.errors import BadMessage, Refused
from mycroft_fl.examples import Examples
from mycroft_fl.models.networks import build
from mycroft_fl.models.weights import flat_weights
from mycroft_fl.privacy.noise.samplers import OS_ENTROPY, simulated
from mycroft_fl.privacy.relevance.hard_set_target import RecordView, Target, relevances, score_rows
from mycroft_fl.privacy.relevance.noised_target import noised_gradient_sum, target_of_sum
from mycroft_fl.protocol.messages import NoisedTarget, Request
from mycroft_fl.selection.methods import METHODS

CLASSES, SHAPE = 3, (5,)
MODEL = build("mlp", SHAPE, CLASSES, seed=0)
POLICY = Policy(
    modes=("raw", "raw-gumbel", "score", "gradient"), epsilon=50.0, delta=1e-5, answers=4,
    epsilon_minus=9.0, records_at_least=200,
)  # fmt: skip


def drawn(n: int, seed: int = 0) -> Examples:
    rng = np.random.default_rng(seed)
    return Examples(rng.normal(size=(n, *SHAPE)).astype(np.float32), rng.integers(0, CLASSES, n))


HARD = Examples(drawn(8, seed=9).x + 2, np.full(8, 1))


def target(multiplier: float = 1e-6, clip: float = 1000.0) -> NoisedTarget:
    output = noised_gradient_sum(MODEL, HARD, clip, multiplier, OS_ENTROPY)
    return target_of_sum(output.values, output.sigma, clip=clip, stands_for=len(HARD))


def request(**changed: Any) -> Request:
    plain: dict[str, Any] = {
        "server_round": 1, "method": "omp-whole", "k": 12, "hard": HARD[:0],
        "num_classes": CLASSES, "model": "mlp", "weights": flat_weights(MODEL),
        "feature_space": "pixels", "owner_epochs": 1, "seed": 0, "target": target(),
    }  # fmt: skip
    return Request(**(plain | changed))


def vault_of(examples: Examples, folder: Path) -> Vault:
    storage = VaultStorage(folder, noise_for=lambda digest: simulated(int(digest[:8], 16)))
    return Vault("owner", PrivateRecords(examples), POLICY, storage)


def picked(examples: Examples, folder: Path, **changed: Any) -> list[int]:
    disclosed = vault_of(examples, folder).answer(request(**changed)).disclosed
    assert disclosed is not None
    return disclosed.ids.tolist()


@pytest.mark.parametrize("seed", range(5))
def test_as_noise_goes_to_0_the_picks_are_those_of_the_hard_set_itself(
    tmp_path: Path, seed: int
) -> None:
    examples = drawn(300, seed)
    by_target = picked(examples, tmp_path / "a", k=len(HARD))
    by_hard = picked(examples, tmp_path / "b", k=len(HARD), hard=HARD, target=None)
    assert by_target == by_hard
    assert len(by_target) == len(HARD)
    noisy = target(multiplier=30.0)
    assert picked(examples, tmp_path / "c", k=len(HARD), target=noisy) != by_hard


def test_gradient_neighbours_are_then_those_nearest_to_the_target(tmp_path: Path) -> None:
    examples = drawn(300)
    got = picked(examples, tmp_path, method="gradient-neighbours", k=20)
    assert got == examples.ids[np.argsort(-_cosines(examples))[:20]].tolist()


def test_a_second_request_goes_on_and_hands_over_nothing_twice(tmp_path: Path) -> None:
    examples = drawn(300)
    vault = vault_of(examples, tmp_path)
    first = vault.answer(request(k=12)).disclosed
    second = vault.answer(request(k=12, server_round=2)).disclosed
    assert first is not None
    assert second is not None
    assert len(first) == len(second) == 12
    assert not np.isin(first.ids, second.ids).any()


def test_beyond_what_the_match_may_spend_come_those_best_aligned(tmp_path: Path) -> None:
    examples = drawn(300)
    few = picked(examples, tmp_path / "a", k=8)
    many = picked(examples, tmp_path / "b", k=20)
    assert many[:8] == few
    nearest = examples.ids[np.argsort(-_cosines(examples))].tolist()
    assert many[8:] == [each for each in nearest if each not in few][:12]


def _cosines(examples: Examples) -> np.ndarray:
    output = Target.of_noised(MODEL, target())
    seen = RecordView.through(MODEL, examples)
    rows = seen.gradients(MODEL.head, np.ones(len(examples)), 1e9)[:]
    return relevances(MODEL, examples, output) / np.linalg.norm(rows, axis=1)


def test_a_score_is_of_the_relevance_to_the_target(tmp_path: Path) -> None:
    examples = drawn(400)
    report = vault_of(examples, tmp_path).answer(request(mode="score", k=1))
    exact = score_rows(relevances(MODEL, examples, Target.of_noised(MODEL, target())))
    assert report.statistic is not None
    noise = report.statistic.values - exact.sum(axis=0)
    assert np.abs(noise).max() < 6 * report.statistic.sigma
    assert np.abs(exact.sum(axis=0)).max() > 20 * report.statistic.sigma


@pytest.mark.parametrize("mode", ["gradient", "raw-gumbel"])
def test_other_modes_answer_to_a_target_too(tmp_path: Path, mode: str) -> None:
    report = vault_of(drawn(400), tmp_path).answer(request(mode=mode, k=2))
    assert report.card is not None
    assert report.card.mode == mode
    assert report.statistic is not None or report.disclosed is not None


@pytest.mark.parametrize(
    "method", [name for name, each in METHODS.items() if "target" not in each.takes]
)
def test_a_method_that_does_not_go_by_a_target_is_refused(tmp_path: Path, method: str) -> None:
    vault = vault_of(drawn(300), tmp_path)
    with pytest.raises(Refused, match=rf"'{method}' goes by \[.*\], and target came"):
        vault.answer(request(method=method))
    assert list(vault._ledger.rows()) == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"weights": None}, "a target needs the trainer's weights"),
        ({"gradient_layers": "all"}, "a target is of the last layer"),
        ({"target": NoisedTarget(np.ones(5, np.float32), 1.0, 1.0, 3)}, "a target of 5 numbers"),
        (
            {"target": NoisedTarget(np.ones(5, np.float32), 1.0, 1.0, 3), "mode": "score", "k": 1},
            "a target of 5 numbers",
        ),
        ({"weights": None, "mode": "score", "k": 1}, "needs the trainer's weights"),
    ],
)
def test_a_target_that_does_not_fit_is_a_bad_message_and_nothing_is_charged(
    tmp_path: Path, changed: dict[str, Any], said: str
) -> None:
    vault = vault_of(drawn(300), tmp_path)
    with pytest.raises(BadMessage, match=said):
        vault.answer(request(**changed))
    assert list(vault._ledger.rows()) == []


def test_each_part_of_a_target_makes_another_request() -> None:
    plain = target()
    moved = plain.direction.copy()
    moved[0] += 1
    others = [
        plain, replace(plain, direction=moved), replace(plain, scale=2 * plain.scale),
        replace(plain, clip=2.0), replace(plain, stands_for=7), None,
    ]  # fmt: skip
    digests = {request_digest(request(target=each)) for each in others}
    assert len(digests) == len(others)
    assert request_digest(request(target=plain)) in digests
