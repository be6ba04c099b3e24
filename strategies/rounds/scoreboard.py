"""The trainer's scoreboard: what every owner has given, cost and proved to be worth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace

from mycroft_fl.errors import NotEnoughOwners
from mycroft_fl.examples import Examples
from mycroft_fl.protocol.card import Card
from mycroft_fl.protocol.messages import Failure
from mycroft_fl.scoring import Score
from mycroft_fl.settings.run_config import RunConfig
from strategies.rounds.owner_record import OwnerRecord, ranked

WORTHLESS = Score(0.0, 0.0, 0.0)
"""Score of an owner that answered with nothing: it has nothing that helps, and that is certain."""


class Scoreboard:
    """The record of every owner that is there, kept by name."""

    def __init__(self, owners: Iterable[str] = ()) -> None:
        self.records: dict[str, OwnerRecord] = {name: OwnerRecord(name) for name in sorted(owners)}

    @classmethod
    def of(cls, records: Mapping[str, OwnerRecord]) -> Scoreboard:
        """Make a scoreboard of these records."""
        scoreboard = cls()
        scoreboard.records = dict(sorted(records.items()))
        return scoreboard

    @property
    def disclosed(self) -> int:
        """Examples that owners have handed over so far."""
        return sum(each.disclosed for each in self.records.values())

    @property
    def spent(self) -> int:
        """Cost of all owners to the budget, seen by the trainer or lost on the way."""
        return sum(each.spent for each in self.records.values())

    @property
    def failures(self) -> Counter[Failure]:
        """Number of owners per failure code."""
        return Counter(each.failure for each in self.records.values() if each.failure)

    @property
    def buys_nothing(self) -> bool:
        """Whether owners were scored, and none gains anything beyond doubt."""
        scores = [each.score for each in self.records.values() if each.score is not None]
        return bool(scores) and not any(score.is_clear for score in scores)

    def ranking(self) -> list[tuple[OwnerRecord, int | None]]:
        """List owners from most to least worth, with their rank."""
        return ranked(list(self.records.values()))

    def open_to_more(self) -> dict[str, OwnerRecord]:
        """Find who has given something and may have more of it."""
        return {
            name: each
            for name, each in self.records.items()
            if each.acquired and not each.exhausted
        }

    def stocks(self, owners: Iterable[str]) -> dict[str, int]:
        """Say how many useful records these owners have left, where that was counted."""
        return {
            name: max(0, int(each.stock - each.disclosed))
            for name, each in sorted(self.records.items())
            if name in owners and each.stock is not None
        }

    def require_enough(self, answered: int, config: RunConfig) -> None:
        """Check that enough answered. `NotEnoughOwners`, with a count of every code, if not."""
        if answered >= config.min_owners:
            return
        if not answered and set(self.failures) == {"refused"}:
            raise NotEnoughOwners(
                f"all {self.failures['refused']} refused: policies, or the keys that owners admit, do not "
                "allow what is asked; see the owners' logs, and ask for what they allow"
            )
        codes = ", ".join(f"{count} {code}" for code, count in sorted(self.failures.items()))
        raise NotEnoughOwners(
            f"{answered} owners answered within {config.timeout:g} s"
            + (f" ({codes})" if codes else "")
            + f", fewer than min-owners = {config.min_owners}; an owner's log, or the run's "
            "flower.log, has the cause; raise timeout, or lower min-owners"
        )

    def acquired(self) -> Examples | None:
        """Join all that was acquired, in the order of owners' names; None while there is nothing."""
        parts = [each.subset() for _, each in sorted(self.records.items()) if each.disclosed]
        return Examples.concatenate(parts) if parts else None

    def worth_having(self) -> Examples | None:
        """Join what was acquired, in the order of owners' names, but from owners known to do harm.

        None while there is nothing.
        """
        parts = [
            each.subset()
            for _, each in sorted(self.records.items())
            if each.disclosed and not each.does_harm
        ]
        return Examples.concatenate(parts) if parts else None

    def subsets(self, owners: Iterable[str]) -> dict[str, Examples]:
        """Collect all that each of these owners has handed over; those that gave nothing are left out."""
        return {
            name: self.records[name].subset() for name in owners if self.records[name].disclosed
        }

    def enter_answer(self, owner: str, disclosed: Examples, asked: int) -> None:
        """Enter what an owner that was asked for `asked` examples has handed over, perhaps nothing."""
        answered = self.records[owner].with_answer(disclosed, asked)
        if not answered.disclosed:
            answered = replace(answered, score=WORTHLESS)
        self.records[owner] = answered

    def enter_card(self, owner: str, card: Card | None) -> None:
        """Enter what an owner states about an answer; an answer without a card promises nothing."""
        if card is not None:
            record = self.records[owner]
            self.records[owner] = replace(record, failure=None, cards=(*record.cards, card))

    def scored(self) -> dict[str, Score]:
        """List the scores of those that may have something to give."""
        return {
            name: each.score
            for name, each in self.records.items()
            if each.score is not None and not each.exhausted
        }

    def enter_failure(self, owner: str, code: Failure, asked: int) -> None:
        """Enter that an owner was asked for `asked` examples and failed."""
        self.records[owner] = self.records[owner].with_failure(code, asked)

    def enter_scores(self, scores: Mapping[str, Score]) -> None:
        """Enter what fine-tuning says of these owners."""
        for owner, score in scores.items():
            self.records[owner] = replace(self.records[owner], score=score)

    def enter_stock(self, owner: str, score: Score, stock: float) -> None:
        """Enter what a noised count says of an owner: the share of useful records, and how many."""
        self.records[owner] = replace(self.records[owner], score=score, stock=stock)

    def enter_class_scores(self, owner: str, score: Score, classes: Mapping[str, Score]) -> None:
        """Enter what an owner says of itself under noise: its score, and one for each class."""
        self.records[owner] = replace(self.records[owner], score=score, by_class=classes)

    def enter_screening(self, alignments: Mapping[str, float]) -> None:
        """Enter what the cheap score says of these owners."""
        for owner, alignment in alignments.items():
            self.records[owner] = replace(self.records[owner], screening=alignment)
