"""Noised answers, mode by mode: what they cost, what each record adds, how they are drawn.

What a record adds is bounded, and a function of that record alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from jaxtyping import Float64, Int64, Shaped
from torch import nn

from clients.answering.policy import Policy
from mycroft_fl.errors import BadMessage
from mycroft_fl.examples import Examples
from mycroft_fl.models.networks import Classifier, build
from mycroft_fl.models.weights import load_flat_weights, load_head
from mycroft_fl.privacy.noise.accounting import Spend
from mycroft_fl.privacy.noise.mechanisms import UNITS, RowBlocks, noised_sum, price, sigma_units
from mycroft_fl.privacy.noise.samplers import Noise
from mycroft_fl.privacy.relevance.by_class import ClassTargets
from mycroft_fl.privacy.relevance.gradient_rows import step_weights
from mycroft_fl.privacy.relevance.hard_set_target import (
    SCORE_BOUND,
    RecordView,
    Target,
    relevances,
    score_rows,
    utility_levels,
)
from mycroft_fl.privacy.sgd import FARTHEST, HeadRun, Weighted, head_delta
from mycroft_fl.protocol.messages import Request, Statistic
from mycroft_fl.protocol.modes import MODES, resolved

Persons = Shaped[np.ndarray, " n"]


@dataclass(frozen=True)
class Release:
    """An answer that lacks only its noise: what it costs, and how it is drawn once that is paid."""

    spend: Spend
    draw: Callable[[Noise], Statistic]


class ViewCache:
    """How records look through the model that was asked with last: steps come with one model."""

    def __init__(self) -> None:
        self._seen: dict[str, RecordView] = {}
        self._relevances: dict[str, Float64[np.ndarray, " n"]] = {}
        self._whitened: dict[str, Float64[np.ndarray, "n q"]] = {}

    def through(
        self, model: Classifier, request: Request, examples: Examples, target: Target
    ) -> tuple[RecordView, Float64[np.ndarray, " n"]]:
        """The records whose labels the request knows, through the model it brought, and their relevance."""
        name = _looked_through(request)
        if name not in self._seen:
            self._seen = {name: RecordView.through(model, examples)}
        seen, towards = self._seen[name], f"{name} {target.digest}"
        if towards not in self._relevances:
            self._relevances = {towards: seen.relevances(model.head, target)}
        return seen, self._relevances[towards]

    def whitened(self, seen: RecordView, request: Request) -> Float64[np.ndarray, "n q"]:
        """What the records' inputs are by which gradients are clipped and summed."""
        if request.whitening is None:
            return seen.with_bias()
        content = hashlib.sha256(request.whitening.tobytes()).hexdigest()
        name = f"{_looked_through(request)} {request.whitening.shape} {content}"
        if name not in self._whitened:
            self._whitened = {name: seen.whitened(request.whitening)}
        return self._whitened[name]


def _looked_through(request: Request) -> str:
    """Names the model that a request brought, by its content."""
    assert request.weights is not None
    content = hashlib.sha256(request.weights.tobytes()).hexdigest()
    return f"{content} {request.model} {request.num_classes}"


@dataclass(frozen=True, eq=False)
class Contributions:
    """What records add to a sum: a row for each, whose squared length is bounded."""

    bound_squared: Fraction
    rows: RowBlocks


MakeRelease = Callable[[Request, Examples, Policy, Persons | None, ViewCache], Release]
"""An answer of a noised mode, from a request, records, a policy, whose records they are."""
Add = Callable[[Request, Examples, float, ViewCache], Contributions]
"""What records add to a noised sum, from a request, records and the length a gradient is clipped to."""


def release_of(
    request: Request,
    examples: Examples,
    policy: Policy,
    persons: Persons | None = None,
    looks: ViewCache | None = None,
) -> Release:
    """The answer to a request in a noised mode. All that may fail has failed here, on any data alike.

    `examples` have labels that the request knows, see `in_range`; `persons` says whose each is.
    """
    make: MakeRelease = resolved(MODES[request.mode].release)
    return make(request, examples, policy, persons, looks or ViewCache())


