"""All traffic with owners: send a list, wait, and account for every message that was sent."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence

from flwr.app import Message, RecordDict
from flwr.serverapp import Grid

from mycroft_fl.errors import BadMessage
from mycroft_fl.protocol.messages import Failure
from mycroft_fl.protocol.wire import report_status

log = logging.getLogger(__name__)

BATCH = 500
"""Messages in one call: Flower's dispatch scans every stored message for every node."""

TIMED_OUT_CODES = frozenset({3, 5})
"""Flower's error codes for "message expired" and "node unavailable": silence, to the trainer."""

FALLEN_CODES = frozenset({0, 8})
"""Flower's error codes for an owner whose process died, or that was to be answered by one that had."""


def send(
    grid: Grid,
    messages: Iterable[Message],
    *,
    timeout: float,
    on_answers: Callable[[int, int], None] = lambda answered, sent: None,
) -> list[Message]:
    """Send `messages` and return the replies that came in time, a batch at a time."""
    waiting, replies = list(messages), list[Message]()
    for start in range(0, len(waiting), BATCH):
        # A list: Flower's deployment answers a generator with an error 500.
        replies += grid.send_and_receive(waiting[start : start + BATCH], timeout=timeout)
        on_answers(len(replies), min(start + BATCH, len(waiting)))
    return replies


def sort_out(
    sent: Sequence[Message], replies: Iterable[Message]
) -> list[tuple[Message, RecordDict | Failure]]:
    """Pair each message sent with the content that answers it, or with the code of its failure.

    Replies are matched by the message they reply to: for a lost node, Flower's error reply does
    not carry the node's id. What does not answer anything sent is dropped.
    """
    by_id = {reply.metadata.reply_to_message_id: reply for reply in replies}
    return [(message, _content(by_id.get(message.metadata.message_id))) for message in sent]


def fallen(sent: Sequence[Message], replies: Iterable[Message]) -> list[Message]:
    """List the messages whose answer a process's death took away."""
    by_id = {reply.metadata.reply_to_message_id: reply for reply in replies}
    found = [(message, by_id.get(message.metadata.message_id)) for message in sent]
    return [
        message
        for message, reply in found
        if reply is not None and reply.has_error() and reply.error.code in FALLEN_CODES
    ]


def _content(reply: Message | None) -> RecordDict | Failure:
    if reply is None:
        return "timeout"
    if reply.has_error():
        log.debug("an owner's reply carries error code %d", reply.error.code)
        return "timeout" if reply.error.code in TIMED_OUT_CODES else "error"
    try:
        status = report_status(reply.content)
    except BadMessage:
        return "malformed"
    if status == "refused":
        return "refused"
    return reply.content if status == "answered" else "error"
