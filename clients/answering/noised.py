"""Noised answers: what they cost, what each record adds, how they are drawn.

What a record adds is bounded, and a function of that record alone. The table of modes names the
functions here that a mode is made of.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from jaxtyping import Int64, Shaped

from clients.answering.policy import Policy
from clients.answering.trainer_view import SeenRecords, TrainerView, ViewCache, in_range
from mycroft_fl.errors import BadMessage
from mycroft_fl.examples import Examples
from mycroft_fl.modes import MODES, resolved
from mycroft_fl.privacy.noise.accounting import Spend
from mycroft_fl.privacy.noise.mechanisms import UNITS, RowBlocks, noised_sum, price, sigma_units
from mycroft_fl.privacy.noise.samplers import Noise
from mycroft_fl.privacy.relevance.gradient_rows import step_weights
from mycroft_fl.privacy.relevance.hard_set_target import SCORE_BOUND, score_rows, utility_levels
from mycroft_fl.privacy.sgd import FARTHEST, HeadRun, Weighted, head_delta
from mycroft_fl.protocol.messages import Statistic

Persons = Shaped[np.ndarray, " n"]


@dataclass(frozen=True)
class Release:
    """An answer that lacks only its noise: what it costs, and how it is drawn once that is paid."""

    spend: Spend
    draw: Callable[[Noise], Statistic]


@dataclass(frozen=True, eq=False)
class Contributions:
    """The rows that records add to a sum: one for each, whose squared length is bounded."""

    bound_squared: Fraction
    rows: RowBlocks


MakeRelease = Callable[[SeenRecords, Policy, Persons | None], Release]
"""A mode's answer, from records, a policy, and whose each record is."""
Add = Callable[[SeenRecords, float], Contributions]
"""The rows of a mode that is a noised sum, from records and the length that a gradient is clipped to."""


def release_of(
    view: TrainerView,
    examples: Examples,
    policy: Policy,
    persons: Persons | None = None,
    kept: ViewCache | None = None,
) -> Release:
    """Make the answer in a noised mode. All that may fail has failed here, on any data alike.

    Args:
        view: the request, and what follows from it alone.
        examples: records with labels that the request knows, see `in_range`.
        policy: the owner's, which says how much noise there is.
        persons: whose each record is; None where privacy is by record.
        kept: what was computed of these very records before.
    """
    make: MakeRelease = resolved(MODES[view.request.mode].release)
    return make(view.through(examples, kept), policy, persons)


def contributions(
    view: TrainerView, examples: Examples, clip: float, kept: ViewCache | None = None
) -> Contributions:
    """Give what each record adds to the sum of the request's mode; arguments as in `release_of`."""
    return _added(view.through(examples, kept), clip)


def noised_sum_of(seen: SeenRecords, policy: Policy, persons: Persons | None) -> Release:
    """Release the noised sum of what records add, in a mode that says what that is."""
    added, multiplier = _added(seen, policy.clip), policy.multiplier()
    sigma_units(added.bound_squared, multiplier)  # what cannot be drawn is not charged either

    def draw(noise: Noise) -> Statistic:
        released = noised_sum(added.rows, added.bound_squared, multiplier, noise, persons=persons)
        return Statistic(released.values, released.sigma)

    return Release(Spend(rho=price(multiplier)), draw)


def added_to_score(seen: SeenRecords, clip: float) -> Contributions:
    """Give what each record adds to a score: its relevance in a ranking, and a count."""
    view, values = seen.view, seen.relevances
    if view.request.score_by == "class":
        ranked = view.class_targets.relevances(view.model.head, seen.records)
    else:
        ranked = seen.ranked
    return Contributions(SCORE_BOUND, score_rows(ranked, values))


def added_to_gradient(seen: SeenRecords, clip: float) -> Contributions:
    """Give what each record adds to a gradient: its own, clipped, weighted by relevance."""
    view, records = seen.view, seen.records
    weights = step_weights(seen.relevances, records.failed(view.model.head))
    rows = records.gradients(view.head, weights, clip, seen.inputs)
    return Contributions(Fraction(clip) ** 2, rows)


def trained_head(seen: SeenRecords, policy: Policy, persons: Persons | None) -> Release:
    """Release the last layer's way by DP-SGD, records weighted by their relevance."""
    request, head = seen.view.request, seen.view.head
    run = HeadRun(policy.sgd_run(), policy.clip, request.rate)
    if not (request.rate > 0 and run.sigma < FARTHEST):
        raise BadMessage(
            f"mode '{request.mode}' needs a rate above 0, and none that leads beyond all numbers"
        )
    records = Weighted(seen.records, np.clip(seen.relevances, 0, 1), persons)

    def draw(noise: Noise) -> Statistic:
        return Statistic(head_delta(head, records, run, noise), run.sigma)

    return Release(Spend(sgd=run.sgd), draw)


def levels_of(view: TrainerView, pool: Examples) -> Int64[np.ndarray, " n"]:
    """Give each record's level for a draw; none is left out, or there were fewer to hide among."""
    known = in_range(view.request, pool)
    levels = np.zeros(len(pool), np.int64)
    levels[known] = utility_levels(view.through(pool[known]).relevances, UNITS)
    return levels


def _added(seen: SeenRecords, clip: float) -> Contributions:
    add: Add = resolved(MODES[seen.view.request.mode].adds)
    return add(seen, clip)
