"""The words of a trainer's texts in its task, where something counts them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mycroft_fl.data.task import TFIDF, Task
from mycroft_fl.encoders.word_counts import Vocabulary
from mycroft_fl.settings.run_config import RunConfig
from mycroft_fl.settings.space_names import encoder_within
from mycroft_fl.texts import as_texts


def with_words(task: Task, x: np.ndarray, config: RunConfig) -> Task:
    """Return the task with the words of the texts `x`, and its model's name by these.

    Words of the trainer's texts go to owners where something counts them, and only there.
    """
    names = (task.model, config.feature_space, config.proxy)
    if not task.holds_texts or TFIDF not in map(encoder_within, names):
        return task
    task = replace(task, vocabulary=Vocabulary.fitted(as_texts(x)))
    return replace(task, model=task.named(task.model))


def named_by(task: Task, config: RunConfig) -> RunConfig:
    """Return the settings with their encoders as the task means them."""
    return replace(
        config, feature_space=task.named(config.feature_space), proxy=task.named(config.proxy)
    )
