"""The vault: an owner's data behind one method, `answer`. Knows no Flower."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

import numpy as np

from clients.policy import Policy
from mycroft_fl.errors import BadMessage
from mycroft_fl.examples import Examples
from mycroft_fl.exchange import OwnerReport, Request
from mycroft_fl.models.fitting import FitSettings, fit
from mycroft_fl.models.networks import NETWORKS, Classifier, build
from mycroft_fl.models.weights import load_flat_weights
from mycroft_fl.privacy.ledger import DisclosureLedger
from mycroft_fl.seeds import derived_seed
from mycroft_fl.selection import Query, Selection, method_named

OWN_FIT_BATCH, OWN_FIT_RATE = 32, 1e-3


class Vault:
    """One owner's private examples, what it allows, and what it has handed over.

    `folder` is the owner's own: it holds the ledger and a log that nobody else reads. `device`
    is where gradients are computed; no request has a say in it.
    """

    def __init__(
        self, name: str, examples: Examples, policy: Policy, folder: Path, device: str = "cpu"
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.log = _owner_log(name, folder / "owner.log")
        self._examples = examples
        self._policy = policy
        self._device = device
        self._ledger = DisclosureLedger(folder / "ledger.sqlite")

    def answer(self, request: Request) -> OwnerReport:
        """Choose and hand over up to k examples; never one twice, never one unrecorded.

        `Refused` where the policy says no, `BadMessage` where the request does not fit the data.
        """
        self._policy.check(request)
        self._check_fit(request)
        digest = request_digest(request)
        ids = self._ledger.recall(digest)
        if ids is None:
            chosen = self._choose(request)
            ids = self._ledger.charge(digest, chosen, max_records=self._policy.max_records)
            self.log.info("round %d: disclosed %d examples", request.server_round, len(ids))
        # Of an earlier answer, what has left the data since cannot be handed over again.
        held = ids[np.isin(ids, self._examples.ids)]
        return OwnerReport(self._examples[_positions(self._examples.ids, held)])

    def _check_fit(self, request: Request) -> None:
        if (request.hard.x.dtype, request.hard.x.shape[1:]) != (
            self._examples.x.dtype,
            self._examples.x.shape[1:],
        ):
            raise BadMessage("the hard set is of another shape or type than this owner's examples")
        if request.model not in NETWORKS:
            raise BadMessage(f"unknown architecture '{request.model}'")
        if request.weights is None and _looks_through(request) == "trainer-model":
            raise BadMessage(f"method '{request.method}' needs the trainer's weights")

    def _choose(self, request: Request) -> np.ndarray:
        """The ids of the examples to hand over, most useful first."""
        disclosed = self._ledger.disclosed()
        allowed = self._policy.records_left(len(disclosed))
        held = self._examples[_first_of_each(self._examples.ids)]
        gone = np.isin(held.ids, disclosed)
        fresh = held[~gone]
        if len(fresh) == 0:
            return fresh.ids
        query = Query(
            hard=request.hard,
            model=self._model(request),
            feature_space=request.feature_space,
            seed=derived_seed(request.seed, "select", self.name, request.server_round),
            disclosed=held[gone] if gone.any() else None,
            gradient_layers=request.gradient_layers,
            feature_weight=request.feature_weight,
            device=self._device,
        )
        method = method_named(request.method)
        k = min(request.k, allowed, len(fresh))
        chosen: np.ndarray = fresh.ids[_checked(method.select(fresh, query, k), k, len(fresh))]
        return chosen

    def _model(self, request: Request) -> Classifier | None:
        """The model that the method looks through: the trainer's, or an early one of the owner's."""
        if _looks_through(request) == "nothing" and request.feature_space == "pixels":
            return None
        seed = derived_seed(request.seed, "owner-model", self.name)
        shape = tuple(self._examples.x.shape[1:])
        model = build(request.model, shape, request.num_classes, seed=seed)
        if request.weights is not None:
            load_flat_weights(model, request.weights)
            return model
        settings = FitSettings(request.owner_epochs, OWN_FIT_BATCH, OWN_FIT_RATE)
        return fit(model, self._examples, None, settings, seed=seed)


def _looks_through(request: Request) -> str:
    return method_named(request.method).looks_through


def request_digest(request: Request) -> str:
    """Names a request by its whole content: the same bytes asked again are the same request."""
    hasher = hashlib.sha256()
    for array in (request.hard.x, request.hard.y, request.weights):
        if array is None:
            hasher.update(b"none")
            continue
        # With its shape, or bytes could move from one array to the next.
        hasher.update(f"{array.dtype.str}{array.shape}".encode())
        hasher.update(np.ascontiguousarray(array).tobytes())
    plain = {k: v for k, v in vars(request).items() if k not in ("hard", "weights")}
    hasher.update(repr(sorted(plain.items())).encode())
    return hasher.hexdigest()


def _checked(selection: Selection, k: int, n: int) -> np.ndarray:
    """A method's picks, checked: a method may be anybody's code."""
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


def _first_of_each(ids: np.ndarray) -> np.ndarray:
    """Positions of the first example of each content, in order: copies are one example."""
    return np.sort(np.unique(ids, return_index=True)[1])


def _positions(ids: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Where each of `wanted` stands in `ids`."""
    order = np.argsort(ids, kind="stable")
    return order[np.searchsorted(ids, wanted, sorter=order)]


class _Appending(logging.FileHandler):
    """Opens the file for each line and closes it: one process may serve a thousand owners."""

    def emit(self, record: logging.LogRecord) -> None:
        super().emit(record)
        self.close()


def _owner_log(name: str, path: Path) -> logging.Logger:
    """A log of the owner's own, which goes to its file and nowhere else."""
    log = logging.Logger(f"owner.{name}", level=logging.INFO)
    handler = _Appending(path, delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.addHandler(handler)
    return log
