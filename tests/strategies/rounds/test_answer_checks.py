"""Checks of an answer: copies of the hard set, exact or jittered, and rows that cannot be real."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mycroft_fl.data.sources import load_dataset
from mycroft_fl.data.task import Task
from mycroft_fl.examples import Examples
from mycroft_fl.settings.run_config import RunConfig
from strategies.rounds.answer_checks import (
    COPIES_TOLERATED,
    AnswerChecks,
    copy_radii,
    hard_set_copies,
    is_copying,
)
from strategies.training.trainer import Trainer, TrainerData

TRIALS = 40


def test_the_hard_set_sent_back_is_noticed_and_honest_answers_are_not(usual, people):
    checks = AnswerChecks(usual)
    assert checks.has_copied(usual.hard_set.sent)
    assert not any(checks.has_copied(people[name]) for name in ("useful", "plain", "noise"))


def test_jittered_copies_of_vectors_are_noticed_too(people):
    flat = {
        name: Examples(part.x.reshape(len(part), -1).astype(np.float32) / 255, part.y)
        for name, part in people.items()
    }
    task = Task(tuple("0123456789"), (64,), np.dtype(np.float32), "mlp")
    config = RunConfig(fit_epochs=10, hard_set_sent=12)
    trainer = Trainer(task, TrainerData(flat["train"], flat["validation"]), config)
    checks, hard = AnswerChecks(trainer), trainer.hard_set.sent
    moved = hard.x + np.random.default_rng(0).normal(0, 0.005, hard.x.shape).astype(np.float32)
    assert checks.has_copied(Examples(moved, hard.y))
    assert checks.could_be_real(hard)
    assert not any(checks.has_copied(flat[name]) for name in ("useful", "plain", "noise"))


@pytest.fixture(scope="module")
def digits() -> Examples:
    return load_dataset("digits", Path()).examples


def hard_and_others(digits: Examples, seed: int, sent: int) -> tuple[Examples, Examples, Examples]:
    """`sent` hard digits of five classes, 300 others of the trainer's, and all that is left."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(digits))
    classes = rng.choice(10, 5, replace=False)
    of_class = [order[digits.y[order] == label] for label in classes]
    hard = np.concatenate([rows[: max(1, sent // 5)] for rows in of_class])
    rest = order[~np.isin(order, hard)]
    return digits[hard], digits[rest[:300]], digits[rest[300:]]


def nearest_of_same_class(owner: Examples, hard: Examples, k: int) -> Examples:
    """What a feature method picks: each hard example in turn takes its nearest neighbour."""
    left, right = (each.x.reshape(len(each), -1).astype(float) for each in (owner, hard))
    apart = np.linalg.norm(left[:, None] - right[None], axis=2)
    apart[owner.y[:, None] != hard.y[None]] = np.inf
    picks: list[int] = []
    while len(picks) < k:
        for column in range(min(len(hard), k - len(picks))):
            pick = int(apart[:, column].argmin())
            apart[pick] = np.inf
            picks.append(pick)
    return owner[np.array(picks)]


@pytest.mark.parametrize("sent", [5, 15, 60])
def test_exact_copies_are_caught_whatever_label_they_carry(digits, sent):
    hard, others, _ = hard_and_others(digits, 0, sent)
    radii = copy_radii(hard, others)
    relabelled = Examples(hard.x, (hard.y + 1) % 10)
    for copies in (hard, relabelled):
        assert hard_set_copies(copies, hard, radii).all()
        assert is_copying(copies, hard, radii)


@pytest.mark.parametrize("sent", [5, 15, 60])
@pytest.mark.parametrize("deviation", [1, 3, 6])
def test_slightly_jittered_copies_are_caught(digits, sent, deviation):
    for seed in range(5):
        hard, others, _ = hard_and_others(digits, seed, sent)
        noise = np.random.default_rng(seed).normal(0, deviation, hard.x.shape)
        jittered = Examples(np.clip(hard.x + noise, 0, 255).astype(np.uint8), hard.y)
        assert is_copying(jittered, hard, copy_radii(hard, others))


@pytest.mark.parametrize("sent", [5, 15, 60])
def test_owners_with_the_nearest_natural_neighbours_are_not_accused(digits, sent):
    """The owner holds all digits that the trainer does not: four times as many."""
    flagged, accused = [], 0
    for seed in range(TRIALS):
        hard, others, owner = hard_and_others(digits, seed, sent)
        radii = copy_radii(hard, others)
        answer = nearest_of_same_class(owner, hard, 15)
        flagged.append(hard_set_copies(answer, hard, radii).mean())
        accused += is_copying(answer, hard, radii)
    # Measured: none of 120 answers, no example in 1,800.
    assert accused == 0
    assert np.mean(flagged) <= 0.002


def test_a_few_copies_are_tolerated_and_one_more_is_not(digits):
    hard, others, owner = hard_and_others(digits, 3, 15)
    radii = copy_radii(hard, others)
    honest = owner[:20][~hard_set_copies(owner[:20], hard, radii)]
    for copies, caught in ((2, False), (3, True)):
        answer = Examples.concatenate([hard[:copies], honest[: 20 - copies]])
        assert hard_set_copies(answer, hard, radii).sum() == copies
        assert is_copying(answer, hard, radii) is caught
    assert COPIES_TOLERATED == 2 / 20


def test_an_empty_answer_copies_nothing(digits):
    hard, others, _ = hard_and_others(digits, 0, 15)
    radii = copy_radii(hard, others)
    assert hard_set_copies(digits[:0], hard, radii).shape == (0,)
    assert not is_copying(digits[:0], hard, radii)


def test_what_the_trainer_holds_twice_does_not_hide_copies(digits):
    hard, others, _ = hard_and_others(digits, 0, 15)
    with_hard = Examples.concatenate([others, hard])
    np.testing.assert_array_equal(copy_radii(hard, with_hard), copy_radii(hard, others))


def test_a_lone_hard_example_is_copied_only_exactly(digits):
    hard = digits[:1]
    radii = copy_radii(hard, digits[:0])
    assert radii.tolist() == [0.0]
    assert is_copying(hard, hard, radii)
    assert not is_copying(digits[1:2], hard, radii)


def test_vectors_are_compared_as_images_are():
    rng = np.random.default_rng(0)
    hard = Examples(rng.normal(size=(4, 6)).astype(np.float32), np.zeros(4, np.int64))
    others = Examples(rng.normal(size=(30, 6)).astype(np.float32), np.zeros(30, np.int64))
    radii = copy_radii(hard, others)
    both = np.concatenate([hard.x, others.x])
    wanted = [
        min(np.linalg.norm(each - row) for each in both if (each != row).any()) / 3
        for row in hard.x
    ]
    np.testing.assert_allclose(radii, wanted, rtol=1e-5)
    moved = Examples(hard.x + np.float32(0.9 * radii.min() / np.sqrt(6)), hard.y)
    assert hard_set_copies(moved, hard, radii).all()
