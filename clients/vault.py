"""The vault: an owner's data behind one method, `answer`. Knows no Flower."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Shaped

from clients.drawing import Terms, drawer
from clients.noised import Looks, in_range, levels_of, release_of
from clients.own_models import OwnModels
from clients.owner_log import owner_log
from clients.picks import checked_picks, first_of_each, positions
from clients.policy import Policy
from clients.statement import card_for
from mycroft_fl.errors import BadMessage, InputError, Refused
from mycroft_fl.examples import Examples
from mycroft_fl.exchange import HANDING_OVER, OwnerReport, Request, Statistic
from mycroft_fl.models.networks import Classifier, build, is_network
from mycroft_fl.models.weights import load_flat_weights
from mycroft_fl.privacy.card import Card
from mycroft_fl.privacy.ledger import Key, PrivacyLedger
from mycroft_fl.privacy.noise import OS_ENTROPY, Noise
from mycroft_fl.privacy.relevance import Target
from mycroft_fl.seeds import derived_seed
from mycroft_fl.selection import Query, method_named

ANYBODY = "anybody"
"""The trainer's name where whoever runs the vault does not tell trainers apart."""


@dataclass(frozen=True, eq=False)
class Marks:
    """What an owner's columns say of each record, in order; None: nothing.

    `persons`: whose it is, where privacy is by person. `shareable`: whether it may ever be handed
    over as it is.
    """

    persons: Shaped[np.ndarray, " n"] | None = None
    shareable: Bool[np.ndarray, " n"] | None = None


@dataclass(frozen=True)
class Books:
    """Where a vault keeps its books, and where its noise comes from, request by request."""

    folder: Path
    head: Path | None = None
    ledger: str = "ledger.sqlite"
    noise_for: Callable[[str], Noise] = lambda digest: OS_ENTROPY


