"""What an answer carries beyond what was asked for is refused before it is opened, and never kept."""

from __future__ import annotations

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.supercore.task_identity import TaskIdentity

from mycroft_fl.errors import BadMessage
from mycroft_fl.examples import Examples
from mycroft_fl.protocol.messages import Expected, OwnerReport, Request
from mycroft_fl.protocol.signed import as_bytes, from_bytes, size_of
from mycroft_fl.protocol.wire import pack_report, pack_request, unpack_report, unpack_request
from strategies.rounds.receipts import Receipts
from strategies.rounds.round import Asking
from strategies.rounds.scoreboard import Scoreboard
from strategies.rounds.transport import PlainTransport

LARGE = 1 << 21
SHAPE = (3,)


def examples(count: int = 4) -> Examples:
    x = np.arange(3 * count, dtype=np.float32).reshape(count, 3)
    return Examples(x, np.zeros(count, dtype=np.int64))


def expected(at_most: int = 4) -> Expected:
    return Expected(SHAPE, np.dtype(np.float32), 2, at_most)


def answer() -> RecordDict:
    return pack_report(OwnerReport(examples()))


def beside() -> list[tuple[str, object]]:
    return [
        ("more", ConfigRecord({"text": "x" * LARGE})),
        ("more", ArrayRecord({"a": Array(np.zeros(LARGE, np.uint8))})),
        ("more", MetricRecord({"a": [0.0] * LARGE})),
        ("target", ConfigRecord({"text": "x"})),
    ]


@pytest.mark.parametrize(("name", "record"), beside())
def test_records_that_nothing_asks_for_are_refused(name: str, record: object) -> None:
    content = answer()
    content[name] = record
    with pytest.raises(BadMessage, match="1 records that nothing asks for"):
        unpack_report(content, expected())


def test_a_request_with_records_that_nothing_asks_for_is_refused() -> None:
    content = pack_request(
        Request(
            server_round=1,
            method="features",
            k=1,
            hard=examples(),
            num_classes=2,
            model="mlp",
            weights=None,
            feature_space="standardised",
            seed=0,
        )
    )
    unpack_request(content)
    content["more"] = ConfigRecord({"text": "x"})
    with pytest.raises(BadMessage, match="records that nothing asks for"):
        unpack_request(content)


@pytest.fixture(autouse=True)
def a_task() -> None:
    # Flower reads the identity of "the running task" from here when a message is made.
    TaskIdentity.run_id = TaskIdentity.task_id = TaskIdentity.node_id = 1


def came(content: RecordDict, at_most: int = 4) -> object:
    """What the trainer takes an answer for, once it has come."""
    asking = Asking(1, {"a": 1}, PlainTransport(), {})
    asking._messages["a"] = Message(RecordDict(), dst_node_id=1, message_type="query.select")
    asking.counts["a"] = at_most
    asked = asking._messages["a"]
    asked.metadata.__dict__["_message_id"] = "1"
    reply = Message(content, reply_to=asked)
    [(_, opened)] = asking.answers([reply], lambda owner: expected(at_most).most_bytes)
    return opened


def test_an_answer_larger_than_what_was_asked_for_is_not_opened() -> None:
    whole = came(answer())
    assert isinstance(whole, RecordDict)
    for name, record in beside()[:3]:
        content = answer()
        content[name] = record
        assert came(content) == "malformed"
    many = pack_report(OwnerReport(examples(20_000)))
    assert came(many) == "malformed"
    assert isinstance(came(many, 20_000), RecordDict)


def test_the_largest_honest_answer_is_no_larger_than_what_may_come() -> None:
    for count in (1, 10, 5000):
        content = pack_report(OwnerReport(examples(count)))
        assert size_of(content) <= expected(count).most_bytes


def test_what_is_kept_of_an_answer_is_what_was_understood() -> None:
    content = answer()
    plain = len(as_bytes(content))
    # Where nothing is looked at: what an array is said to be, beside what its bytes say.
    content["arrays"]["x"].dtype = "x" * LARGE
    report = unpack_report(from_bytes(as_bytes(content)), expected())
    receipts = Receipts(Scoreboard(["a"]), {})
    receipts.take("a", report)
    assert len(receipts.came["a"]) <= plain + 64
    again = unpack_report(from_bytes(receipts.came["a"]), expected())
    assert again.disclosed is not None
    np.testing.assert_array_equal(again.disclosed.x, examples().x)
