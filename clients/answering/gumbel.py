"""The draw of examples (`raw-gumbel`): its price, and how it goes once that is paid."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from clients.answering.policy import Policy
from mycroft_fl.errors import Refused
from mycroft_fl.privacy.noise.accounting import Filter, Spend
from mycroft_fl.privacy.noise.mechanisms import (
    RECORDS_PER_PICK,
    Crowd,
    choice_price,
    drawn_by_utility,
    price,
    strength_by_count,
    strength_within,
)
from mycroft_fl.privacy.noise.samplers import Noise

Ids = Int64[np.ndarray, " n"]


@dataclass(frozen=True)
class GumbelPlan:
    """The plan of one draw, which it is charged for by public numbers alone: `k` of `least` records or more.

    A policy without a strength divides epsilon-minus among its answers, as it does epsilon. With a
    `crowd`, utilities count only where a noised count finds so many useful records.
    """

    k: int
    least: int
    strength: float
    crowd: Crowd | None

    @classmethod
    def of(cls, policy: Policy, k: int, gone: int) -> GumbelPlan:
        """Make the plan for `k` examples after `gone` were handed over.

        `Refused` where there are too few to hide among; a refusal must not tell how many records
        there are, so the number that the owner makes public is what counts.
        """
        # As if all that may ever leave had left: the price must not tell what others were given.
        limit = policy.max_records
        least = policy.records_at_least - (gone if limit is None else max(limit, gone))
        if least < RECORDS_PER_PICK * k:
            raise Refused(
                f"{k} records would be drawn from {least} that are surely there, fewer than "
                f"{RECORDS_PER_PICK} for each"
            )
        crowd = None
        if policy.useful_at_least:
            crowd = _crowd(policy)
        return cls(k, least, policy.strength or _paid_for(policy, k, least), crowd)

    @property
    def spend(self) -> Spend:
        """The records, the choice among them, and the count it hangs on."""
        useful = self.crowd.at_least if self.crowd else 0
        return Spend(
            records=self.k,
            rho=price(self.crowd.noise_multiplier) if self.crowd else 0.0,
            epsilon_minus=choice_price(self.k, self.strength, self.least, useful),
        )


def _crowd(policy: Policy) -> Crowd:
    """Make a crowd to be counted, so that of all counts that epsilon pays for none errs but with delta.

    Each may err with an equal part of it: that any of them does is then no likelier than delta.
    """
    multiplier = policy.multiplier()
    budget = Filter.of(policy.epsilon or 0.0, policy.delta)
    # As many as the ledger may admit, which leaves room for rounding.
    counts = max(1, math.floor(budget.rho / price(multiplier) * (1 + 1e-6)))
    return Crowd(policy.useful_at_least, multiplier, policy.delta / counts)


def _paid_for(policy: Policy, k: int, least: int) -> float:
    share = (policy.epsilon_minus or 0.0) / policy.answers
    try:
        return strength_within(share, k, least, policy.useful_at_least)
    except ValueError as error:
        raise Refused(
            f"{k} of {least} records would be drawn at an epsilon-minus above the {share:.4g} of an answer"
        ) from error


def drawer(
    terms: GumbelPlan, policy: Policy, ids: Ids, levels: Int64[np.ndarray, " n"], noise: Noise
) -> Callable[[Ids], Ids]:
    """Make the choice among `ids`, which have these levels, for a ledger that knows what was disclosed."""

    def choose(disclosed: Ids) -> Ids:
        if policy.records_at_least - len(disclosed) < terms.least:
            raise Refused("others were handed over meanwhile; the price no longer holds")
        fresh = np.flatnonzero(~np.isin(ids, disclosed))
        strength = terms.strength
        if terms.crowd is not None:
            strength = strength_by_count(levels[fresh], strength, terms.crowd, noise)
        drawn: Ids = ids[fresh[drawn_by_utility(levels[fresh], terms.k, strength, noise)]]
        return drawn

    return choose
