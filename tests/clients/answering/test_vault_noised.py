"""The vault's noised answers: bounded, charged, repeated for nothing, and each with its card."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from clients.answering.gumbel import GumbelPlan
from clients.answering.noised import contributions, levels_of
from clients.answering.policy import Policy
from clients.answering.private_records import PrivateRecords
from clients.answering.trainer_view import TrainerView, ViewCache, in_range
from clients.answering.vault import Vault, VaultStorage, request_digest
from mycroft_fl.errors import BadMessage, InputError, Refused
from mycroft_fl.examples import Examples
from mycroft_fl.models.networks import build
from mycroft_fl.models.weights import flat_head, flat_weights, load_head
from mycroft_fl.privacy.noise.accounting import Filter, Spend
from mycroft_fl.privacy.noise.samplers import simulated
from mycroft_fl.privacy.relevance.hard_set_target import RecordView, Target, relevances, score_rows
from mycroft_fl.protocol.messages import OwnerReport, Request

CLASSES, SHAPE = 3, (5,)
MODEL = build("mlp", SHAPE, CLASSES, seed=0)
NOISED = Policy(modes=("score", "gradient"), epsilon=1.0, delta=1e-5, answers=4)


def drawn(n: int, seed: int = 0) -> Examples:
    rng = np.random.default_rng(seed)
    return Examples(rng.normal(size=(n, *SHAPE)).astype(np.float32), rng.integers(0, CLASSES, n))


def hard_set() -> Examples:
    """Hard examples that agree: one label, near one point."""
    rng = np.random.default_rng(9)
    return Examples((2 + 0.1 * rng.normal(size=(8, *SHAPE))).astype(np.float32), np.full(8, 1))


def request(**changed: Any) -> Request:
    plain: dict[str, Any] = {
        "server_round": 1,
        "method": "features",
        "k": 4,
        "hard": hard_set(),
        "num_classes": CLASSES,
        "model": "mlp",
        "weights": flat_weights(MODEL),
        "feature_space": "pixels",
        "owner_epochs": 1,
        "seed": 0,
        "mode": "score",
    }
    return Request(**(plain | changed))


def vault_of(
    examples: Examples, folder: Path, policy: Policy = NOISED, **marks: np.ndarray
) -> Vault:
    storage = VaultStorage(folder, noise_for=lambda digest: simulated(int(digest[:8], 16)))
    return Vault("owner", PrivateRecords(examples, **marks), policy, storage)


def values(report: OwnerReport) -> np.ndarray:
    assert report.statistic is not None
    assert report.disclosed is None
    return report.statistic.values


def test_a_score_is_the_sum_over_all_records_and_noise_of_the_size_paid_for(tmp_path: Path) -> None:
    examples = drawn(400)
    report = vault_of(examples, tmp_path).answer(request())
    target = Target.of(MODEL, hard_set())
    ranked, plain = (
        relevances(MODEL, examples, each)
        for each in (target.for_ranking(MODEL, hard_set()), target)
    )
    exact = score_rows(ranked, plain).sum(axis=0)
    assert report.statistic is not None
    assert report.card is not None
    sigma = report.statistic.sigma
    assert np.abs(values(report) - exact).max() < 5 * sigma
    assert report.card.rho == pytest.approx(1.25 / (2 * sigma**2), rel=1e-3)
    assert exact[1:].sum() == 200
    assert np.abs(report.statistic.counted() - 2 * exact[1:]).max() < 10 * sigma


WHITENING = np.random.default_rng(4).normal(size=(7, 257)).astype(np.float32)


@pytest.mark.parametrize("whitening", [None, WHITENING])
def test_a_gradient_is_the_weighted_clipped_sum_at_the_head_that_was_sent(
    whitening: np.ndarray | None, tmp_path: Path
) -> None:
    examples = drawn(50)
    head = flat_head(MODEL) + np.float32(0.1)
    asked = request(mode="gradient", head=head, whitening=whitening)
    report = vault_of(examples, tmp_path).answer(asked)
    through = np.eye(257) if whitening is None else whitening.astype(np.float64)
    moved = build("mlp", SHAPE, CLASSES, seed=0)
    load_head(moved, head)
    relevant = relevances(MODEL, examples, Target.of(MODEL, hard_set()))
    with torch.no_grad():
        failed = MODEL(torch.from_numpy(examples.x)).argmax(1).numpy() != examples.y
    assert 0 < failed.sum() < 50
    weights = np.where(failed, 1, np.maximum(0.1, np.minimum(1, 2 * relevant)))
    expected = np.zeros(CLASSES * len(through))
    for x, y, weight in zip(examples.x, examples.y, weights, strict=True):
        moved.zero_grad()
        loss = torch.nn.functional.cross_entropy(
            moved(torch.from_numpy(x[None])), torch.tensor([y])
        )
        loss.backward()
        assert moved.head.weight.grad is not None
        both = torch.cat([moved.head.weight.grad, moved.head.bias.grad[:, None]], dim=1)
        row = (both.double().numpy() @ through.T).flatten()
        expected += weight * row * min(1.0, NOISED.clip / np.linalg.norm(row))
    report_noise = values(report) - expected
    assert report.statistic is not None
    assert np.abs(report_noise).max() < 6 * report.statistic.sigma
    assert report_noise.std() == pytest.approx(
        report.statistic.sigma, rel=0.1 if len(through) > 7 else 0.5
    )


@pytest.mark.parametrize(("rows", "columns"), [(3, 256), (0, 257), (258, 257)])
def test_a_whitening_that_does_not_fit_is_refused_before_anything_is_charged(
    rows: int, columns: int, tmp_path: Path
) -> None:
    vault = vault_of(drawn(5), tmp_path)
    wrong = np.ones((rows, columns), np.float32)
    with pytest.raises(BadMessage, match=f"^a whitening of {rows} x {columns} numbers; the last "):
        vault.answer(request(mode="gradient", whitening=wrong))
    assert not vault._ledger.rows()


@pytest.mark.parametrize("mode", ["score", "gradient"])
def test_asked_again_the_same_bytes_leave_and_nothing_is_charged(mode: str, tmp_path: Path) -> None:
    first = vault_of(drawn(30), tmp_path).answer(request(mode=mode))
    # Another process, other data, other noise: still what was told the first time.
    storage = VaultStorage(tmp_path, noise_for=lambda digest: simulated(99))
    other = Vault("owner", PrivateRecords(drawn(10, seed=3)), NOISED, storage)
    again = other.answer(request(mode=mode))
    assert np.array_equal(values(first), values(again))
    assert len(other._ledger.rows()) == 1


def test_a_budget_spent_to_the_last_answers_no_more(tmp_path: Path) -> None:
    vault = vault_of(drawn(30), tmp_path)
    for server_round in range(4):
        vault.answer(request(server_round=server_round))
    with pytest.raises(Refused, match=r"bring epsilon to 1.1\d, over the 1 over all trainers"):
        vault.answer(request(server_round=4))
    with pytest.raises(Refused, match="over the 1 over all trainers"):
        vault.answer(request(server_round=4), "another trainer")
    assert len(vault._ledger.rows()) == 4


def test_noise_is_fresh_for_each_request_and_never_reused(tmp_path: Path) -> None:
    vault = Vault("owner", PrivateRecords(drawn(30)), NOISED, VaultStorage(tmp_path))
    output = [values(vault.answer(request(server_round=each))) for each in range(3)]
    assert len({tuple(each) for each in output}) == 3


def test_a_real_vaults_noise_does_not_hang_on_the_runs_seed(tmp_path: Path) -> None:
    output = [
        values(
            Vault(
                "owner", PrivateRecords(drawn(30)), NOISED, VaultStorage(tmp_path / folder)
            ).answer(request())
        )
        for folder in ("a", "b")
    ]
    assert not np.array_equal(*output)


def test_nothing_is_computed_for_an_answer_that_the_budget_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault = vault_of(drawn(30), tmp_path, replace(NOISED, answers=1))
    vault.answer(request())

    def no_noise(*_: Any) -> None:
        raise AssertionError("noise was drawn before the charge")

    monkeypatch.setattr(vault, "_noise_for", no_noise)
    with pytest.raises(Refused):
        vault.answer(request(server_round=2))


# What one record can do


def charged_alone(examples: Examples, **changed: Any) -> np.ndarray:
    """What the records add together, without noise."""
    asked = request(**changed)
    known = in_range(asked, examples)
    added = contributions(TrainerView.of(asked, examples), examples[known], clip=1.0)
    assert ((added.rows[:] ** 2).sum(axis=1) <= float(added.bound_squared) * (1 + 1e-12)).all()
    return added.rows[:]


@pytest.mark.parametrize("mode", ["score", "gradient"])
def test_a_records_row_is_the_same_to_the_last_bit_whoever_else_is_there(mode: str) -> None:
    examples = drawn(300)
    together = charged_alone(examples, mode=mode)
    rng = np.random.default_rng(0)
    for _ in range(5):
        some = rng.permutation(300)[: rng.integers(1, 300)]
        assert np.array_equal(charged_alone(examples[some], mode=mode), together[some])


def test_wide_records_look_the_same_to_the_last_bit_whoever_else_is_there() -> None:
    # Of 784 numbers the order of a sum shows; of five it need not, on every machine.
    rng = np.random.default_rng(1)
    x = rng.normal(size=(64, 784)).astype(np.float32)
    examples, model = (
        Examples(x, rng.integers(0, CLASSES, 64)),
        build("mlp", (784,), CLASSES, seed=0),
    )
    together = RecordView.through(model, examples)
    for some in (np.arange(1), np.arange(7), np.arange(20, 64)):
        alone = RecordView.through(model, examples[some])
        assert np.array_equal(alone.inputs, together.inputs[some])
        ones = np.ones(len(some))
        rows = together.gradients(model.head, np.ones(64), 1.0)[:][some]
        assert np.array_equal(alone.gradients(model.head, ones, 1.0)[:], rows)
        assert np.array_equal(alone.whitened(WHITENING), together.whitened(WHITENING)[some])


def test_what_a_vault_keeps_in_mind_of_one_request_does_not_answer_another(tmp_path: Path) -> None:
    examples, kept = drawn(60), ViewCache()
    other = hard_set()
    turned = Examples(-other.x, np.full(len(other.y), 2))
    moved = flat_weights(MODEL) * np.float32(1.5)
    gradients = [{"mode": "gradient", "whitening": each} for each in (None, WHITENING, -WHITENING)]
    others: list[dict[str, Any]] = [{"hard": turned}, {"weights": moved}]
    for changed in ({}, *others, *gradients, {**gradients[1], "weights": moved}, {}):
        asked = request(**changed)
        view = TrainerView.of(asked, examples)
        known = contributions(view, examples, 1.0, kept)
        afresh = contributions(view, examples, 1.0)
        assert np.array_equal(known.rows[:], afresh.rows[:])


@pytest.mark.parametrize("mode", ["score", "gradient", "whitened"])
@pytest.mark.parametrize("value", [math.nan, math.inf, 3e38])
def test_a_record_of_any_content_adds_no_more_than_another(
    mode: str, value: float, tmp_path: Path
) -> None:
    examples = drawn(20)
    poisoned = Examples(
        np.concatenate([examples.x, np.full((1, 5), value, np.float32)]), np.append(examples.y, 1)
    )
    huge = WHITENING * np.float32(1e37) if mode == "whitened" else None
    asked = request(mode="score" if mode == "score" else "gradient", whitening=huge)
    plain = values(vault_of(examples, tmp_path / "a").answer(asked))
    other = values(vault_of(poisoned, tmp_path / "b").answer(asked))
    assert np.isfinite(other).all()
    # The same noise in both, since it is simulated from the request.
    assert ((plain - other) ** 2).sum() <= (1.25 if mode == "score" else NOISED.clip**2)


def test_a_label_that_the_trainer_does_not_know_is_left_out_and_seen_by_nobody(
    tmp_path: Path,
) -> None:
    examples = drawn(20)
    odd = Examples(np.concatenate([examples.x, examples.x[:1] + 1]), np.append(examples.y, 77))
    asked = request()
    plain = values(vault_of(examples, tmp_path / "a").answer(asked))
    assert np.array_equal(plain, values(vault_of(odd, tmp_path / "b").answer(asked)))


def test_an_owner_without_records_answers_as_any_other(tmp_path: Path) -> None:
    for mode in ("score", "gradient"):
        report = vault_of(drawn(0), tmp_path).answer(request(mode=mode))
        assert np.abs(values(report)).max() > 0


def test_all_records_of_a_person_count_as_one(tmp_path: Path) -> None:
    examples = Examples(np.repeat(hard_set().x, 5, axis=0), np.full(40, 1))
    persons = np.array(["p"] * 40)
    alone = values(vault_of(drawn(0), tmp_path / "a").answer(request()))
    by_person = vault_of(examples, tmp_path / "b", persons=persons).answer(request())
    by_record = vault_of(examples, tmp_path / "c").answer(request())
    assert ((values(by_person) - alone) ** 2).sum() <= 1.25
    assert ((values(by_record) - alone) ** 2).sum() > 100
    assert by_person.card is not None
    assert by_person.card.unit == "person"


def test_noised_answers_look_through_the_trainers_weights_or_not_at_all(tmp_path: Path) -> None:
    # A model fitted to the owner's data would tell of it unpaid.
    for mode in ("score", "gradient"):
        with pytest.raises(BadMessage, match=f"mode '{mode}' needs the trainer's weights"):
            vault_of(drawn(30), tmp_path).answer(request(mode=mode, weights=None))
    with pytest.raises(BadMessage, match="a last layer of shape"):
        vault_of(drawn(30), tmp_path).answer(request(mode="gradient", head=np.zeros(3, np.float32)))


def test_a_hard_set_that_points_nowhere_is_a_bad_message(tmp_path: Path) -> None:
    zero = np.zeros_like(flat_weights(MODEL))
    opposed = Examples(np.ones((3, 5), np.float32), np.array([0, 1, 2]))
    with pytest.raises(BadMessage, match="do not agree"):
        vault_of(drawn(30), tmp_path).answer(request(weights=zero, hard=opposed))


# Cards


def test_a_card_says_what_was_spent_and_what_the_noise_is_worth(tmp_path: Path) -> None:
    vault = vault_of(drawn(30), tmp_path)
    first, second = (vault.answer(request(server_round=each)).card for each in (1, 2))
    assert first is not None
    assert second is not None
    assert (first.mode, first.unit, first.delta, first.noise) == (
        "score",
        "record",
        1e-5,
        "SIMULATED",
    )
    assert second.rho_total == pytest.approx(2 * first.rho)
    assert first.epsilon < second.epsilon_total <= second.epsilon_limit == 1.0
    assert any("nothing is hidden" in taint for taint in first.taints())
    real = (
        Vault("owner", PrivateRecords(drawn(30)), NOISED, VaultStorage(tmp_path / "real"))
        .answer(request())
        .card
    )
    assert real is not None
    assert (real.noise, real.taints()) == ("os-entropy", [])


def test_a_raw_card_promises_nothing_and_taints_what_follows(tmp_path: Path) -> None:
    policy = replace(NOISED, modes=("raw", "score"))
    vault = vault_of(drawn(30), tmp_path, policy)
    raw = vault.answer(request(mode="raw", server_round=2))
    assert raw.card is not None
    assert raw.card.promise() == (
        "These 4 records are disclosed in full to the trainer. "
        "No differential privacy applies to them."
    )
    assert (raw.card.epsilon, raw.card.records, raw.card.noise) == (0.0, 4, "none")
    after = vault.answer(request()).card
    assert after is not None
    assert any("chosen without noise" in taint for taint in after.taints())


def test_an_epsilon_of_nothing_promised_is_none_and_never_zero(tmp_path: Path) -> None:
    policy = replace(NOISED, modes=("raw", "score"))
    vault = vault_of(drawn(30), tmp_path, policy)
    raw = vault.answer(request(mode="raw")).card
    assert raw is not None
    assert [raw.as_json()[name] for name in ("epsilon", "epsilon_total", "rho")] == [None] * 3
    score = vault.answer(request()).card
    assert score is not None
    assert score.as_json()["epsilon"] == pytest.approx(score.epsilon)


def test_an_empty_raw_answer_taints_as_well(tmp_path: Path) -> None:
    policy = replace(NOISED, modes=("raw", "score"))
    vault = vault_of(drawn(0), tmp_path, policy)
    vault.answer(request(mode="raw"))
    after = vault.answer(request()).card
    assert after is not None
    assert any("chosen without noise" in taint for taint in after.taints())


def test_a_card_and_an_answer_tell_nothing_of_how_many_records_there_are(tmp_path: Path) -> None:
    output = [vault_of(drawn(n), tmp_path / str(n)).answer(request()) for n in (0, 30, 400)]
    assert output[0].card == output[1].card == output[2].card
    assert all(each.disclosed is None for each in output)
    assert {(len(values(each)), each.statistic.sigma) for each in output if each.statistic} == {
        (4, output[0].statistic.sigma if output[0].statistic else None)
    }


@pytest.mark.parametrize("mode", ["score", "gradient"])
def test_whether_it_is_refused_does_not_hang_on_the_data(mode: str, tmp_path: Path) -> None:
    odd = Examples(np.full((9, *SHAPE), math.nan, np.float32), np.full(9, 50))
    for place, examples in enumerate((drawn(0), drawn(200), odd)):
        vault = vault_of(examples, tmp_path / str(place), replace(NOISED, answers=1))
        vault.answer(request(mode=mode))
        with pytest.raises(Refused, match="over the 1 over all trainers"):
            vault.answer(request(mode=mode, server_round=2))


def test_a_simulations_ledger_opens_no_real_vault(tmp_path: Path) -> None:
    vault_of(drawn(30), tmp_path).answer(request())
    with pytest.raises(InputError, match="noise of 'SIMULATED', and this vault's is 'os-entropy'"):
        Vault("owner", PrivateRecords(drawn(30)), NOISED, VaultStorage(tmp_path))


def test_batch_statistics_stay_as_they_were_sent(tmp_path: Path) -> None:
    # In training mode a record would be seen beside its neighbours, and would move the statistics.
    model = build("resnet18", (3, 32, 32), CLASSES, seed=0)
    rng = np.random.default_rng(0)
    examples = Examples(rng.random((6, 3, 32, 32)).astype(np.float32), rng.integers(0, CLASSES, 6))
    before = flat_weights(model).copy()
    target = Target.of(model, examples[:3])
    model.train()
    together = relevances(model, examples, target)
    alone = [relevances(model, examples[[each]], target)[0] for each in range(6)]
    assert together.tolist() == alone
    assert np.array_equal(flat_weights(model), before)


# Examples drawn at random

GUMBEL = Policy(modes=("raw-gumbel",), epsilon_minus=1.5, records_at_least=500, strength=4.0)


def test_drawn_examples_are_mostly_useful_ones_and_cost_epsilon_minus(tmp_path: Path) -> None:
    useful = Examples(
        (2 + 0.1 * np.random.default_rng(1).normal(size=(40, 5))).astype(np.float32), np.full(40, 1)
    )
    examples = Examples.concatenate([useful, drawn(560)])
    report = vault_of(examples, tmp_path, GUMBEL).answer(request(mode="raw-gumbel"))
    assert report.disclosed is not None
    assert report.card is not None
    assert len(report.disclosed) == 4
    assert np.isin(report.disclosed.ids, useful.ids).sum() >= 2
    expected = 4 * math.log1p(math.exp(4.0) / 496)
    assert report.card.epsilon_minus_total == pytest.approx(expected)
    again = vault_of(examples, tmp_path, GUMBEL).answer(request(mode="raw-gumbel"))
    assert again.disclosed is not None
    assert again.disclosed.ids.tolist() == report.disclosed.ids.tolist()


def test_without_a_strength_epsilon_minus_is_divided_among_the_answers(tmp_path: Path) -> None:
    policy = replace(GUMBEL, strength=0.0, epsilon_minus=0.3, answers=3, records_at_least=600)
    vault = vault_of(drawn(600), tmp_path, policy)
    for server_round in range(3):
        card = vault.answer(request(mode="raw-gumbel", k=1, server_round=server_round)).card
        assert card is not None
        # A little less each time: the next draw is from those that are left.
        assert 0.98 * 0.1 < card.epsilon_minus_total / (server_round + 1) <= 0.1
    with pytest.raises(Refused, match="more would pass the epsilon-minus"):
        vault.answer(request(mode="raw-gumbel", k=1, server_round=3))
    with pytest.raises(Refused, match="1 of 600 records would be drawn at an epsilon-minus above"):
        vault_of(drawn(600), tmp_path / "less", replace(policy, epsilon_minus=0.001)).answer(
            request(mode="raw-gumbel", k=1)
        )


def test_drawing_is_refused_by_public_numbers_alone(tmp_path: Path) -> None:
    for n in (600, 2000):
        vault = vault_of(drawn(n), tmp_path / str(n), GUMBEL)
        with pytest.raises(
            Refused, match="6 records would be drawn from 500 that are surely there"
        ):
            vault.answer(request(mode="raw-gumbel", k=6))


def test_a_policy_that_claims_more_records_than_there_are_opens_no_vault(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is 500, but 499 records may be handed over"):
        vault_of(drawn(499), tmp_path, GUMBEL)
    with pytest.raises(InputError, match="hides records, not persons"):
        vault_of(drawn(600), tmp_path, GUMBEL, persons=np.arange(600))


def test_labels_outside_the_request_do_not_thin_out_the_crowd_to_hide_in(tmp_path: Path) -> None:
    # With one class only, the others are still there to be drawn.
    vault = vault_of(drawn(600), tmp_path, replace(GUMBEL, strength=0.001))
    asked = request(
        mode="raw-gumbel", num_classes=2, weights=flat_weights(build("mlp", SHAPE, 2, seed=0))
    )
    labels: set[int] = set()
    for server_round in range(4):
        report = vault.answer(replace(asked, server_round=server_round, k=1))
        assert report.disclosed is not None
        labels |= set(report.disclosed.y.tolist())
    assert levels_of(TrainerView.of(asked, drawn(1)), drawn(600)).shape == (600,)


@pytest.mark.parametrize("mode", ["raw", "raw-gumbel"])
def test_what_is_not_shareable_is_never_handed_over(mode: str, tmp_path: Path) -> None:
    # Half of them: a choice that does not look would soon hit one.
    examples = drawn(1100)
    may_leave = np.arange(1100) % 2 != 0
    policy = replace(GUMBEL, modes=("raw", "raw-gumbel"), epsilon_minus=20.0)
    vault = vault_of(examples, tmp_path, policy, may_leave=may_leave)
    for server_round in range(6):
        report = vault.answer(request(mode=mode, k=1, server_round=server_round, method="random"))
        assert report.disclosed is not None
        assert not np.isin(report.disclosed.ids, examples.ids[::2]).any()


def test_a_head_is_part_of_what_names_a_request() -> None:
    head = np.zeros(3, np.float32)
    assert request_digest(request(head=head)) != request_digest(request())


def test_what_may_no_longer_be_handed_over_is_not_even_in_an_answer_given_before(
    tmp_path: Path,
) -> None:
    examples, policy = drawn(30), Policy(modes=("raw",))
    first = vault_of(examples, tmp_path, policy).answer(request(mode="raw")).disclosed
    assert first is not None
    kept = ~np.isin(examples.ids, first.ids[:2])
    again = (
        vault_of(examples, tmp_path, policy, may_leave=kept).answer(request(mode="raw")).disclosed
    )
    assert again is not None
    assert again.ids.tolist() == first.ids[2:].tolist()


def test_a_price_for_more_records_than_are_left_is_not_drawn_for(tmp_path: Path) -> None:
    # Another trainer's examples leave between this one's charge and its draw.
    policy = replace(GUMBEL, modes=("raw", "raw-gumbel"), records_at_least=600)
    vault = vault_of(drawn(600), tmp_path, policy)
    charge = vault._ledger.charge

    def overtaken(*of: Any) -> None:
        charge(*of)
        vault.answer(request(mode="raw", method="random"), "another trainer")

    vault._ledger.charge = overtaken  # type: ignore[method-assign]
    with pytest.raises(Refused, match="handed over meanwhile"):
        vault.answer(request(mode="raw-gumbel"))
    assert [row.mode for row in vault._ledger.rows()] == ["raw-gumbel", "raw"]


def test_a_drawn_card_says_how_likely_a_record_was_among_them(tmp_path: Path) -> None:
    card = vault_of(drawn(600), tmp_path, GUMBEL).answer(request(mode="raw-gumbel")).card
    assert card is not None
    chance = 1 - math.exp(-card.epsilon_minus_total)
    assert f"had a chance of at most {chance:.3g}" in card.promise()


def test_a_probe_that_one_record_answers_to_draws_at_random_where_a_crowd_is_asked_for(
    tmp_path: Path,
) -> None:
    one = Examples(hard_set().x[:1], np.array([1]))
    others = Examples(-2 + drawn(599).x, np.zeros(599, np.int64))
    policy = replace(
        GUMBEL, epsilon=2.0, delta=1e-5, answers=60, useful_at_least=20, strength=40.0,
        epsilon_minus=1e9,
    )  # fmt: skip
    plain = replace(policy, useful_at_least=0)
    asked = request(mode="raw-gumbel", k=1)
    got = dict.fromkeys(("plain", "crowd"), 0)
    for name, of in (("plain", plain), ("crowd", policy)):
        for seed in range(10):
            vault = vault_of(Examples.concatenate([one, others]), tmp_path / f"{name}{seed}", of)
            report = vault.answer(replace(asked, seed=seed))
            assert report.disclosed is not None
            got[name] += int(one.ids[0] in report.disclosed.ids)
            assert report.card is not None
            assert ("noised count" in report.card.promise()) == (name == "crowd")
            assert (report.card.rho > 0) == (name == "crowd")
    assert got == {"plain": 10, "crowd": 0}


@pytest.mark.parametrize(
    "changed",
    [{"answers": 1}, {"answers": 60}, {"noise_multiplier": 8.0}, {"noise_multiplier": 4.0}],
)
def test_that_any_count_of_a_crowd_errs_is_no_likelier_than_delta(changed: dict[str, Any]) -> None:
    policy = replace(GUMBEL, epsilon=2.0, delta=1e-5, useful_at_least=20, strength=1.0, **changed)
    terms = GumbelPlan.of(policy, 1, 0)
    crowd = terms.crowd
    assert crowd is not None
    budget, counts = Filter.of(2.0, 1e-5), 0
    while budget.admits([Spend(rho=terms.spend.rho)] * counts, Spend(rho=terms.spend.rho)):
        counts += 1
    assert counts >= 1
    # Where one is there too few, the noise alone must pass the margin; over it is what a Gaussian is.
    margin = math.sqrt(2 * math.log(1 / crowd.delta))
    assert counts * stats.norm.sf(margin) <= counts * math.exp(-(margin**2) / 2) * (1 + 1e-9)
    assert counts * math.exp(-(margin**2) / 2) <= 1e-5 * (1 + 1e-9)
