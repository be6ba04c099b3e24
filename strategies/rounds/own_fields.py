"""The fields that only some modes of a request bring, and the numbers that their answers have."""

from __future__ import annotations

from typing import Any

from mycroft_fl.examples import hard_classes
from mycroft_fl.protocol.messages import COUNTS
from strategies.rounds.run_state import Progress


def score_numbers(progress: Progress) -> int:
    """Count the numbers of a score."""
    if progress.config.score_by == "class":
        return len(hard_classes(progress.trainer.hard_set.sent)) + COUNTS
    return 1 + COUNTS


def scored_by(progress: Progress) -> dict[str, Any]:
    """Say by what owners are to score."""
    return {"score_by": progress.config.score_by}


def head_numbers(progress: Progress) -> int:
    """Count the numbers of a last layer."""
    return progress.steps.head.size if progress.steps else 0


def gradient_numbers(progress: Progress) -> int:
    """Count the numbers of a gradient."""
    return progress.steps.values if progress.steps else 0


def at_head(progress: Progress) -> dict[str, Any]:
    """Give where a gradient is to be taken, and by which whitening."""
    steps = progress.steps
    return {"head": steps.head, "whitening": steps.whitening.matrix} if steps else {}


def at_rate(progress: Progress) -> dict[str, Any]:
    """Give where owners' training begins, and how far a step goes."""
    return {"rate": progress.steps.rate, "head": progress.steps.head} if progress.steps else {}
