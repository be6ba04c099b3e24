"""Models that were fitted before, kept by all that went into them while somebody wants them kept.

Runs that are compared share their baseline, their references and many a fine-tune: the same model,
examples, settings and seed give the same weights, whoever asks. Inside `remembering` such a fit is
done once; outside of it nothing is kept.
"""

from __future__ import annotations

import copy
import functools
import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from typing import Any, ParamSpec, TypeVar, cast

import joblib
import numpy as np
import torch
from torch import nn

from mycroft_fl.examples import Examples
from mycroft_fl.models.estimators import Estimator

P = ParamSpec("P")
Fitted = TypeVar("Fitted")
MEGABYTES = 256
ESTIMATOR_BYTES = 4_000_000  # taken for the size of one; to measure it would cost as much as a fit


class Kept:
    """Fitted models by digest, those not asked for longest given up first beyond `limit` bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._models: OrderedDict[bytes, Any] = OrderedDict()
        self._bytes = 0

    def get(self, key: bytes) -> Any:
        """A copy of the model of that digest; None where there is none."""
        if key not in self._models:
            return None
        self._models.move_to_end(key)
        return copy.deepcopy(self._models[key])

    def keep(self, key: bytes, model: Any) -> None:
        """Keep a copy of a model."""
        self._models[key] = copy.deepcopy(model)
        self._bytes += _size(model)
        while self._bytes > self._limit:
            self._bytes -= _size(self._models.popitem(last=False)[1])


_kept: Kept | None = None


@contextmanager
def remembering(megabytes: int = MEGABYTES) -> Iterator[None]:
    """Keep what is fitted inside `with`, for whoever asks for the same there, to that size."""
    global _kept
    before, _kept = _kept, Kept(megabytes * 1_000_000)
    try:
        yield
    finally:
        _kept = before


def remembered(fitting: Callable[P, Fitted]) -> Callable[P, Fitted]:
    """A function that fits a model, and fits none twice inside `remembering`."""

    @functools.wraps(fitting)
    def once(*args: P.args, **kwargs: P.kwargs) -> Fitted:
        if _kept is None:
            return fitting(*args, **kwargs)
        kept, key = _kept, _digest(fitting.__name__, args, sorted(kwargs.items()))
        found = kept.get(key)
        if found is None:
            found = fitting(*args, **kwargs)
            kept.keep(key, found)
        return cast(Fitted, found)

    return once


def _size(model: Any) -> int:
    if isinstance(model, nn.Module):
        return sum(value.nbytes for value in model.state_dict().values())
    return ESTIMATOR_BYTES


def _digest(*told: Any) -> bytes:
    """Names all that a fit depends on; with other threads sums are other sums."""
    hasher = hashlib.blake2b(f"{torch.get_num_threads()}".encode(), digest_size=16)
    _add(hasher, told)
    return hasher.digest()


def _add(hasher: Any, told: Any) -> None:
    hasher.update(type(told).__qualname__.encode() + b":")
    if isinstance(told, Examples):
        _add(hasher, (told.x, told.y))
    elif isinstance(told, np.ndarray):
        hasher.update(f"{told.dtype}{told.shape}".encode())
        hasher.update(np.ascontiguousarray(told).view(np.uint8).data if told.size else b"")
    elif isinstance(told, nn.Module):
        hasher.update(repr(told).encode())
        for name, value in told.state_dict().items():
            _add(hasher, (name, value.detach().cpu().numpy()))
    elif isinstance(told, Estimator):
        # Every fit of one is a fit anew: what it learnt before does not count.
        kind, how = type(told.classifier), joblib.hash(told.classifier.get_params())
        hasher.update(f"{told.name}{told.num_classes}{kind}{how}".encode())
    elif is_dataclass(told):
        _add(hasher, [getattr(told, each.name) for each in fields(told)])
    elif isinstance(told, list | tuple):
        hasher.update(f"{len(told)}".encode())
        for each in told:
            _add(hasher, each)
    else:
        hasher.update(f"{told!r};".encode())
