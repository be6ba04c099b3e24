"""The limits of one trainer, and the checks of limits that an owner sets."""

from __future__ import annotations

import math
from dataclasses import dataclass

from mycroft_fl.errors import InputError
from mycroft_fl.protocol.keys import PublicKey


@dataclass(frozen=True)
class TrainerLimits:
    """A trainer that may ask, with limits of its own; None: those of all together.

    With a `key` it is whoever signs by it, whatever the name; without one, whom the name names.
    """

    name: str
    max_records: int | None = None
    epsilon: float | None = None
    epsilon_minus: float | None = None
    key: PublicKey | None = None
    max_requests: int | None = None

    @property
    def peer(self) -> str:
        """Who it is to the ledger."""
        return self.name if self.key is None else self.key.fingerprint

    def __post_init__(self) -> None:
        for name in ("epsilon", "epsilon_minus"):
            check_positive(self, name, f"trainers '{self.name}': ")
        for name in ("max_records", "max_requests"):
            check_at_least(self, name, 0, f"trainers '{self.name}': ")


def check_at_least(limits: object, name: str, least: int, of: str = "policy.") -> None:
    """Raise `InputError` where a number that is set is below `least`."""
    value = getattr(limits, name)
    if value is not None and value < least:
        raise InputError(f"{of}{name.replace('_', '-')} is {value}; it must be at least {least}")


def check_positive(limits: object, name: str, of: str = "policy.") -> None:
    """Raise `InputError` where a number that is set is not above 0, or not finite."""
    value = getattr(limits, name)
    if value is not None and not 0 < value < math.inf:
        raise InputError(f"{of}{name.replace('_', '-')} is {value}; it must be above 0 and finite")
