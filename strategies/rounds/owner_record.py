"""The trainer's records: of each owner, and of each round."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import numpy as np

from mycroft_fl.examples import Examples
from mycroft_fl.protocol.card import Card
from mycroft_fl.protocol.messages import Failure
from mycroft_fl.scoring import Score

Status = Literal["scored", "screened", "failed", "not-asked"]


@dataclass(frozen=True)
class RoundRecord:
    """One round: counts of owners asked and that answered, failures, examples disclosed."""

    round: int
    asked: int
    answered: int
    failed: dict[str, Failure]
    disclosed: int
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """Write the record as one line of `rounds.jsonl`."""
        return asdict(self)


@dataclass(frozen=True)
class OwnerRecord:
    """All that the trainer knows of one owner.

    `lost` counts what it may have disclosed without the trainer seeing it: answers that came too
    late or in no usable form. `screening` is the cheap score, which orders those that were not
    scored by fine-tuning;
    `exhausted` once it had less to give than was asked. `stock` is how many useful records it has by a
    noised count, where one was asked for. `cards` are what it stated about its answers,
    `by_class` its scores class by class, where score.by = class.
    """

    owner: str
    acquired: tuple[Examples, ...] = field(default=(), repr=False)
    score: Score | None = None
    screening: float | None = None
    failure: Failure | None = None
    lost: int = 0
    exhausted: bool = False
    stock: float | None = None
    cards: tuple[Card, ...] = ()
    by_class: Mapping[str, Score] = field(default_factory=dict)

    @property
    def status(self) -> Status:
        """Scored by fine-tuning, only screened, failed without ever answering, or never asked."""
        if self.score is not None:
            return "scored"
        if self.screening is not None:
            return "screened"
        return "failed" if self.failure else "not-asked"

    @property
    def disclosed(self) -> int:
        """Number of examples that this owner has handed over."""
        return sum(len(part) for part in self.acquired)

    @property
    def promise(self) -> float:
        """What may be expected of asking it for more: its stock, weighted by the share that is useful."""
        if self.score is None:
            return 0.0
        if self.stock is None:
            return self.score.expected
        return max(0.0, self.stock) * max(0.0, self.score.gain)

    @property
    def does_harm(self) -> bool:
        """Whether its examples make the model worse beyond doubt."""
        return self.score is not None and self.score.is_harmful

    @property
    def spent(self) -> int:
        """Cost of this owner to the budget, seen or not."""
        return self.disclosed + self.lost

    def holds_again(self, answer: Examples) -> bool:
        """Check whether any of an answer was handed over before: nobody pays twice for one example."""
        return any(np.isin(answer.ids, part.ids).any() for part in self.acquired)

    def with_failure(self, code: Failure, asked: int) -> OwnerRecord:
        """Record an answer that failed. A refusal discloses nothing; anything else may have."""
        lost = 0 if code == "refused" else asked
        return replace(self, failure=code, lost=self.lost + lost)

    def subset(self) -> Examples:
        """Join all that this owner has handed over."""
        return Examples.concatenate(list(self.acquired))

    def with_answer(self, disclosed: Examples, asked: int) -> OwnerRecord:
        """Record one more answer to a request for `asked` examples. Fewer are all that it has."""
        return replace(
            self,
            acquired=(*self.acquired, disclosed),
            exhausted=len(disclosed) < asked,
            failure=None,
        )


def ranked(records: list[OwnerRecord]) -> list[tuple[OwnerRecord, int | None]]:
    """Rank owners from most to least worth; the failed and not asked have none.

    By stock and share of useful records where these were counted, else as scores are ordered. Behind
    them the screened by their cheap score, then who answered with nothing: from them there is
    nothing to buy, however certain their zero is. Names settle ties, so that a ranking never
    depends on the order of arrival.
    """

    def key(each: OwnerRecord) -> tuple[int, float, float, str]:
        if each.exhausted and each.disclosed == 0:
            return (2, 0.0, 0.0, each.owner)
        if each.score is not None:
            first, second = each.score.order
            return (0, -first if each.stock is None else -each.promise, -second, each.owner)
        if each.screening is not None:
            return (1, -each.screening, 0.0, each.owner)
        return (3 if each.failure else 4, 0.0, 0.0, each.owner)

    ordered = sorted(records, key=key)
    return [
        (each, place if each.status in ("scored", "screened") else None)
        for place, each in enumerate(ordered, start=1)
    ]
