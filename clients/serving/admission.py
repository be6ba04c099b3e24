"""The door of a vault: a request's head against the owner's file as it is now, and each trainer's account."""

from __future__ import annotations

from collections.abc import Mapping

from clients.answering.log import Rationed
from clients.owner.file import OwnerFile
from clients.owner.live_file import LiveFile
from clients.owner.quotas import Account
from mycroft_fl.errors import BadMessage, InputError, Refused
from mycroft_fl.protocol.envelope import FRONT_BYTES, Claim, read_head
from mycroft_fl.protocol.keys import PublicKey

STRANGERS, CLOSED = "refused at the door: strangers", "closed"


class Door:
    """Knows trainers by the keys that the owner's file lists at this moment."""

    def __init__(self, file: OwnerFile, log: Rationed) -> None:
        self._file, self._log = file, log
        self._live = LiveFile(file)
        self._by_name: dict[str, Account] = {}
        self._by_key: dict[PublicKey, Account] = {}
        self._names_known: dict[PublicKey, str] = {}

    @property
    def most_bytes(self) -> int:
        """The largest content that is read, and what one trainer may have the server keep."""
        return self._file.vault.max_megabytes << 20

    def proven(self, head: bytes, length: int) -> tuple[Claim, Account]:
        """Say whose request of `length` bytes this is, and its account, by its head alone.

        `Refused` for a stranger, and where more is asked than a trainer may; `BadMessage` for what
        is no head.
        """
        names = self._names()
        try:
            claim = read_head(head, self._file.name, names)
            if len(head) + claim.size != length or claim.size > self.most_bytes:
                raise BadMessage("a request of another length than it says")
            account = self._account(claim.signer, names[claim.signer])
            account.seen.check(claim.terms)
            account.check_seconds()
        except Refused as refusal:
            self.refuse(head, refusal)
            raise
        return claim, account

    def still_admits(self, claim: Claim) -> bool:
        """Say whether whoever asked is one of those who may, by now."""
        try:
            return claim.signer in self._names()
        except BadMessage:
            return False

    def refuse(self, head: bytes, refusal: Refused) -> None:
        """Count it by whose key the head names: a flood of one leaves room for the lines of others."""
        names = {key.raw: name for key, name in self._names_known.items()}
        who = next((name for raw, name in names.items() if raw in head[:FRONT_BYTES]), "")
        kind = f"refused at the door: {who}" if who else STRANGERS
        self._log.add(kind, f"refused at the door: {f'{who}: ' if who else ''}{refusal}")

    def _names(self) -> Mapping[PublicKey, str]:
        """Say who may ask, by key. `BadMessage` where the owner's file is broken: then nobody may."""
        try:
            admitted = self._live.current().admitted
        except InputError as error:
            self._log.add(CLOSED, f"nothing is answered: {error}")
            raise BadMessage("the vault is closed") from error
        self._names_known = {each.key: each.name for each in admitted if each.key is not None}
        return self._names_known

    def _account(self, key: PublicKey, name: str) -> Account:
        """Find the account of a name and of a key: another key, or another name, begins no new one."""
        known = self._by_key.get(key) or self._by_name.get(name)
        if known is None:
            known = Account(self._file.vault.quotas, self.most_bytes)
        self._by_key[key] = self._by_name[name] = known
        return known