class Vault:
    """One owner's private examples, what it allows, and what it has handed over.

    The folder is the owner's own: it holds the ledger and a log that nobody else reads. `device`
    is where gradients are computed; no request has a say in it.
    """

    def __init__(
        self,
        name: str,
        examples: Examples,
        policy: Policy,
        books: Path | Books,
        device: str = "cpu",
        marks: Marks | None = None,
    ) -> None:
        books = books if isinstance(books, Books) else Books(books)
        books.folder.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.log = owner_log(name, books.folder / "owner.log")
        self._examples = examples
        self._models = OwnModels(examples)
        self._marks = marks or Marks()
        self._policy = policy
        self._device = device
        self._noise_for = books.noise_for
        self._looks = Looks()
        self._ledger = PrivacyLedger(books.folder / books.ledger, books.head)
        self._check_size()
        self._note(policy)

    def answer(self, request: Request, peer: str = ANYBODY) -> OwnerReport:
        """What the policy allows of what was asked, charged before it leaves, with its card.

        Up to k examples, never one twice, or a noised statistic. `peer` is the trainer, as whoever
        runs the vault knows it. `Refused` where the policy says no, `BadMessage` where the request
        does not fit the data.
        """
        self._policy.check(request, peer)
        self._check_fit(request)
        key = Key(self.name, peer, request_digest(request))
        if request.mode in HANDING_OVER:
            return self._hand_over(request, key)
        return self._noised(request, key)

    def _hand_over(self, request: Request, key: Key) -> OwnerReport:
        ids = self._ledger.recall_ids(key)
        if ids is None:
            drawn = request.mode == "raw-gumbel"
            ids = self._draw(request, key) if drawn else self._pick(request, key)
            self.log.info("round %d: disclosed %d examples", request.server_round, len(ids))
        # Of an earlier answer, what has left the data since cannot be handed over again, nor what
        # may no longer be.
        held = ids[np.isin(ids, self._shareable().ids)]
        disclosed = self._examples[positions(self._examples.ids, held)]
        return OwnerReport(disclosed, self._card(key))

    def _pick(self, request: Request, key: Key) -> np.ndarray:
        chosen = self._choose(request)
        return self._ledger.disclose(key, chosen, self._policy.limits(key.peer))

    def _draw(self, request: Request, key: Key) -> np.ndarray:
        """Examples drawn at random, the relevant ones more often; paid for before they are drawn."""
        pool = self._shareable()
        levels = levels_of(request, pool)
        terms = Terms.of(self._policy, request.k, len(self._ledger.disclosed()))
        self._ledger.charge(key, request.mode, terms.spend, self._policy.limits(key.peer))
        noise = self._noise_for(key.digest)
        return self._ledger.draw(key, drawer(terms, self._policy, pool.ids, levels, noise))

    def _noised(self, request: Request, key: Key) -> OwnerReport:
        """A statistic with noise: charged, then drawn, then kept; asked again, the same bytes."""
        content = self._ledger.recall(key)
        if content is None:
            # All that may fail comes before anything is charged, and fails alike on any data.
            known = in_range(request, self._examples)
            whose = self._marks.persons
            persons = None if whose is None else whose[known]
            release = release_of(request, self._examples[known], self._policy, persons, self._looks)
            self._ledger.charge(key, request.mode, release.spend, self._policy.limits(key.peer))
            told = release.draw(self._noise_for(key.digest))
            content = self._ledger.store(key, np.append(told.values, told.sigma).tobytes())
            self.log.info("round %d: a noised %s", request.server_round, request.mode)
        numbers = np.frombuffer(content, np.float64)
        statistic = Statistic(numbers[:-1].copy(), float(numbers[-1]))
        return OwnerReport(card=self._card(key), statistic=statistic)

    def _note(self, policy: Policy) -> None:
        """Leave the limits in the ledger, and what its noise is worth, which must not change.

        Else answers kept from a simulation would leave under a real owner's card.
        """
        noise, noted = self._noise_for("0" * 64).origin, json.loads(self._ledger.limits() or "{}")
        if noted.get("noise", noise) != noise:
            raise InputError(
                f"the ledger's answers have noise of '{noted['noise']}', and this vault's is '{noise}'; "
                "begin with an empty folder"
            )
        limits = policy.limits("").overall.as_json()
        self._ledger.note_limits(json.dumps({**limits, "noise": noise}))

    def _shareable(self) -> Examples:
        """The records that may be handed over as they are, each content once."""
        first = first_of_each(self._examples.ids)
        allowed = self._marks.shareable
        return self._examples[first if allowed is None else first[allowed[first]]]

    def _check_size(self) -> None:
        if "dp-sgd" in self._policy.modes and self._marks.persons is not None:
            raise InputError("dp-sgd hides records, not persons; leave it out, or unit-id")
        if "raw-gumbel" not in self._policy.modes:
            return
        if self._marks.persons is not None:
            raise InputError("raw-gumbel hides records, not persons; leave it out, or unit-id")
        held = len(self._shareable())
        if held < self._policy.records_at_least:
            raise InputError(
                f"policy.records-at-least is {self._policy.records_at_least}, but {held} records may "
                "be handed over; lower it"
            )

    def _card(self, key: Key) -> Card:
        by_person = self._marks.persons is not None
        noise = self._noise_for(key.digest).origin
        return card_for(self._ledger, self._policy, key, by_person=by_person, noise=noise)

    def _check_fit(self, request: Request) -> None:
        if (request.hard.x.dtype, request.hard.x.shape[1:]) != (
            self._examples.x.dtype,
            self._examples.x.shape[1:],
        ):
            raise BadMessage("the hard set is of another shape or type than this owner's examples")
        if self._needs_model(request) and not is_network(request.model):
            raise BadMessage(f"unknown architecture '{request.model}'")
        if request.weights is None and _looks_through(request) == "trainer-model":
            raise BadMessage(f"method '{request.method}' needs the trainer's weights")
        if request.target is not None and request.mode == "raw":
            self._check_target(request)

    @staticmethod
    def _check_target(request: Request) -> None:
        if not method_named(request.method).takes_target:
            raise Refused(
                f"method '{request.method}' needs hard examples, and a target came instead"
            )
        if request.gradient_layers != "last":
            raise BadMessage("a target is of the last layer; gradient-layers must be 'last'")
        if request.weights is None and _looks_through(request) != "nothing":
            raise BadMessage("a target needs the trainer's weights, through which it was seen")

    def _choose(self, request: Request) -> np.ndarray:
        """The ids of the examples to hand over, most useful first."""
        disclosed = self._ledger.disclosed()
        allowed = self._policy.records_left(len(disclosed))
        held = self._shareable()
        gone = np.isin(held.ids, disclosed)
        fresh = held[~gone]
        if len(fresh) == 0:
            return fresh.ids
        model, target = self._model(request), request.target
        query = Query(
            hard=request.hard,
            model=model,
            feature_space=request.feature_space,
            seed=derived_seed(request.seed, "select", self.name, request.server_round),
            disclosed=held[gone] if gone.any() else None,
            gradient_layers=request.gradient_layers,
            feature_weight=request.feature_weight,
            device=self._device,
            target=Target.told(model, target).direction if model and target else None,
            stands_for=target.stands_for if target else 0,
        )
        method = method_named(request.method)
        k = min(request.k, allowed, len(fresh))
        chosen: np.ndarray = fresh.ids[checked_picks(method.select(fresh, query, k), k, len(fresh))]
        return chosen

    @staticmethod
    def _needs_model(request: Request) -> bool:
        return _looks_through(request) != "nothing" or request.feature_space == "model"

    def _model(self, request: Request) -> Classifier | None:
        """The model that the method looks through: the trainer's, or an early one of the owner's."""
        if not self._needs_model(request):
            return None
        seed = derived_seed(request.seed, "owner-model", self.name)
        if request.weights is None:
            return self._models.fitted(
                request.model, request.num_classes, request.owner_epochs, seed
            )
        shape = tuple(self._examples.x.shape[1:])
        model = build(request.model, shape, request.num_classes, seed=seed)
        load_flat_weights(model, request.weights)
        return model


def _looks_through(request: Request) -> str:
    return method_named(request.method).looks_through


def request_digest(request: Request) -> str:
    """Names a request by its whole content: the same bytes asked again are the same request."""
    hasher = hashlib.sha256()
    target = request.target
    direction = None if target is None else target.direction
    for array in (request.hard.x, request.hard.y, request.weights, request.head, direction):
        if array is None:
            hasher.update(b"none")
            continue
        # With its shape, or bytes could move from one array to the next.
        hasher.update(f"{array.dtype.str}{array.shape}".encode())
        hasher.update(np.ascontiguousarray(array).tobytes())
    arrays = ("hard", "weights", "head", "target")
    plain = {key: value for key, value in vars(request).items() if key not in arrays}
    if request.score_by == "hard-set":
        # As before there was a choice: what was paid for then is not to be paid again.
        del plain["score_by"]
    hasher.update(repr(sorted(plain.items())).encode())
    if target is not None:
        hasher.update(repr((target.scale, target.clip, target.stands_for)).encode())
    return hasher.hexdigest()
