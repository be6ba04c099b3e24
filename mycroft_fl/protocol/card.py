"""The privacy card: what is promised about one release, and what is not."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from mycroft_fl.modes import COUNTS, MODES, mode_of, resolved

TARGET = "publish-target"
PROMISES = ("epsilon", "epsilon_total", "rho", "rho_total")
ADJACENCY = "add or remove one unit; how many there are is private"


@dataclass(frozen=True)
class Card:
    """The statement of an owner about one answer and about all it has given this trainer so far.

    Numbers are per `unit`, a record or a person. `epsilon` and `rho` are of this answer alone,
    `..._total` of all noised answers to this trainer together; `epsilon_limit` is what the ledger
    enforces over all trainers. Where nothing is promised they are 0 here, and null in a result file:
    an epsilon of 0 would be the strongest promise of all.
    `records` were handed over in this answer, `records_total` to this trainer in all.
    `epsilon_minus_total` is for the choice of drawn examples. `noise` is where the randomness came
    from; `raw` that this trainer was given examples by a choice without noise, now or before.
    """

    mode: str
    unit: str
    records: int
    records_total: int
    delta: float
    epsilon: float
    epsilon_total: float
    rho: float
    rho_total: float
    epsilon_limit: float
    epsilon_minus_total: float
    noise: str
    raw: bool

    def taints(self) -> list[str]:
        """Say what weakens the promise."""
        found = []
        if self.noise == "SIMULATED":
            found.append(
                "SIMULATED: the noise can be repeated by whoever knows the seed; nothing is hidden"
            )
        if self.raw:
            found.append(
                "examples were chosen without noise: of those that were not chosen, too, something is "
                "known that no epsilon covers"
            )
        return found

    def assumptions(self) -> list[str]:
        """Say what must be true for the promise to hold."""
        if self.mode in MODES and MODES[self.mode].by_method:
            return []
        if self.mode == TARGET:
            return [
                "the model, and who else is among the hard examples, count as given: where there are more "
                "than are sent, one may push another out, and the two are a group of 2 (rho grows by 4)",
                "owners learn of the hard examples by nothing else: fine-tunes that score them leave "
                "them out",
            ]
        if self.mode.startswith("publish-"):
            return [
                f"one {self.unit} changes nothing of who was asked for what; what was acquired counts "
                "as given",
            ]
        of_unit = "one record" if self.unit == "record" else "all records of one person"
        return [
            f"what {of_unit} can add is bounded, and every record is looked at by itself",
            "the owner runs the vault, and its random numbers come from its operating system"
            if self.noise != "SIMULATED"
            else "none: simulated noise promises nothing",
            f"copies of one {self.unit} under other names count as a group: of m, rho grows by m^2",
            "what other trainers were given is not counted here; trainers that put their answers together "
            "know the sum, which the owner's limits bound",
        ]

    def promise(self) -> str:
        """Say what is promised, in one or two sentences."""
        if self.mode in MODES or self.mode == COUNTS.name:
            said: str = resolved(mode_of(self.mode).promise)(self)
            return said
        if self.mode == TARGET:
            return (
                f"(epsilon {self.epsilon:.3g}, delta {self.delta:g}) per {self.unit}, toward the owners "
                f"that are asked and whoever else sees a request, {ADJACENCY}; drawn once for the whole "
                f"run, never above epsilon {self.epsilon_limit:g}."
            )
        return (
            f"(epsilon {self.epsilon:.3g}, delta {self.delta:g}) per {self.unit}, toward whoever "
            f"reads what is published and not toward the trainer, {ADJACENCY}; all rounds together "
            f"epsilon {self.epsilon_total:.3g}, never above {self.epsilon_limit:g}."
        )

    def together(self) -> str:
        """Sum up, in one statement, all answers of all modes that this trainer was given so far.

        A noised number and a drawn choice both tell of a record that was not handed over, so epsilon
        and epsilon-minus add up (basic composition; the count's epsilon is part of the first).
        """
        if self.mode.startswith("publish-"):
            return ""
        given = f"In all, this trainer was given {self.records_total} records in full."
        if self.raw:
            return f"{given} Some were chosen without noise, so no number bounds what it knows of the others."
        total = self.epsilon_total + self.epsilon_minus_total
        return (
            f"{given} Of any other {self.unit}, all its answers together tell at most epsilon {total:.3g} "
            f"at delta {self.delta:g}: {self.epsilon_total:.3g} by noised numbers, "
            f"{self.epsilon_minus_total:.3g} by the choice of drawn examples. That it was itself among "
            f"those drawn had a chance of at most {-math.expm1(-self.epsilon_minus_total):.3g}."
        )

    def as_json(self) -> dict[str, Any]:
        """Give the card in a result file: the numbers, and what they mean."""
        promised = {name: getattr(self, name) or None for name in PROMISES}
        return {
            **asdict(self),
            **promised,
            "adjacency": ADJACENCY,
            "promise": self.promise(),
            "together": self.together(),
            "taints": self.taints(),
            "assumptions": self.assumptions(),
        }


def disclosed_promise(card: Card) -> str:
    """Say that what was handed over as it is has no privacy."""
    return (
        f"These {card.records} records are disclosed in full to the trainer. "
        "No differential privacy applies to them."
    )


def drawn_promise(card: Card) -> str:
    """Say what a choice made at random tells of the records that were not drawn."""
    return (
        f"These {card.records} records are disclosed in full to the trainer. Of any other "
        f"{card.unit}, the choices made for this trainer tell no more than epsilon-minus = "
        f"{card.epsilon_minus_total:.3g}; that it was itself among those drawn had a chance "
        f"of at most {-math.expm1(-card.epsilon_minus_total):.3g}."
        + (_promise_of_the_count(card) if card.rho else "")
    )


def noised_promise(card: Card) -> str:
    """Say what noised numbers tell of one unit, this time and in all."""
    return (
        f"(epsilon {card.epsilon:.3g}, delta {card.delta:g}) per {card.unit}, {ADJACENCY}; with all "
        f"earlier answers to this trainer epsilon {card.epsilon_total:.3g} (rho {card.rho_total:.3g}), "
        f"and never above {card.epsilon_limit:g} over all trainers. "
        f"delta is the chance that is left out of the promise."
    )


def _promise_of_the_count(card: Card) -> str:
    return (
        f" The noised count of useful records, on which the choice hangs, costs epsilon "
        f"{card.epsilon:.3g} at delta {card.delta:g} per {card.unit}, {ADJACENCY}; that any of all the "
        "counts that the budget pays for finds too many has a chance of no more than another delta."
    )
