"""The vault: an owner's data behind one method, `answer`. Knows no Flower."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clients.answering.bounds import Bounds
from clients.answering.described import Counting
from clients.answering.gumbel import GumbelPlan, drawer
from clients.answering.log import owner_log
from clients.answering.noised import levels_of, release_of
from clients.answering.noted import note
from clients.answering.policy import Policy
from clients.answering.privacy_card import Given, card_for
from clients.answering.private_records import PrivateRecords
from clients.answering.selecting import Selector
from clients.answering.trainer_view import TrainerView, ViewCache, in_range
from mycroft_fl.data.task import Task
from mycroft_fl.errors import Refused
from mycroft_fl.examples import Examples
from mycroft_fl.files import private_folder
from mycroft_fl.modes import MODES
from mycroft_fl.privacy.noise.accounting import Spend
from mycroft_fl.privacy.noise.samplers import OS_ENTROPY, Noise
from mycroft_fl.privacy.spending.ledger import NOTHING_FOUND, Key, PrivacyLedger
from mycroft_fl.protocol.card import Card
from mycroft_fl.protocol.messages import Described, OwnerReport, Request, Statistic
from mycroft_fl.settings.run_config import MAX_EXAMPLES
from mycroft_fl.tasks.mock import described

NOBODY = np.empty(0, np.int64)
ANYBODY = "anybody"
"""The trainer's name where whoever runs the vault does not tell trainers apart."""


@dataclass(frozen=True)
class VaultStorage:
    """Where a vault keeps its ledger and its log, and where its noise comes from, request by request."""

    folder: Path
    head: Path | None = None
    ledger: str = "ledger.sqlite"
    noise_for: Callable[[str], Noise] = lambda digest: OS_ENTROPY
    witnesses: tuple[Path, ...] = ()


