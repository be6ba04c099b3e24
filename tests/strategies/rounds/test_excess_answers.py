"""What an answer carries beyond what was asked for is refused before it is opened, and never kept."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.supercore.task_identity import TaskIdentity

from mycroft_fl.errors import BadMessage
from mycroft_fl.examples import Examples
from mycroft_fl.protocol.messages import Expected, Failure, OwnerReport, Request
from mycroft_fl.protocol.signed import as_bytes, from_bytes, size_of
from mycroft_fl.protocol.wire import pack_report, pack_request, unpack_report, unpack_request
from strategies.rounds.answer_checks import AnswerChecks
from strategies.rounds.plans import Plan
from strategies.rounds.round import Round
from strategies.rounds.run_state import Progress
from strategies.rounds.scoreboard import Scoreboard
from strategies.rounds.transport import PlainTransport, Route
from strategies.training.trainer import Trainer

LARGE = 1 << 21
SHAPE = (1, 8, 8)


def examples(count: int = 4) -> Examples:
    x = np.random.default_rng(0).integers(0, 256, (count, *SHAPE), dtype=np.uint8)
    return Examples(x, np.zeros(count, dtype=np.int64))


def expected(at_most: int = 4) -> Expected:
    return Expected(SHAPE, np.dtype(np.uint8), 10, at_most)


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


@pytest.fixture
def round_of(usual: Trainer) -> Callable[..., Round]:
    """A round that asks owner a for so many examples."""

    def make(at_most: int = 4, **had: bytes) -> Round:
        plan = Plan("raw", lambda progress, number: {"a": at_most}, lambda progress, answers: None)
        progress = Progress(usual, usual.baseline, Scoreboard(["a"]))
        route = Route(PlainTransport(), {"a": 1})
        return Round(1, plan, progress, AnswerChecks(usual), route, had)

    return make


def came(asked: Round, content: RecordDict) -> Failure | None:
    """How an answer fails; None where it is taken."""
    [message] = asked.request()
    message.metadata.__dict__["_message_id"] = "1"
    asked.receive([Message(content, reply_to=message)])
    return asked.failed.get("a")


def test_an_answer_larger_than_what_was_asked_for_is_not_opened(round_of, monkeypatch) -> None:
    opened: list[RecordDict] = []

    def noted(self: PlainTransport, owner: str, reply: RecordDict) -> RecordDict:
        opened.append(reply)
        return reply

    monkeypatch.setattr(PlainTransport, "opened", noted)
    assert came(round_of(), answer()) is None
    for _, record in beside()[:3]:
        content = answer()
        content["more"] = record
        assert came(round_of(), content) == "malformed"
    many = pack_report(OwnerReport(examples(20_000)))
    assert came(round_of(), many) == "malformed"
    assert len(opened) == 1
    assert came(round_of(20_000), many) is None


def test_an_answer_of_no_use_has_cost_what_was_asked_for(round_of) -> None:
    asked = round_of(7)
    assert came(asked, RecordDict()) == "malformed"
    record = asked.record()
    assert (record.asked, record.answered, record.failed) == (1, 0, {"a": "malformed"})
    assert asked._progress.scoreboard.spent == 7


def test_an_owner_that_is_not_there_is_not_sent_anything_and_counts_as_silent(usual) -> None:
    plan = Plan("raw", lambda progress, number: {"a": 3}, lambda progress, answers: None)
    progress = Progress(usual, usual.baseline, Scoreboard(["a"]))
    asked = Round(1, plan, progress, AnswerChecks(usual), Route(PlainTransport()), {})
    assert asked.request() == []
    assert asked.receive([]).owners == ()
    assert asked.failed == {"a": "timeout"}


def test_the_largest_honest_answer_is_no_larger_than_what_may_come() -> None:
    for count in (1, 10, 5000):
        content = pack_report(OwnerReport(examples(count)))
        assert size_of(content) <= expected(count).most_bytes


def test_what_is_kept_of_an_answer_is_what_was_understood(round_of) -> None:
    content = answer()
    plain = len(as_bytes(content))
    # Where nothing is looked at: what an array is said to be, beside what its bytes say.
    content["arrays"]["x"].dtype = "x" * LARGE
    asked = round_of(a=as_bytes(content))
    assert asked.request() == []  # it came before the run was resumed
    asked.receive([])
    assert len(asked.came["a"]) <= plain + 64
    again = unpack_report(from_bytes(asked.came["a"]), expected())
    assert again.disclosed is not None
    np.testing.assert_array_equal(again.disclosed.x, examples().x)
