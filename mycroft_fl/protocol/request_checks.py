"""Checks of the fields that only some modes of a request may bring."""

from __future__ import annotations

import dataclasses

import numpy as np

from mycroft_fl.errors import BadMessage
from mycroft_fl.modes import MODES, resolved
from mycroft_fl.protocol.messages import SCORED_BY, Request

MAX_RATE = 1e6

_DEFAULTS = {each.name: each.default for each in dataclasses.fields(Request)}


def check_mode(request: Request) -> None:
    """Raise `BadMessage` where a request brings what its mode does not take, or brings it wrongly.

    A mode that nobody knows passes: it takes nothing, and no policy allows it.
    """
    mode = MODES.get(request.mode)
    for other in MODES.values():
        for name in other.fields:
            taken = mode is not None and name in mode.fields
            if not taken and not _left_out(getattr(request, name), _DEFAULTS[name]):
                raise BadMessage(f"mode '{request.mode}' takes no {name.replace('_', '-')}")
    if mode is not None and mode.check:
        resolved(mode.check)(request)


def check_score(request: Request) -> None:
    """Raise `BadMessage` unless it is known by what to score, and hard examples are there for it."""
    if request.score_by not in SCORED_BY:
        raise BadMessage("score-by must be 'hard-set' or 'class'")
    if request.score_by == "class" and len(request.hard) == 0:
        raise BadMessage("a score by class needs hard examples, and something else came instead")


def check_gradient(request: Request) -> None:
    """Raise `BadMessage` unless a head and a whitening, where they came, are finite float32."""
    _check_head(request)
    if request.whitening is not None and not is_finite_float32(request.whitening, dimensions=2):
        raise BadMessage("a whitening must be one matrix of finite float32")


def check_trained_head(request: Request) -> None:
    """Raise `BadMessage` unless the rate has a size, and a head that came is finite float32."""
    _check_head(request)
    if not 0 <= request.rate <= MAX_RATE:  # nor is NaN
        raise BadMessage(f"rate must be from 0 to {MAX_RATE:g}")


def is_finite_float32(array: np.ndarray, *, dimensions: int) -> bool:
    """Say whether an array is of float32, has so many dimensions, and holds finite numbers alone."""
    finite = array.dtype == np.float32 and array.ndim == dimensions and np.isfinite(array).all()
    return bool(finite)


def _check_head(request: Request) -> None:
    if request.head is not None and not is_finite_float32(request.head, dimensions=1):
        raise BadMessage("weights must be one vector of finite float32")


def _left_out(value: object, default: object) -> bool:
    return value is None or (not isinstance(value, np.ndarray) and value == default)
