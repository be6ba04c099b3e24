"""The warnings that a trainer can give of its own run: reasons to doubt its figures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from mycroft_fl.metrics.names import WORST_GROUP
from mycroft_fl.selection.methods import sent_in
from strategies.rounds.plans import plans_of
from strategies.rounds.scoreboard import Scoreboard
from strategies.training.trainer import Trainer

LEAST_AGREEMENT = 0.1
MANY_SUSPECTS = 0.04
"""Of clean validation examples of seven tasks 0 to 3 % looked so."""


def of_metric(trainer: Trainer) -> Iterator[str]:
    """Say why auto took a metric other than accuracy, and where the trainer cannot go by its metric."""
    metric, splits = trainer.metric, trainer.splits
    if metric.reason:
        yield f"metric = auto is {metric.name} here: {metric.reason}"
    if metric.kind == WORST_GROUP:
        yield (
            "metric = worst-group: the trainer knows no groups, so its choices and scores go by the "
            "worst class"
        )
    for what, split in (("scores of owners", splits.scoring), ("choices on tuning", splits.tuning)):
        if metric.label is not None and not (split.y == metric.label).any():
            yield (
                f"metric = {metric.name}: {what} have no example of that class to go by; give more of it "
                "in validation"
            )


def of_hard_set(trainer: Trainer, wanted: int) -> Iterator[str]:
    """Warn of a hard set that is too small or does not agree with itself. Of a detector, none is sent."""
    if sent_in(trainer.config) == "detector":
        return
    sent = len(trainer.hard_set.sent)
    if sent < wanted:
        yield f"only {sent} hard examples were found, {wanted} were to be sent"
    agreement = trainer.hard_set_agreement()
    if agreement < LEAST_AGREEMENT:
        yield (
            f"the hard set does not agree with itself (halves at cosine {agreement:.2f}): it is too "
            "small or too mixed to say what the model lacks; send more with hard-set.sent"
        )


def of_suspects(trainer: Trainer) -> Iterator[str]:
    """Say how many labels look wrong, where so many do that somebody should look."""
    found = int(trainer.knowledge.suspects.sum())
    if found > MANY_SUSPECTS * len(trainer.knowledge.suspects):
        yield (
            f"{found} of {len(trainer.knowledge.suspects)} validation labels look wrong and were left out "
            "of what is learnt: no failure near has that label, and what is near is of the class that the "
            "model says; look at them"
        )


def of_noise(scoreboard: Scoreboard) -> Iterator[str]:
    """Warn of noise that its receiver could repeat."""
    cards = [card for each in scoreboard.records.values() for card in each.cards]
    if any(card.noise == "SIMULATED" for card in cards):
        yield "SIMULATED noise: whoever knows the seed can subtract it; nothing is hidden"


def of_nothing_acquired(mode: str, scoreboard: Scoreboard) -> Iterator[str]:
    """Warn where examples were to be handed over and none was."""
    if any(plan.hands_over for plan in plans_of(mode)) and not scoreboard.disclosed:
        yield "nothing was acquired: no owner handed anything over"


def of_processes(asked_again: Iterable[str]) -> Iterator[str]:
    """Warn of owners whose process died while they were asked."""
    names = sorted(asked_again)
    if names:
        yield (
            f"the process that answered for {', '.join(names)} died, as for want of memory, and they were "
            "asked again; the run's flower.log, or the owner's SuperNode, has the cause"
        )


def of_owners(expected: Sequence[str], scoreboard: Scoreboard) -> Iterator[str]:
    """Warn of owners that were not there or failed, and where none is worth its examples."""
    absent = [name for name in expected if name not in scoreboard.records]
    if absent:
        yield f"did not connect and were not asked: {', '.join(absent)}"
    failed = [f"{n} ({each.failure})" for n, each in scoreboard.records.items() if each.failure]
    if failed:
        yield (
            f"failed, so the ranking is of the others alone: {', '.join(failed)}; an owner's log, or the "
            "run's flower.log, has the cause"
        )
    judged = any(each.status in ("scored", "screened") for each in scoreboard.records.values())
    idle = [name for name, each in scoreboard.records.items() if each.status == "not-asked"]
    if judged and idle:
        yield (
            f"not asked, so that nobody knows their worth: {', '.join(idle)}; raise budget, or lower "
            "pilot-per-owner"
        )
    if scoreboard.buys_nothing:
        yield "no owner by itself gains anything beyond doubt"
