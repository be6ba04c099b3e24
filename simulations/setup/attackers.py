"""Owners that fail or cheat, as a vault with a behaviour of its own in front, or with no data."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, replace

import numpy as np

from clients.client_app import Answering, Describing
from mycroft_fl.errors import DataError, Refused
from mycroft_fl.examples import Examples
from mycroft_fl.protocol.messages import Described, OwnerReport, Request

SILENCE = 1.2
"""A silent owner sleeps this many times the trainer's timeout before it answers after all."""


@dataclass(frozen=True)
class StaysOut:
    """An owner whose data cannot be used: it fails whenever it is asked, its log says why."""

    log: logging.Logger
    reason: str

    def answer(self, request: Request) -> OwnerReport:
        """Raise `RunFailed`, always."""
        raise DataError(self.reason)


@dataclass(frozen=True)
class Misbehaving:
    """A vault whose honest answer is spoilt on its way out."""

    honest: Answering
    behaviour: str
    timeout: float
    num_classes: int

    @property
    def log(self) -> logging.Logger:
        """The owner's own log."""
        return self.honest.log

    def answer(self, request: Request) -> OwnerReport:
        """Answer honestly, then spoil it."""
        self._misbehave()
        honest = self.honest.answer(request)
        if honest.disclosed is None:
            return honest
        return replace(honest, disclosed=self._spoilt(honest.disclosed, request))

    def describe(self) -> Described:
        """Describe honestly, where it answers at all."""
        self._misbehave()
        if not isinstance(self.honest, Describing):
            raise Refused("this owner describes nothing")
        return self.honest.describe()

    def _misbehave(self) -> None:
        if self.behaviour == "raise":
            raise RuntimeError("this owner fails whenever it is asked")
        if self.behaviour == "silent":
            time.sleep(SILENCE * self.timeout)

    def _spoilt(self, answer: Examples, request: Request) -> Examples:
        x, y = answer.x, answer.y
        match self.behaviour:
            case "wrong-shape":
                return Examples(x[..., :-1], y)
            case "wrong-dtype":
                return Examples(x.astype(np.float64), y)
            case "nan":
                return Examples(np.full(x.shape, np.nan, np.float32), y)
            case "bad-label":
                return Examples(x, np.full_like(y, self.num_classes))
            case "too-many":
                return Examples(
                    *(np.repeat(a, 1 + request.k // max(1, len(y)), axis=0) for a in (x, y))
                )
            case "copies-hard-set":
                return request.hard[: request.k]
        return answer
