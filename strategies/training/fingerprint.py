"""What tells one run from another: a run is resumed only as what it was."""

from __future__ import annotations

import hashlib
import json

from strategies.training.trainer import Trainer

FREE_TO_CHANGE = ("timeout", "min-owners")
"""Settings that may differ when a run is resumed: they change no request and no score."""


def fingerprint(trainer: Trainer) -> str:
    """Names what a run belongs to: its settings, its task, the trainer's data and baseline."""
    settings = {k: v for k, v in trainer.config.settings().items() if k not in FREE_TO_CHANGE}
    task, splits = trainer.task, trainer.splits
    parts = [settings, list(task.classes), list(task.shape), str(task.dtype), task.model]
    hasher = hashlib.sha256(json.dumps(parts, sort_keys=True).encode())
    for part in (trainer.train, splits.selection, splits.scoring, splits.tuning):
        hasher.update(part.ids.tobytes() + part.y.tobytes())
    return hasher.hexdigest()