def noised_sum_of(
    request: Request, examples: Examples, policy: Policy, persons: Persons | None, looks: ViewCache
) -> Release:
    """Release the noised sum of what records add, in a mode that says what that is."""
    added = contributions(request, examples, policy.clip, looks)
    multiplier = policy.multiplier()
    sigma_units(added.bound_squared, multiplier)  # what cannot be drawn is not charged either

    def draw(noise: Noise) -> Statistic:
        released = noised_sum(added.rows, added.bound_squared, multiplier, noise, persons=persons)
        return Statistic(released.values, released.sigma)

    return Release(Spend(rho=price(multiplier)), draw)


def contributions(
    request: Request, examples: Examples, clip: float, looks: ViewCache | None = None
) -> Contributions:
    """Give what each record adds to the sum of the request's mode."""
    add: Add = resolved(MODES[request.mode].adds)
    return add(request, examples, clip, looks or ViewCache())


def added_to_score(
    request: Request, examples: Examples, clip: float, looks: ViewCache
) -> Contributions:
    """Give what each record adds to a score."""
    return Contributions(SCORE_BOUND, _scored(request, examples, looks))


def added_to_gradient(
    request: Request, examples: Examples, clip: float, looks: ViewCache
) -> Contributions:
    """Give what each record adds to a gradient."""
    model, seen, values = _looked_at(request, examples, looks)
    weights = step_weights(values, seen.failed(model.head))
    head, inputs = _head_asked_at(model, request), looks.whitened(seen, request)
    rows = seen.gradients(head, weights, clip, inputs)
    return Contributions(Fraction(clip) ** 2, rows)


def trained_head(
    request: Request, examples: Examples, policy: Policy, persons: Persons | None, looks: ViewCache
) -> Release:
    """Release the last layer's way by DP-SGD, records weighted by their relevance."""
    run = HeadRun(policy.sgd_run(), policy.clip, request.rate)
    if not (request.rate > 0 and run.sigma < FARTHEST):
        raise BadMessage(
            f"mode '{request.mode}' needs a rate above 0, and none that leads beyond all numbers"
        )
    model, seen, values = _looked_at(request, examples, looks)
    head = _head_asked_at(model, request)
    records = Weighted(seen, np.clip(values, 0, 1), persons)

    def draw(noise: Noise) -> Statistic:
        return Statistic(head_delta(head, records, run, noise), run.sigma)

    return Release(Spend(sgd=run.sgd), draw)


def _scored(request: Request, examples: Examples, looks: ViewCache) -> Float64[np.ndarray, "n d"]:
    model, seen, values = _looked_at(request, examples, looks)
    if request.score_by == "class":
        return score_rows(ClassTargets.asked(model, request).relevances(model.head, seen), values)
    target = Target.asked(model, request)
    ranking = target.for_ranking(model, request.hard)
    return score_rows(seen.relevances(model.head, ranking), values)


def _looked_at(
    request: Request, examples: Examples, looks: ViewCache
) -> tuple[Classifier, RecordView, Float64[np.ndarray, " n"]]:
    """The model of the weights sent, the records before its last layer, and each one's relevance by it."""
    model = trainers_model(request, examples)
    target = Target.asked(model, request)
    return model, *looks.through(model, request, examples, target)


def _head_asked_at(model: Classifier, request: Request) -> nn.Linear:
    """The last layer that was sent beside the weights, or else that of the weights."""
    if request.head is not None:
        load_head(model, request.head)
    return model.head


def levels_of(request: Request, pool: Examples) -> Int64[np.ndarray, " n"]:
    """Each record's level for `raw-gumbel`; none is left out, or there were fewer to hide among."""
    model = trainers_model(request, pool)
    known = in_range(request, pool)
    levels = np.zeros(len(pool), np.int64)
    values = relevances(model, pool[known], Target.asked(model, request))
    levels[known] = utility_levels(values, UNITS)
    return levels


def in_range(request: Request, examples: Examples) -> Int64[np.ndarray, " m"]:
    """Records whose label the trainer knows: any other is left out, never an error to be seen."""
    known: np.ndarray = np.flatnonzero((examples.y >= 0) & (examples.y < request.num_classes))
    return known


def trainers_model(request: Request, examples: Examples) -> Classifier:
    """The trainer's model. Never one fitted to the owner's data, which would tell of it unpaid."""
    if request.weights is None:
        raise BadMessage(f"mode '{request.mode}' needs the trainer's weights")
    model = build(request.model, tuple(examples.x.shape[1:]), request.num_classes, seed=0)
    load_flat_weights(model, request.weights)
    return model
