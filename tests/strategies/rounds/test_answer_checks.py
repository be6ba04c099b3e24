"""What is looked at in an answer: whether it is the hard set sent back, and whether it can be real."""

from __future__ import annotations

import numpy as np

from mycroft_fl.data.task import Task
from mycroft_fl.examples import Examples
from mycroft_fl.settings.run_config import RunConfig
from strategies.rounds.answer_checks import AnswerChecks
from strategies.training.trainer import Trainer, TrainerData


def test_the_hard_set_sent_back_is_noticed_and_honest_answers_are_not(usual, people):
    inspection = AnswerChecks(usual)
    assert inspection.has_copied(usual.hard_set.sent)
    assert not any(inspection.has_copied(people[name]) for name in ("useful", "plain", "noise"))


def test_jittered_copies_of_vectors_are_noticed_too(people):
    flat = {
        name: Examples(part.x.reshape(len(part), -1).astype(np.float32) / 255, part.y)
        for name, part in people.items()
    }
    task = Task(tuple("0123456789"), (64,), np.dtype(np.float32), "mlp")
    config = RunConfig(fit_epochs=10, hard_set_sent=12)
    asking = Trainer(task, TrainerData(flat["train"], flat["validation"]), config)
    inspection, hard = AnswerChecks(asking), asking.hard_set.sent
    moved = hard.x + np.random.default_rng(0).normal(0, 0.005, hard.x.shape).astype(np.float32)
    assert inspection.has_copied(Examples(moved, hard.y))
    assert inspection.could_be_real(hard)
    assert not any(inspection.has_copied(flat[name]) for name in ("useful", "plain", "noise"))
