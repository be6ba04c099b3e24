"""Every message sent is accounted for: answered, or failed with one of five codes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from flwr.app import ArrayRecord, ConfigRecord, Error, Message, RecordDict
from flwr.serverapp import Grid
from flwr.supercore.task_identity import TaskIdentity

from mycroft_fl.examples import Examples
from mycroft_fl.protocol.messages import OwnerReport
from mycroft_fl.protocol.wire import pack_failure, pack_report
from strategies.rounds.messaging import BATCH, fallen, send, sort_out

Answer = Callable[[Message], Message | None]


@pytest.fixture(autouse=True)
def in_a_run():
    TaskIdentity.run_id = TaskIdentity.task_id = TaskIdentity.node_id = 1


@Grid.register
class ScriptedGrid:
    """Answers as scripted, and remembers how it was asked."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.batches: list[int] = []
        self.timeouts: list[float] = []

    def send_and_receive(self, messages, *, timeout):
        # Flower's deployment answers anything but a list with an error 500.
        assert type(messages) is list
        self.batches.append(len(messages))
        self.timeouts.append(timeout)
        return [reply for reply in map(self.answer, messages) if reply is not None]


def message(node: int) -> Message:
    made = Message(
        RecordDict({"n": ConfigRecord({"node": node})}), dst_node_id=node, message_type="query"
    )
    made.metadata.__dict__["_message_id"] = f"message-{node}"
    return made


def report() -> RecordDict:
    return pack_report(OwnerReport(Examples(np.zeros((1, 2), np.float32), np.zeros(1, np.int64))))


def failing(code: int) -> Answer:
    return lambda asked: Message(Error(code=code, reason="why"), reply_to=asked)


def answering(content: RecordDict) -> Answer:
    return lambda asked: Message(content, reply_to=asked)


def without_records() -> RecordDict:
    return RecordDict()


def with_surplus() -> RecordDict:
    return RecordDict({"report": ConfigRecord({"status": "answered", "also": 1})})


def with_arrays_for_a_report() -> RecordDict:
    return RecordDict({"report": ArrayRecord([np.zeros(2)])})


def outcome(answer: Answer) -> RecordDict | str:
    asked = message(7)
    [(same, content)] = sort_out([asked], send(ScriptedGrid(answer), [asked], timeout=1.0))
    assert same is asked
    return content


@pytest.mark.parametrize(
    ("code", "meaning"),
    [
        (0, "error"),  # unknown; a simulation's worker died
        (1, "error"),  # the app could not be loaded
        (2, "error"),  # the ClientApp raised
        (3, "timeout"),  # the message expired, or the node is unknown
        (4, "error"),
        (5, "timeout"),  # the node is unavailable
        (6, "error"),
        (8, "error"),  # the client process died
        (99, "error"),
    ],
)
def test_each_of_flowers_error_codes_has_a_meaning(code, meaning):
    assert outcome(failing(code)) == meaning


def test_silence_is_a_timeout():
    assert outcome(lambda asked: None) == "timeout"


@pytest.mark.parametrize(
    ("content", "meaning"),
    [
        (without_records(), "malformed"),
        (with_surplus(), "malformed"),
        (with_arrays_for_a_report(), "malformed"),
        (pack_failure("unheard-of"), "malformed"),
        (pack_failure("refused"), "refused"),
        (pack_failure("error"), "error"),
    ],
    ids=["empty", "surplus", "arrays", "status", "refused", "error"],
)
def test_what_an_owner_says_of_its_failure_is_a_code(content, meaning):
    assert outcome(answering(content)) == meaning


def test_an_answer_comes_through_as_it_is():
    content = report()
    assert outcome(answering(content)) == content


def test_replies_are_matched_by_what_they_reply_to_and_strangers_are_dropped():
    asked = [message(node) for node in (5, 3, 4)]
    others = [message(node) for node in (8, 9)]
    replies = [Message(report(), reply_to=each) for each in [others[0], *reversed(asked[:2])]]
    # For a lost node, Flower's error reply does not carry the node's id.
    lost = Message(Error(code=5, reason=""), reply_to=asked[2])
    lost.metadata.__dict__["_src_node_id"] = 0
    sorted_out = sort_out(asked, [*replies, lost, Message(report(), reply_to=others[1])])
    assert [each.metadata.dst_node_id for each, _ in sorted_out] == [5, 3, 4]
    assert [content if isinstance(content, str) else "content" for _, content in sorted_out] == [
        "content",
        "content",
        "timeout",
    ]


def test_nothing_sent_is_nothing_to_account_for():
    assert send(ScriptedGrid(answering(report())), [], timeout=1.0) == []
    assert sort_out([], [Message(report(), reply_to=message(1))]) == []


@pytest.mark.parametrize(
    ("sent", "batches"),
    [(1, [1]), (BATCH, [BATCH]), (BATCH + 1, [BATCH, 1]), (1234, [500, 500, 234])],
)
def test_messages_go_out_in_batches_of_500_and_the_timeout_holds_for_each(sent, batches):
    grid = ScriptedGrid(
        lambda asked: Message(report(), reply_to=asked) if asked.metadata.dst_node_id % 2 else None
    )
    output: list[tuple[int, int]] = []
    # A generator on purpose: what reaches the grid must be a list all the same.
    asked = (message(node) for node in range(1, sent + 1))
    replies = send(grid, asked, timeout=2.5, on_answers=lambda *counts: output.append(counts))
    assert grid.batches == batches
    assert grid.timeouts == [2.5] * len(batches)
    assert len(replies) == (sent + 1) // 2
    assert output[-1] == ((sent + 1) // 2, sent)
    assert [total for _, total in output] == np.cumsum(batches).tolist()


@pytest.mark.parametrize(
    ("code", "again"), [(0, True), (8, True), (1, False), (2, False), (3, False), (5, False)]
)
def test_only_a_process_that_died_is_a_reason_to_ask_again(code, again):
    asked = [message(7), message(8)]
    replies = [failing(code)(asked[0]), Message(report(), reply_to=asked[1])]
    assert fallen(asked, replies) == (asked[:1] if again else [])
