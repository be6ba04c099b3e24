"""Models that were fitted before, kept by all that went into them while somebody wants them kept.

Runs that are compared share their baseline, their references and many a fine-tune: the same model,
examples, settings and seed give the same weights, whoever asks. Inside `caching_fits` such a fit is
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
        """Return a copy of the model of that digest; None if it is not kept."""
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
def caching_fits(megabytes: int = MEGABYTES) -> Iterator[None]:
    """Keep what is fitted inside `with`, for whoever asks for the same there, to that size."""
    global _kept
    before, _kept = _kept, Kept(megabytes * 1_000_000)
    try:
        yield
    finally:
        _kept = before


def cached_fit(fitting: Callable[P, Fitted]) -> Callable[P, Fitted]:
    """Return a function that fits a model, and fits none twice inside `caching_fits`."""

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


def _digest(*parts: Any) -> bytes:
    """Name all that a fit depends on; with other threads sums are other sums."""
    hasher = hashlib.blake2b(f"{torch.get_num_threads()}".encode(), digest_size=16)
    _add(hasher, parts)
    return hasher.digest()


def _add(hasher: Any, part: Any) -> None:
    hasher.update(type(part).__qualname__.encode() + b":")
    if isinstance(part, Examples):
        _add(hasher, (part.x, part.y))
    elif isinstance(part, np.ndarray):
        hasher.update(f"{part.dtype}{part.shape}".encode())
        hasher.update(np.ascontiguousarray(part).view(np.uint8).data if part.size else b"")
    elif isinstance(part, nn.Module):
        hasher.update(repr(part).encode())
        for name, value in part.state_dict().items():
            _add(hasher, (name, value.detach().cpu().numpy()))
    elif isinstance(part, Estimator):
        # Every fit of one is a fit anew: what it learnt before does not count.
        kind, how = type(part.classifier), joblib.hash(part.classifier.get_params())
        hasher.update(f"{part.name}{part.num_classes}{kind}{how}".encode())
    elif is_dataclass(part):
        _add(hasher, [getattr(part, each.name) for each in fields(part)])
    elif isinstance(part, list | tuple):
        hasher.update(f"{len(part)}".encode())
        for each in part:
            _add(hasher, each)
    else:
        hasher.update(f"{part!r};".encode())
