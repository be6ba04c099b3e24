"""The way of requests and answers: as they are, or signed for one owner and sealed to the trainer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from flwr.app import Message, RecordDict

from mycroft_fl.protocol.envelope import SignedTerms
from mycroft_fl.protocol.keys import KeyPair, PublicKey
from mycroft_fl.protocol.signed import pack_signed, unpack_sealed
from mycroft_fl.protocol.wire import SELECT


@runtime_checkable
class Transport(Protocol):
    """Both ends of the way to owners and back, as the trainer sees it."""

    def knows(self, owner: str, node: int) -> bool:
        """Check whether this may be asked at all: an owner of that name, behind Flower's node of that id."""
        ...

    def packed(self, content: RecordDict, owner: str, server_round: int) -> RecordDict:
        """Make a packed request what is sent to this owner."""
        ...

    def opened(self, owner: str, reply: RecordDict) -> RecordDict:
        """Open the packed answer in a reply. `BadMessage` where it is not this owner's to what was asked."""
        ...


class PlainTransport:
    """Between processes of one person: nothing is signed, nothing is sealed."""

    def knows(self, owner: str, node: int) -> bool:
        """Know everybody."""
        return True

    def packed(self, content: RecordDict, owner: str, server_round: int) -> RecordDict:
        """Return the content itself."""
        return content

    def opened(self, owner: str, reply: RecordDict) -> RecordDict:
        """Return the reply itself."""
        return reply


class SignedTransport:
    """To real owners: every request signed anew for one of them, every answer sealed to the trainer.

    `vaults` are the keys by which owners' vaults sign and `nodes` the ids of their SuperNodes, by
    owner; nobody else is asked. `run` names the run to owners, `within` is how long an answer may
    take, in seconds.
    """

    def __init__(
        self,
        key: KeyPair,
        vaults: Mapping[str, PublicKey],
        nodes: Mapping[str, int],
        *,
        run: str,
        within: float,
    ) -> None:
        self._key, self._vaults, self._nodes = key, vaults, nodes
        self._run, self._within = run, within
        self._terms: dict[str, SignedTerms] = {}

    def knows(self, owner: str, node: int) -> bool:
        """Check whether the owner was admitted, with this node: a name alone is easily claimed."""
        return owner in self._vaults and self._nodes.get(owner) == node

    def packed(self, content: RecordDict, owner: str, server_round: int) -> RecordDict:
        """Sign the request for this owner, this round and this once."""
        self._terms[owner] = SignedTerms.fresh(self._run, owner, server_round, self._within)
        return pack_signed(content, self._terms[owner], self._key)

    def opened(self, owner: str, reply: RecordDict) -> RecordDict:
        """Open what this owner's own vault sealed in answer to the last request to it."""
        content, _ = unpack_sealed(reply, self._terms[owner], self._key, self._vaults[owner])
        return content


@dataclass(frozen=True)
class Route:
    """The way to the owners that are there: how messages travel, and Flower's node id of each owner."""

    transport: Transport
    nodes: Mapping[str, int] = field(default_factory=dict)

    def message(self, request: RecordDict, owner: str, server_round: int) -> Message:
        """Address a packed request to one of these owners."""
        content = self.transport.packed(request, owner, server_round)
        return Message(content, dst_node_id=self.nodes[owner], message_type=SELECT)
