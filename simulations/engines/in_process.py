"""A Flower Grid inside this process: tests and studies without Ray or a network."""

from __future__ import annotations

import time
from collections.abc import Iterable

from flwr.app import Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

from simulations.one_disk import check_disk

CLIENT_RAISED = 2
"""Flower's error code for a ClientApp that raised."""


class LocalGrid(Grid):
    """Hands each message to the ClientApp at once, one owner after the other.

    Node ids are 1 to `owners`; a node's partition-id is one less. An answer that took longer than
    the timeout is dropped, as it would be on a network: it was given, and the trainer never saw it.
    """

    def __init__(
        self, app: ClientApp, *, owners: int, run_config: dict[str, bool | int | float | str]
    ) -> None:
        # Flower reads the identity of "the running task" from here when a message is made.
        TaskIdentity.run_id = TaskIdentity.task_id = TaskIdentity.node_id = 1
        self._app = app
        self._owners = owners
        self._run_config = run_config
        self._replies: dict[str, tuple[Message, float]] = {}

    def set_run(self, run: Run) -> None:
        """Do nothing: there is only one run."""

    @property
    def run(self) -> Run:
        """The one run there is."""
        return Run.create_empty(1)

    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> Message:
        """Return a message from the server.

        Args:
            content: what is sent.
            message_type: as Flower names it.
            dst_node_id: the owner's node.
            group_id: of messages that belong together.
            ttl: in seconds; None for Flower's own.
        """
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def get_node_ids(self) -> list[int]:
        """Return all nodes: they are always there."""
        return list(range(1, self._owners + 1))

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        """Have each message answered, and keep the answers with the time they took."""
        ids = []
        for message in messages:
            message.metadata.__dict__["_message_id"] = message.object_id
            since = time.monotonic()
            reply = self._answer(message)
            self._replies[message.metadata.message_id] = (reply, time.monotonic() - since)
            ids.append(message.metadata.message_id)
        return ids

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        """Return the answers to these messages."""
        return [self._replies.pop(each)[0] for each in message_ids if each in self._replies]

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> list[Message]:
        """Return the answers that took no longer than `timeout` seconds each."""
        arrived = [self._replies.pop(each) for each in self.push_messages(messages)]
        return [reply for reply, seconds in arrived if timeout is None or seconds <= timeout]

    def _answer(self, message: Message) -> Message:
        node = message.metadata.dst_node_id
        context = Context(
            run_id=1,
            node_id=node,
            node_config={"partition-id": node - 1, "num-partitions": self._owners},
            state=RecordDict(),
            run_config=self._run_config,
        )
        try:
            reply: Message = self._app(message, context)
        except Exception as error:
            reply = Message(Error(code=CLIENT_RAISED, reason=str(error)), reply_to=message)
        check_disk()
        return reply
