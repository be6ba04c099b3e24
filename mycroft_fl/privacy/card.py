"""The privacy card: what is promised about one release, and what is not."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

RAW = "raw"
TARGET = "publish-target"
PROMISES = ("epsilon", "epsilon_total", "rho", "rho_total")
ADJACENCY = "add or remove one unit; how many there are is private"


@dataclass(frozen=True)
class Card:
    """What an owner states about one answer and about all it has given this trainer so far.

    Numbers are per `unit`, a record or a person. `epsilon` and `rho` are of this answer alone,
    `..._total` of all noised answers to this trainer together; `epsilon_limit` is what the ledger
    enforces over all trainers. Where nothing is promised they are 0 here, and null in a result file:
    an epsilon of 0 would be the strongest promise of all.
    `epsilon_minus_total` is for the choice of drawn examples. `noise` is where the randomness came
    from; `raw` that examples were handed over by a choice without noise, now or before.
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
        """What weakens the promise."""
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
        """What must be true for the promise to hold."""
        if self.mode == RAW:
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
        ]

    def promise(self) -> str:
        """What is promised, in one or two sentences."""
        if self.mode == RAW:
            return (
                f"These {self.records} records are disclosed in full to the trainer. "
                "No differential privacy applies to them."
            )
        if self.mode == "raw-gumbel":
            return (
                f"These {self.records} records are disclosed in full to the trainer. Of any other "
                f"{self.unit}, the choices made for this trainer tell no more than epsilon-minus = "
                f"{self.epsilon_minus_total:.3g}; that it was itself among those drawn had a chance "
                f"of at most {-math.expm1(-self.epsilon_minus_total):.3g}."
                + (self._of_the_count() if self.rho else "")
            )
        if self.mode == TARGET:
            return (
                f"(epsilon {self.epsilon:.3g}, delta {self.delta:g}) per {self.unit}, toward the owners "
                f"that are asked and whoever else sees a request, {ADJACENCY}; drawn once for the whole "
                f"run, never above epsilon {self.epsilon_limit:g}."
            )
        if self.mode.startswith("publish-"):
            return (
                f"(epsilon {self.epsilon:.3g}, delta {self.delta:g}) per {self.unit}, toward whoever "
                f"reads what is published and not toward the trainer, {ADJACENCY}; all rounds together "
                f"epsilon {self.epsilon_total:.3g}, never above {self.epsilon_limit:g}."
            )
        return (
            f"(epsilon {self.epsilon:.3g}, delta {self.delta:g}) per {self.unit}, {ADJACENCY}; with all "
            f"earlier answers to this trainer epsilon {self.epsilon_total:.3g} (rho {self.rho_total:.3g}), "
            f"and never above {self.epsilon_limit:g} over all trainers. "
            f"delta is the chance that is left out of the promise."
        )

    def _of_the_count(self) -> str:
        return (
            f" The noised count of useful records, on which the choice hangs, costs epsilon "
            f"{self.epsilon:.3g} at delta {self.delta:g} per {self.unit}, {ADJACENCY}; that any of all the "
            "counts that the budget pays for finds too many has a chance of no more than another delta."
        )

    def as_json(self) -> dict[str, Any]:
        """The card in a result file: the numbers, and what they mean."""
        promised = {name: getattr(self, name) or None for name in PROMISES}
        return {
            **asdict(self),
            **promised,
            "adjacency": ADJACENCY,
            "promise": self.promise(),
            "taints": self.taints(),
            "assumptions": self.assumptions(),
        }
