"""The trainer's model as a request sent it, its target, and an owner's records through both."""

from __future__ import annotations

import copy
import functools
import hashlib
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64
from torch import nn

from mycroft_fl.errors import BadMessage
from mycroft_fl.examples import Examples
from mycroft_fl.models.networks import Classifier, build
from mycroft_fl.models.weights import load_flat_weights, put_head
from mycroft_fl.privacy.relevance.by_class import ClassTargets
from mycroft_fl.privacy.relevance.hard_set_target import RecordView, Target
from mycroft_fl.protocol.messages import Request
from mycroft_fl.selection.region import BLOCK, flat_inputs


@dataclass(frozen=True, eq=False)
class TrainerView:
    """A request's own model and all that follows from the request alone, each made once.

    No record plays a part in it. Its parts raise `BadMessage` where the request is wrong in them.
    """

    request: Request
    model: Classifier

    @classmethod
    def of(cls, request: Request, form: Examples) -> TrainerView:
        """Build the model that a request sent, for records of this form.

        `BadMessage` without weights, or where they do not fit. Never a model fitted to the owner's
        data, which would tell of it unpaid.
        """
        if request.weights is None:
            raise BadMessage(f"mode '{request.mode}' needs the trainer's weights")
        model = build(request.model, tuple(form.x.shape[1:]), request.num_classes, seed=0)
        load_flat_weights(model, request.weights)
        return cls(request, model)

    @functools.cached_property
    def target(self) -> Target:
        """The target that records are aligned with: a noised one that came, or that of the hard examples."""
        return Target.asked(self.model, self.request)

    @functools.cached_property
    def ranking(self) -> Target:
        """The target as a ranking of owners sees it."""
        return self.target.for_ranking(self.model, self.request.hard)

    @functools.cached_property
    def class_targets(self) -> ClassTargets:
        """The targets of a score by class."""
        return ClassTargets.asked(self.model, self.request)

    @functools.cached_property
    def head(self) -> nn.Linear:
        """The last layer that was sent beside the weights, or else that of the weights."""
        head = self.model.head
        if self.request.head is not None:
            # A copy: relevance is by the weights, and the model keeps its own last layer.
            head = copy.deepcopy(head)
            put_head(head, self.request.head)
        return head

    def relevances(self, examples: Examples, records: RecordView) -> Float64[np.ndarray, " n"]:
        """Work out each record's relevance: to the target, or 1 in a detector's region and 0 outside."""
        detector = self.request.detector
        if detector is None:
            return records.relevances(self.model.head, self.target)
        counted = np.empty(len(examples))
        for start in range(0, len(examples), BLOCK):
            rows = slice(start, start + BLOCK)
            hidden = records.inputs[rows] if detector.hidden else None
            z = detector.seen(flat_inputs(examples[rows]), hidden)
            counted[rows] = detector.counted(z, examples.y[rows])
        if not len(examples):  # what does not fit is found on no record
            detector.seen(flat_inputs(examples), records.inputs if detector.hidden else None)
        return counted

    @functools.cached_property
    def asked_by(self) -> str:
        """Name what relevance is to, by its content."""
        detector = self.request.detector
        return self.target.digest if detector is None else detector.digest

    @functools.cached_property
    def name(self) -> str:
        """The model's name, by its content."""
        assert self.request.weights is not None
        content = hashlib.sha256(self.request.weights.tobytes()).hexdigest()
        return f"{content} {self.request.model} {self.request.num_classes}"

    def through(self, examples: Examples, kept: ViewCache | None = None) -> SeenRecords:
        """Look at records whose labels the request knows; with `kept`, at what is new of them."""
        return SeenRecords(self, examples, kept or ViewCache())


@dataclass(frozen=True, eq=False)
class SeenRecords:
    """Records through a trainer's view. Nothing of them is computed before it is asked for."""

    view: TrainerView
    examples: Examples
    kept: ViewCache

    @functools.cached_property
    def records(self) -> RecordView:
        """The records before the last layer."""
        return self.kept.records(self.view, self.examples)

    @functools.cached_property
    def relevances(self) -> Float64[np.ndarray, " n"]:
        """Each record's relevance to the target, by the weights that were sent."""
        return self.kept.relevances(self.view, self.examples, self.records)

    @property
    def ranked(self) -> Float64[np.ndarray, " n"]:
        """Each record's relevance as a ranking of owners sees it."""
        if self.view.request.detector is not None:
            return self.relevances
        return self.records.relevances(self.view.model.head, self.view.ranking)

    @functools.cached_property
    def inputs(self) -> Float64[np.ndarray, "n q"]:
        """The records' inputs by which gradients are clipped and summed."""
        return self.kept.whitened(self.view, self.records)


class ViewCache:
    """An owner's records through the model that was asked with last: steps come with one model."""

    def __init__(self) -> None:
        self._records: dict[str, RecordView] = {}
        self._relevances: dict[str, Float64[np.ndarray, " n"]] = {}
        self._whitened: dict[str, Float64[np.ndarray, "n q"]] = {}

    def records(self, view: TrainerView, examples: Examples) -> RecordView:
        """Give the records through the view's model."""
        if view.name not in self._records:
            self._records = {view.name: RecordView.through(view.model, examples)}
        return self._records[view.name]

    def relevances(
        self, view: TrainerView, examples: Examples, seen: RecordView
    ) -> Float64[np.ndarray, " n"]:
        """Give the records' relevance to what the view's request asks for."""
        name = f"{view.name} {view.asked_by}"
        if name not in self._relevances:
            self._relevances = {name: view.relevances(examples, seen)}
        return self._relevances[name]

    def whitened(self, view: TrainerView, seen: RecordView) -> Float64[np.ndarray, "n q"]:
        """Give the records' inputs by the view's whitening, or with a one at the end where none came."""
        whitening = view.request.whitening
        if whitening is None:
            return seen.with_bias()
        content = hashlib.sha256(whitening.tobytes()).hexdigest()
        name = f"{view.name} {whitening.shape} {content}"
        if name not in self._whitened:
            self._whitened = {name: seen.whitened(whitening)}
        return self._whitened[name]


def in_range(request: Request, examples: Examples) -> Int64[np.ndarray, " m"]:
    """Find records whose label the trainer knows: any other is left out, never an error to be seen."""
    known: np.ndarray = np.flatnonzero((examples.y >= 0) & (examples.y < request.num_classes))
    return known
