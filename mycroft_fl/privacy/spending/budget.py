"""Budgets of an owner: what may leave in all, over everybody and for one trainer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mycroft_fl.errors import Refused
from mycroft_fl.privacy.noise.accounting import Filter, Spend

OVER_ALL, FOR_PEER = "over all trainers", "for this trainer"


@dataclass(frozen=True)
class Budget:
    """Limits that hold for ever. `records` and `requests` None: no limit; others None: nothing.

    `requests` bounds how many answers leave, of whatever kind: one that finds nothing is one too.
    """

    records: int | None = None
    privacy: Filter | None = None
    epsilon_minus: float | None = None
    requests: int | None = None

    @classmethod
    def of(
        cls,
        records: int | None = None,
        epsilon: float | None = None,
        delta: float = 1e-6,
        epsilon_minus: float | None = None,
        *,
        requests: int | None = None,
    ) -> Budget:
        """Return a budget from the numbers of an owner's file.

        Args:
            records: how many may leave as they are; None: any number.
            epsilon: of all noised answers; None: there are to be none.
            delta: beside `epsilon`.
            epsilon_minus: of all drawn answers; None: there are to be none.
            requests: how many are answered; None: any number.
        """
        privacy = None if epsilon is None else Filter.of(epsilon, delta)
        return cls(records, privacy, epsilon_minus, requests)

    def check(self, earlier: Sequence[Spend], spend: Spend, whose: str) -> None:
        """Raise `Refused` where `spend` on top of `earlier` would pass a limit; data plays no part."""
        if self.requests is not None:
            answered = sum(each.requests for each in earlier)
            if answered + spend.requests > self.requests:
                raise Refused(
                    f"all {self.requests} requests that are answered {whose} were answered"
                )
        records = sum(each.records for each in earlier) + spend.records
        if self.records is not None and spend.records and records > self.records:
            raise Refused(
                f"{spend.records} more records would pass the limit of {self.records} {whose}"
            )
        if spend.rho or spend.sgd:
            self._check_privacy(earlier, spend, whose)
        if spend.epsilon_minus:
            spent = sum(each.epsilon_minus for each in earlier)
            limit = self.epsilon_minus or 0.0
            if spent + spend.epsilon_minus > limit * (1 + 1e-9):
                raise Refused(
                    f"{spend.epsilon_minus:.4g} more would pass the epsilon-minus of {limit:g} {whose} "
                    f"(spent: {spent:.4g})"
                )

    def records_left(self, earlier: Sequence[Spend], whose: str) -> int | None:
        """Return how many more records may leave; None where any number may.

        Raises `Refused` once there are none.
        """
        if self.records is None:
            return None
        left = self.records - sum(each.records for each in earlier)
        if left <= 0:
            raise Refused(f"all {self.records} records that may leave {whose} have left")
        return left

    def _check_privacy(self, earlier: Sequence[Spend], spend: Spend, whose: str) -> None:
        if self.privacy is None:
            raise Refused(f"there is no epsilon {whose} to pay this release from")
        if not self.privacy.admits(earlier, spend):
            would, spent = (
                self.privacy.epsilon_with(each) for each in ([*earlier, spend], earlier)
            )
            raise Refused(
                f"this release would bring epsilon to {would:.3g}, over the {self.privacy.epsilon:g} "
                f"{whose} (spent: {spent:.3g}, delta: {self.privacy.delta:g})"
            )

    def as_json(self) -> dict[str, Any]:
        """Return the numbers, as an owner writes them."""
        return {
            "records": self.records,
            "epsilon": self.privacy.epsilon if self.privacy else None,
            "delta": self.privacy.delta if self.privacy else None,
            "epsilon-minus": self.epsilon_minus,
            "requests": self.requests,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Budget:
        """Return the budget that `as_json` wrote."""
        return cls.of(
            content["records"],
            content["epsilon"],
            content["delta"] or 1e-6,
            content["epsilon-minus"],
            requests=content.get("requests"),  # older ledgers noted none
        )


@dataclass(frozen=True)
class Limits:
    """A budget over all trainers together, and one for the trainer that asks."""

    overall: Budget
    peer: Budget | None = None

    def check(self, by_all: Sequence[Spend], by_peer: Sequence[Spend], spend: Spend) -> None:
        """Raise `Refused` where `spend` would pass either budget."""
        self.overall.check(by_all, spend, OVER_ALL)
        if self.peer is not None:
            self.peer.check(by_peer, spend, FOR_PEER)

    def records_left(self, by_all: Sequence[Spend], by_peer: Sequence[Spend]) -> int | None:
        """Return how many more records both budgets allow; None: any number. Raises `Refused` at none."""
        left = [self.overall.records_left(by_all, OVER_ALL)]
        if self.peer is not None:
            left.append(self.peer.records_left(by_peer, FOR_PEER))
        return min((each for each in left if each is not None), default=None)
