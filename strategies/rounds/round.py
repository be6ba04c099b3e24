"""One round's asking: who is asked for how many, by which message, and what came of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping

from flwr.app import Message, RecordDict

from mycroft_fl.errors import BadMessage
from mycroft_fl.protocol.messages import Failure
from mycroft_fl.protocol.signed import from_bytes, size_of
from mycroft_fl.protocol.wire import SELECT
from strategies.rounds.messaging import sort_out
from strategies.rounds.transport import Transport

log = logging.getLogger(__name__)


class Asking:
    """The requests of one round, and the answers to them.

    `nodes` are Flower's node ids of the owners that are there. `had` are answers that came before
    the run was resumed, as bytes: whoever gave one is not asked again.
    """

    def __init__(
        self,
        server_round: int,
        nodes: Mapping[str, int],
        transport: Transport,
        had: Mapping[str, bytes],
    ) -> None:
        self.server_round = server_round
        self.counts: dict[str, int] = {}
        self._messages: dict[str, Message] = {}
        self._nodes, self._transport, self._had = nodes, transport, had

    @property
    def messages(self) -> list[Message]:
        """All that is to be sent."""
        return list(self._messages.values())

    def ask(self, owner: str, k: int, request: RecordDict) -> None:
        """Ask an owner for `k`, by a packed request; one that is not there counts as silent."""
        self.counts[owner] = k
        if owner not in self._had and owner in self._nodes:
            content = self._transport.packed(request, owner, self.server_round)
            message = Message(content, dst_node_id=self._nodes[owner], message_type=SELECT)
            self._messages[owner] = message

    def answers(
        self, replies: Iterable[Message], most: Callable[[str], int]
    ) -> Iterator[tuple[str, RecordDict | Failure]]:
        """Each owner that was asked, with its packed answer or the code of its failure.

        `most` is how many bytes an owner's answer may have; of a larger one nothing is opened.
        """
        sorted_out = sort_out(self.messages, replies)
        came = dict(zip(self._messages, (content for _, content in sorted_out), strict=True))
        for owner in self.counts:
            try:
                yield owner, self._opened(owner, came.get(owner, "timeout"), most(owner))
            except BadMessage as error:
                log.warning("the answer of %s cannot be opened: %s", owner, error)
                yield owner, "malformed"

    def _opened(self, owner: str, content: RecordDict | Failure, most: int) -> RecordDict | Failure:
        if owner in self._had:
            return from_bytes(self._had[owner])
        if isinstance(content, str):
            return content
        if (size := size_of(content)) > most:
            raise BadMessage(f"{size} bytes, above the {most} that were asked for")
        return self._transport.opened(owner, content)