class Vault:
    """One owner's private examples, what it allows, and what it has handed over.

    The folder is the owner's own: it holds the ledger and a log that nobody else reads. `device`
    is where gradients are computed; no request has a say in it. `task` bounds what a request may ask.

    Example:
        >>> import mycroft_fl as mf, numpy as np, pathlib, tempfile
        >>> held = mf.Examples(np.eye(4, dtype=np.float32), np.array([0, 0, 1, 1]))
        >>> place = pathlib.Path(tempfile.mkdtemp()) / "a"
        >>> vault = Vault("a", mf.PrivateRecords(held), mf.Policy(max_records=1), place)
        >>> request = mf.Request(server_round=1, k=3, hard=held[2:3], num_classes=2,
        ...     model="linear", weights=None, seed=0, method="features")
        >>> len(vault.answer(request).disclosed)
        1
    """

    def __init__(
        self,
        name: str,
        records: PrivateRecords,
        policy: Policy,
        storage: Path | VaultStorage,
        device: str = "cpu",
        task: Task | None = None,
    ) -> None:
        storage = storage if isinstance(storage, VaultStorage) else VaultStorage(storage)
        private_folder(storage.folder)
        self.name = name
        self.log = owner_log(name, storage.folder / "owner.log")
        self._records = records
        self._task = task
        self._bounds = Bounds.of(records.examples, task)
        self._selector = Selector(name, records, device)
        self._policy = policy
        self._noise_for = storage.noise_for
        self._views = ViewCache()
        self._ledger = PrivacyLedger(
            storage.folder / storage.ledger, storage.head, witnesses=storage.witnesses
        )
        self._records.check(policy)
        note(self._ledger, policy, self._noise_origin)

    def adopt(self, policy: Policy) -> None:
        """Go by another policy from the next request on. `InputError` where it cannot be kept here."""
        self._records.check(policy)
        note(self._ledger, policy, self._noise_origin)
        self._policy = policy

    def answer(self, request: Request, peer: str = ANYBODY) -> OwnerReport:
        """Answer with what the policy allows of what was asked, charged before it leaves, with its card.

        Up to k examples, never one twice, or a noised statistic. `peer` is the trainer, as whoever
        runs the vault knows it. `Refused` where the policy says no, `BadMessage` where the request
        does not fit the data.
        """
        self._policy.check(request, peer)
        self._bounds.check(request, self._policy.max_model)
        self._selector.check(request)
        key = Key(self.name, peer, request_digest(request))
        if MODES[request.mode].hands_over:
            return self._hand_over(request, key)
        return self._noised(request, key)

    def describe(self, peer: str = ANYBODY) -> Described:
        """Say what the policy lets this trainer see before it asks for anything.

        The form is the task's and nothing of the data. Noised counts are charged before a record is
        read; asked again, the same counts leave at no charge. `Refused` where nothing is described.
        """
        self._policy.check_look(peer)
        if self._task is None:
            raise Refused("this owner has no task, which alone says what its data look like")
        form = described(self._task)
        self.log.info("described: %s", self._policy.describe)
        if not self._policy.shows_counts:
            return Described(form)
        counting = Counting(self._ledger, self._policy, self._records, self._task, self.log)
        key = counting.key(self.name, peer)
        counts = counting.statistic(key, self._noise_for(key.digest))
        return Described(form) if counts is None else Described(form, counts, self._card(key))

    def _hand_over(self, request: Request, key: Key) -> OwnerReport:
        ids = self._ledger.recall_ids(key)
        if ids is None:
            drawn = MODES[request.mode].drawn
            ids = self._draw(request, key) if drawn else self._pick(request, key)
            self.log.info("round %d: disclosed %d examples", request.server_round, len(ids))
        # Records of an earlier answer that have left the data since, or may no longer be handed
        # over, stay out.
        disclosed = self._records.found(ids)
        return OwnerReport(disclosed, self._card(key, len(disclosed)))

    def _pick(self, request: Request, key: Key) -> np.ndarray:
        """Choose examples by the method. A choice that fails once it has looked costs as none found."""
        limits = self._policy.limits(key.peer)
        left = self._ledger.records_left(key.peer, limits)
        self._ledger.require(key, Spend(records=NOTHING_FOUND), limits)
        view = self._selector.view_of(request)
        at_most = MAX_EXAMPLES if left is None else left
        try:
            chosen = self._selector.choose(request, view, self._ledger.disclosed(), at_most)
        except Exception:
            # Records were looked at, so that it fails says something of them: never for nothing.
            self._ledger.disclose(key, NOBODY, limits)
            raise
        return self._ledger.disclose(key, chosen, limits)

    def _draw(self, request: Request, key: Key) -> np.ndarray:
        """Draw examples at random, the relevant ones more often; paid for before they are looked at."""
        limits = self._policy.limits(key.peer)
        left = self._ledger.records_left(key.peer, limits)
        k = request.k if left is None else min(request.k, left)
        terms = GumbelPlan.of(self._policy, k, len(self._ledger.disclosed()))
        self._ledger.require(key, terms.spend, limits)
        view = TrainerView.of(request, self._nothing)
        levels_of(view, self._nothing)
        self._ledger.charge(key, request.mode, terms.spend, limits)
        pool = self._records.drawable()
        levels = levels_of(view, pool)
        noise = self._noise_for(key.digest)
        return self._ledger.draw(key, drawer(terms, self._policy, pool.ids, levels, noise))

    def _noised(self, request: Request, key: Key) -> OwnerReport:
        """Answer with a noised statistic: charged, then computed, then kept; asked again, the same bytes."""
        content = self._ledger.recall(key)
        if content is None:
            content = self._computed(request, key)
            self.log.info("round %d: a noised %s", request.server_round, request.mode)
        numbers = np.frombuffer(content, np.float64)
        statistic = Statistic(numbers[:-1].copy(), float(numbers[-1]))
        return OwnerReport(card=self._card(key), statistic=statistic)

    def _computed(self, request: Request, key: Key) -> bytes:
        spend, limits = self._policy.price(request.mode), self._policy.limits(key.peer)
        self._ledger.require(key, spend, limits)
        # All that a request can be wrong in fails here, on no record at all, and costs nothing.
        view = TrainerView.of(request, self._nothing)
        release_of(view, self._nothing, self._policy)
        # Paid before a record is read: the time that reading takes says something of them.
        self._ledger.charge(key, request.mode, spend, limits)
        examples = self._records.examples
        known = in_range(request, examples)
        persons = self._records.persons_of(known)
        release = release_of(view, examples[known], self._policy, persons, self._views)
        if release.spend != spend:
            raise Refused("the answer would cost something else than was paid")
        statistic = release.draw(self._noise_for(key.digest))
        return self._ledger.store(key, np.append(statistic.values, statistic.sigma).tobytes())

    @property
    def _noise_origin(self) -> str:
        return self._noise_for("0" * 64).origin

    @property
    def _nothing(self) -> Examples:
        """No record, of the form that records have."""
        return self._records.examples[:0]

    def _card(self, key: Key, records: int = 0) -> Card:
        unit = "person" if self._records.by_person else "record"
        given = Given(records, unit, self._noise_for(key.digest).origin)
        return card_for(self._ledger, self._policy, key, given)


def request_digest(request: Request) -> str:
    """Name a request by its whole content: the same bytes asked again are the same request."""
    hasher = hashlib.sha256()
    target = request.target
    direction = None if target is None else target.direction
    sent = [request.weights, request.head, direction]
    # Fields added after the first release are hashed only when set, so a request that was already
    # paid for keeps its digest.
    if request.whitening is not None:
        sent.append(request.whitening)
    if request.detector is not None:
        hasher.update(request.detector.digest.encode())
    for array in (request.hard.x, request.hard.y, *sent):
        if array is None:
            hasher.update(b"none")
            continue
        # With its shape, or bytes could move from one array to the next.
        hasher.update(f"{array.dtype.str}{array.shape}".encode())
        hasher.update(np.ascontiguousarray(array).tobytes())
    arrays = ("hard", "weights", "head", "whitening", "target", "detector")
    plain = {key: value for key, value in vars(request).items() if key not in arrays}
    if request.score_by == "hard-set":
        del plain["score_by"]
    hasher.update(repr(sorted(plain.items())).encode())
    if target is not None:
        hasher.update(repr((target.scale, target.clip, target.stands_for)).encode())
    return hasher.hexdigest()
