"""The bounds that an owner's task sets on a request, checked before anything is built or looked at.

A request of a kilobyte may name a model of a hundred gigabytes. So sizes are worked out first, by
the request and the task alone, and a request that does not fit them is malformed on any data.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
import torch

from mycroft_fl.data.task import Task
from mycroft_fl.errors import BadMessage, Refused
from mycroft_fl.examples import Examples
from mycroft_fl.models.networks import HIDDEN, build, is_network
from mycroft_fl.models.weights import size_of
from mycroft_fl.modes import MODES
from mycroft_fl.protocol.detector import Detector
from mycroft_fl.protocol.messages import Request
from mycroft_fl.selection.methods import method_named
from mycroft_fl.settings.own_names import is_own
from mycroft_fl.settings.space_names import HEADS, TRAINED

CLASSES_WITHOUT_TASK = 1000
WIDEST_ENCODER = 8192


@dataclass(frozen=True)
class Bounds:
    """The shape and type of an example, and the number of classes.

    `num_classes` None: whoever runs the vault gave no task, and requests may name up to
    `CLASSES_WITHOUT_TASK`.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    num_classes: int | None

    @classmethod
    def of(cls, examples: Examples, task: Task | None) -> Bounds:
        """Take the bounds from a task, or else from the form of the examples."""
        shape, dtype = examples.x.shape[1:], examples.x.dtype
        return cls(tuple(shape), dtype, task.num_classes if task else None)

    def check(self, request: Request, max_model: int) -> None:
        """Raise `BadMessage` where a request does not fit.

        `Refused` where its model has more than `max_model` numbers.
        """
        if (request.hard.x.dtype, request.hard.x.shape[1:]) != (self.dtype, self.shape):
            raise BadMessage("the hard set is of another shape or type than this owner's examples")
        self._check_classes(request.num_classes)
        if request.detector is not None:
            self._check_detector(request, request.detector, max_model)
        if not needs_model(request):
            return
        if not is_network(request.model):
            raise BadMessage(f"unknown architecture '{request.model}'")
        size = _model_size(request.model, self.shape, request.num_classes)
        if size > max_model:
            raise Refused(f"model '{request.model}' has {size} numbers; at most {max_model}")

    def _check_detector(self, request: Request, detector: Detector, max_model: int) -> None:
        if detector.size > max_model:
            raise Refused(f"a detector of {detector.size} numbers; at most {max_model}")
        inputs = math.prod(self.shape)
        if detector.basis is not None and detector.basis.shape[1] != inputs:
            raise BadMessage(
                f"a detector of {detector.basis.shape[1]} inputs; examples have {inputs}"
            )
        if detector.hidden and request.weights is None:
            raise BadMessage("a detector looks at a hidden layer, and no weights came with it")

    def _check_classes(self, asked: int) -> None:
        if self.num_classes is None:
            if asked > CLASSES_WITHOUT_TASK:
                raise BadMessage(f"{asked} classes; at most {CLASSES_WITHOUT_TASK}")
        elif asked != self.num_classes:
            raise BadMessage(f"{asked} classes; this owner's task has {self.num_classes}")


def needs_model(request: Request) -> bool:
    """Say whether a request is answered through a model, the trainer's or the owner's own."""
    through = method_named(request.method).looks_through != "nothing"
    told = request.detector is not None and request.weights is not None
    return told or through or request.feature_space == "model" or not MODES[request.mode].by_method


@functools.lru_cache(maxsize=64)
def _model_size(model: str, shape: tuple[int, ...], classes: int) -> int:
    """Count the numbers that a network would have. Allocates nothing: its tensors have shapes alone."""
    if model.startswith(HEADS):
        # The encoder is one that this owner opens; only what is trained is made for the request.
        if model.startswith("mlp:"):
            return HIDDEN * (WIDEST_ENCODER + 1) + classes * (HIDDEN + 1)
        return classes * (WIDEST_ENCODER + 1)
    if model.startswith(TRAINED) or is_own(model):
        # One that this owner opens and knows the size of, or trusts the code of, which need not run on
        # tensors without content.
        return size_of(build(model, shape, classes, seed=0))
    with torch.device("meta"):
        return size_of(build(model, shape, classes, seed=0))
