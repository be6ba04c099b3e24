"""The description of an owner's data before anything is asked: the task's form, and noised counts."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass

import numpy as np

from clients.answering.policy import Policy
from clients.answering.private_records import PrivateRecords
from mycroft_fl.data.task import Task
from mycroft_fl.errors import Refused
from mycroft_fl.modes import COUNTS
from mycroft_fl.privacy.noise.samplers import Noise
from mycroft_fl.privacy.relevance.counts import noised_counts
from mycroft_fl.privacy.spending.ledger import Key, PrivacyLedger
from mycroft_fl.protocol.messages import Statistic
from mycroft_fl.tasks.description import task_digest


@dataclass(frozen=True, eq=False)
class Counting:
    """The noised counts of one owner's records: charged before they are made, kept, never made anew."""

    ledger: PrivacyLedger
    policy: Policy
    records: PrivateRecords
    task: Task
    log: logging.Logger

    def key(self, owner: str, peer: str) -> Key:
        """Name the counts for a trainer: those that it has, under whatever key it had then.

        Another task, or another price, is another answer.
        """
        named = f"counts {task_digest(self.task)} {self.policy.counts_price().rho!r}"
        digest = hashlib.sha256(named.encode()).hexdigest()
        own = Key(owner, peer, digest)
        keys = [own, *(Key(owner, each, digest) for each in sorted(self.ledger.peers_of(peer)))]
        return next((each for each in keys if self.ledger.row(each) is not None), own)

    def statistic(self, key: Key, noise: Noise) -> Statistic | None:
        """Give the counts; None where nothing is left to pay them from."""
        content = self.ledger.recall(key)
        if content is None:
            try:
                content = self._counted(key, noise)
            except Refused as refusal:
                self.log.warning("the counts are left out: %s", refusal)
                return None
        numbers = np.frombuffer(content, np.float64)
        return Statistic(numbers[:-1].copy(), float(numbers[-1]))

    def _counted(self, key: Key, noise: Noise) -> bytes:
        # Paid before a record is read, as every answer is.
        self.ledger.charge(
            key, COUNTS.name, self.policy.counts_price(), self.policy.limits(key.peer)
        )
        counted = noised_counts(
            self.records.examples.y,
            self.task.num_classes,
            self.policy.counts_multiplier(),
            noise,
            self.records.persons,
        )
        return self.ledger.store(key, np.append(counted.values, counted.sigma).tobytes())
