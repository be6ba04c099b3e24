"""The choice of examples to hand over, by the method that was asked for."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int64

from clients.answering.bounds import needs_model
from clients.answering.own_models import OwnModels
from clients.answering.private_records import PrivateRecords
from clients.answering.trainer_view import TrainerView
from mycroft_fl.errors import BadMessage, Refused
from mycroft_fl.models.networks import Classifier
from mycroft_fl.modes import MODES
from mycroft_fl.privacy.relevance.hard_set_target import Target
from mycroft_fl.protocol.messages import Request
from mycroft_fl.seeds import derived_seed
from mycroft_fl.selection.methods import Query, Selection, method_named
from mycroft_fl.selection.region import seen_by

Ids = Int64[np.ndarray, " _n"]


class Selector:
    """Chooses among one owner's records. `owner` is its name: each draws with seeds of its own."""

    def __init__(self, owner: str, records: PrivateRecords, device: str) -> None:
        self._owner, self._records, self._device = owner, records, device
        self._models = OwnModels(records.examples)

    def check(self, request: Request) -> None:
        """Raise `BadMessage` where a request contradicts itself, `Refused` where its method has no use."""
        if request.weights is None and _looks_through(request) == "trainer-model":
            raise BadMessage(f"method '{request.method}' needs the trainer's weights")
        if MODES[request.mode].by_method:
            _check_brought(request)

    def view_of(self, request: Request) -> TrainerView | None:
        """Give the trainer's view that came with a request; None where none did. Reads no record.

        Raises `BadMessage` where its weights, or a target beside them, do not fit.
        """
        view, nothing = None, self._records.examples[:0]
        if request.weights is not None and needs_model(request):
            view = TrainerView.of(request, nothing)
            if request.target is not None:
                Target.of_noised(view.model, request.target)
        if request.detector is not None:
            seen_by(request.detector, view.model if view else None, nothing)
        return view

    def choose(
        self, request: Request, view: TrainerView | None, disclosed: Ids, at_most: int
    ) -> Ids:
        """Choose the ids of up to `at_most` examples not disclosed before, most useful first.

        The method looks through the `view` that was sent, or the owner's own model where none was.
        """
        held = self._records.shareable()
        gone = np.isin(held.ids, disclosed)
        fresh = held[~gone] if gone.any() else held
        if len(fresh) == 0:
            return fresh.ids
        model, target = view.model if view else None, request.target
        if model is None and needs_model(request):
            model = self._own_model(request)
        query = Query(
            hard=request.hard,
            model=model,
            seed=derived_seed(request.seed, "select", self._owner, request.server_round),
            disclosed=held[gone] if gone.any() else None,
            device=self._device,
            target=view.target.direction if view and target else None,
            stands_for=target.stands_for if target else 0,
            detector=request.detector,
            **request.selection(),
        )
        k = min(request.k, at_most, len(fresh))
        picked = method_named(request.method).select(fresh, query, k)
        chosen: Ids = fresh.ids[_checked_picks(picked, k, len(fresh))]
        return chosen

    def _own_model(self, request: Request) -> Classifier:
        seed = derived_seed(request.seed, "owner-model", self._owner)
        return self._models.fitted(request.model, request.num_classes, request.owner_epochs, seed)


def _check_brought(request: Request) -> None:
    """Check that the method can go by what the request brought."""
    takes = method_named(request.method).takes
    if request.brought not in takes:
        raise Refused(
            f"method '{request.method}' goes by {list(takes)}, and {request.brought} came"
        )
    if request.target is not None:
        _check_target(request)


def _check_target(request: Request) -> None:
    if request.gradient_layers != "last":
        raise BadMessage("a target is of the last layer; gradient-layers must be 'last'")
    if request.weights is None and _looks_through(request) != "nothing":
        raise BadMessage("a target needs the trainer's weights, through which it was seen")


def _looks_through(request: Request) -> str:
    return method_named(request.method).looks_through


def _checked_picks(selection: Selection, k: int, n: int) -> np.ndarray:
    """Check a method's picks, since a method may be anybody's code."""
    indices = np.asarray(selection.indices)
    if indices.size == 0:
        return np.empty(0, dtype=np.int64)
    if (
        # Not cast: a mask, or fractions, would become other examples' indices.
        not np.issubdtype(indices.dtype, np.integer)
        or indices.ndim != 1
        or len(indices) > k
        or len(np.unique(indices)) < len(indices)
        or not 0 <= indices.min() <= indices.max() < n
    ):
        raise BadMessage(
            f"the method returned picks that are not up to {k} distinct indices below {n}"
        )
    return indices
