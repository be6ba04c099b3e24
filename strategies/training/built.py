"""A task's model as it is built: by whom it is trained is the trainer's to say."""

from __future__ import annotations

from mycroft_fl.data.task import Task
from mycroft_fl.models.catalogue import build_model
from mycroft_fl.models.fitting import AnyModel


def built(task: Task, *, seed: int) -> AnyModel:
    """Return a task's model: a network with weights drawn from `seed`, or an unfitted classifier.

    One that was given in memory comes as it stands.
    """
    return build_model(task.model, task.shape, task.num_classes, seed=seed, table=task.table)
