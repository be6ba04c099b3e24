"""A vault's scores by class: as many numbers as the request says, at the noise of any other score."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

from clients.answering.noised import contributions
from clients.answering.policy import Policy
from clients.answering.private_records import PrivateRecords
from clients.answering.trainer_view import TrainerView
from clients.answering.vault import Vault, VaultStorage, request_digest
from mycroft_fl.errors import BadMessage
from mycroft_fl.examples import Examples
from mycroft_fl.models.networks import build
from mycroft_fl.models.weights import flat_weights
from mycroft_fl.privacy.noise.samplers import simulated
from mycroft_fl.privacy.relevance import by_class
from mycroft_fl.privacy.relevance.by_class import ClassTargets
from mycroft_fl.privacy.relevance.hard_set_target import RecordView, Target, score_rows
from mycroft_fl.protocol.messages import NoisedTarget, Request, Statistic

CLASSES, SHAPE = 5, (4,)
MODEL = build("mlp", SHAPE, CLASSES, seed=0)
POLICY = Policy(modes=("score",), epsilon=1.0, delta=1e-5, answers=2)


def drawn(n: int, seed: int = 0) -> Examples:
    rng = np.random.default_rng(seed)
    return Examples(rng.normal(size=(n, *SHAPE)).astype(np.float32), rng.integers(0, CLASSES, n))


HARD = Examples(drawn(9, seed=5).x + 1, np.array([4, 1, 1, 4, 2, 1, 2, 4, 2]))


def request(**changed: Any) -> Request:
    plain: dict[str, Any] = {
        "server_round": 1, "method": "features", "k": 4, "hard": HARD, "num_classes": CLASSES,
        "model": "mlp", "weights": flat_weights(MODEL), "feature_space": "pixels",
        "owner_epochs": 1, "seed": 0, "mode": "score", "score_by": "class",
    }  # fmt: skip
    return Request(**(plain | changed))


def vault_of(examples: Examples, folder: Path, persons: np.ndarray | None = None) -> Vault:
    storage = VaultStorage(folder, noise_for=lambda digest: simulated(int(digest[:8], 16)))
    return Vault("owner", PrivateRecords(examples, persons), POLICY, storage)


def told_by(vault: Vault, asked: Request) -> Statistic:
    output = vault.answer(asked).statistic
    assert output is not None
    return output


def test_a_score_by_class_is_a_sum_for_each_hard_class_and_the_counts_of_a_plain_one(
    tmp_path: Path,
) -> None:
    examples = drawn(300)
    output = told_by(vault_of(examples, tmp_path / "a"), request())
    seen = RecordView.through(MODEL, examples)
    ranked = ClassTargets(MODEL, HARD).relevances(MODEL.head, seen)
    exact = score_rows(ranked, seen.relevances(MODEL.head, Target.of(MODEL, HARD))).sum(axis=0)
    assert exact.shape == output.values.shape == (3 + 3,)
    assert np.abs(output.values - exact).max() < 5 * output.sigma
    assert output.relevance().tolist() == output.values[:3].tolist()
    assert np.abs(output.counted() - 2 * exact[3:]).max() < 10 * output.sigma
    assert 2 * exact[3:].sum() == 300


def test_noise_and_price_are_those_of_a_plain_score(tmp_path: Path) -> None:
    reports = [
        vault_of(drawn(50), tmp_path / by).answer(request(score_by=by))
        for by in ("hard-set", "class")
    ]
    sigmas = {each.statistic.sigma for each in reports if each.statistic}
    prices = {each.card.rho for each in reports if each.card}
    assert len(sigmas) == len(prices) == 1


def test_how_many_numbers_there_are_is_a_question_of_the_request_and_never_of_the_data(
    tmp_path: Path,
) -> None:
    some = drawn(60)
    for place, examples in enumerate(
        (drawn(0), some[some.y == 0], some[some.y == 1], some[some.y != 4], some)
    ):
        vault = vault_of(examples, tmp_path / str(place))
        assert told_by(vault, request()).values.shape == (3 + 3,)
        other = request(hard=HARD[HARD.y != 2])
        assert told_by(vault, other).values.shape == (2 + 3,)


def test_a_records_row_is_the_same_to_the_last_bit_whoever_else_is_there() -> None:
    examples, rng = drawn(200), np.random.default_rng(0)
    view = TrainerView.of(request(), examples)
    together = contributions(view, examples, 1.0).rows[:]
    for _ in range(5):
        some = rng.permutation(200)[: rng.integers(1, 200)]
        alone = contributions(view, examples[some], 1.0).rows[:]
        assert np.array_equal(alone, together[some])


def test_a_person_with_records_of_every_class_counts_as_one(tmp_path: Path) -> None:
    examples = Examples(np.repeat(HARD.x, 5, axis=0), np.repeat(HARD.y, 5))
    persons = np.array(["p"] * 45)
    nobody = told_by(vault_of(drawn(0), tmp_path / "a"), request()).values
    one = told_by(vault_of(examples, tmp_path / "b", persons), request()).values
    many = told_by(vault_of(examples, tmp_path / "c"), request()).values
    # The same noise in all, since it is simulated from the request.
    assert ((one - nobody) ** 2).sum() <= 1.25
    assert ((many - nobody) ** 2).sum() > 100


def test_what_stands_for_all_classes_says_nothing_of_one_and_nothing_is_charged(
    tmp_path: Path,
) -> None:
    size = CLASSES * (MODEL.head.in_features + 1)
    target = NoisedTarget(np.ones(size, np.float32), 1.0, 1.0, 9)
    vault = vault_of(drawn(20), tmp_path)
    with pytest.raises(BadMessage, match="by class needs hard examples, and a target came"):
        vault.answer(request(hard=HARD[:0], target=target))
    assert vault._ledger.rows() == []


def test_more_classes_than_memory_is_for_are_refused_and_nothing_is_charged(
    tmp_path: Path,
) -> None:
    vault = vault_of(drawn(20), tmp_path)
    with (
        patch.object(by_class, "MAX_CLASSES", 1),
        pytest.raises(BadMessage, match=r"^a score by 3 classes; at most 1$"),
    ):
        vault.answer(request())
    assert vault._ledger.rows() == []


def test_the_two_scores_are_two_requests_and_each_is_charged(tmp_path: Path) -> None:
    vault = vault_of(drawn(20), tmp_path)
    for by in ("hard-set", "class", "class", "hard-set"):
        vault.answer(request(score_by=by))
    assert len(vault._ledger.rows()) == 2


def test_a_plain_request_has_the_name_it_had_before_there_were_more_fields() -> None:
    asked = replace(request(score_by="hard-set"), weights=None)
    hasher = hashlib.sha256()
    for array in (asked.hard.x, asked.hard.y):
        hasher.update(f"{array.dtype.str}{array.shape}".encode() + array.tobytes())
    hasher.update(b"none" * 3)
    apart = ("hard", "weights", "head", "whitening", "target", "detector", "score_by")
    rest = {key: value for key, value in vars(asked).items() if key not in apart}
    hasher.update(repr(sorted(rest.items())).encode())
    assert request_digest(asked) == hasher.hexdigest()
