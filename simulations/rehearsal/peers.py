"""A vault that is asked in the name of a trainer whom its owner lists, as over the network."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from clients.answering.vault import Vault
from mycroft_fl.protocol.messages import Described, OwnerReport, Request


@dataclass(frozen=True)
class AskedBy:
    """An owner's vault, asked by `peer`: the trainer's limits are those of the owner's file."""

    vault: Vault
    peer: str

    @property
    def log(self) -> logging.Logger:
        """The owner's own log."""
        return self.vault.log

    def answer(self, request: Request) -> OwnerReport:
        """Answer as that trainer is answered, or raise `Refused`."""
        return self.vault.answer(request, self.peer)

    def describe(self) -> Described:
        """Describe the data as to that trainer, or raise `Refused`."""
        return self.vault.describe(self.peer)
