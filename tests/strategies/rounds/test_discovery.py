"""Who is there: by name, in time; of two that claim one name, neither."""

from __future__ import annotations

import logging
import time

import pytest
from flwr.app import ConfigRecord, Error, Message, RecordDict
from flwr.serverapp import Grid
from flwr.supercore.task_identity import TaskIdentity

from mycroft_fl.protocol.wire import INTRODUCE, pack_failure, pack_introduction
from strategies.rounds import discovery as module
from strategies.rounds.discovery import discover_owners


@pytest.fixture(autouse=True)
def in_a_run(monkeypatch):
    TaskIdentity.run_id = TaskIdentity.task_id = TaskIdentity.node_id = 1
    monkeypatch.setattr(module, "PAUSE", 0.01)


@Grid.register
class Nodes:
    """A grid whose nodes introduce themselves as scripted; some come later than others."""

    def __init__(
        self, contents: dict[int, RecordDict | Error | None], *, after: dict | None = None
    ):
        self.contents = contents
        self.after = after or {}
        self.calls = 0
        self.asked: list[int] = []
        self.types: set[str] = set()

    def get_node_ids(self):
        self.calls += 1
        return [node for node in reversed(self.contents) if self.after.get(node, 0) < self.calls]

    def send_and_receive(self, messages, *, timeout):
        replies = []
        for message in messages:
            node = message.metadata.dst_node_id
            message.metadata.__dict__["_message_id"] = f"to-{node}"
            self.asked.append(node)
            self.types.add(message.metadata.message_type)
            content = self.contents[node]
            if content is not None:
                replies.append(Message(content, reply_to=message))
        return replies[::-1]


def named(*names: str) -> dict[int, RecordDict | Error | None]:
    return {100 - place: pack_introduction(name) for place, name in enumerate(names)}


def test_owners_are_known_by_name_whatever_their_node_and_order():
    grid = Nodes(named("c", "a", "b"))
    found = discover_owners(grid, 3, timeout=5)
    assert list(found.items()) == [("a", 99), ("b", 98), ("c", 100)]
    assert grid.types == {INTRODUCE}


@pytest.mark.parametrize(
    "content",
    [
        Error(code=2, reason="broken"),
        Error(code=5, reason="gone"),
        None,
        pack_failure("error"),
        pack_failure("refused"),
        RecordDict(),
        RecordDict({"report": ConfigRecord({"status": "answered"})}),
        pack_introduction("../escape"),
        pack_introduction(""),
        pack_introduction("a" * 101),
        RecordDict(
            {
                "report": ConfigRecord({"status": "answered"}),
                "owner": ConfigRecord({"name": b"bytes"}),
            }
        ),
    ],
    ids=lambda content: type(content).__name__,
)
def test_who_does_not_introduce_itself_well_is_left_out_and_the_others_go_on(content):
    grid = Nodes({1: content, **named("a", "b")})
    assert discover_owners(grid, 3, timeout=5) == {"a": 100, "b": 99}


def test_a_malformed_introduction_is_a_line_in_the_log(caplog):
    with caplog.at_level(logging.WARNING, logger=module.__name__):
        discover_owners(Nodes({1: pack_introduction("a/b")}), 1, timeout=5)
    assert "a node's introduction is malformed: an owner's name has 1 to 100" in caplog.text


def test_of_two_nodes_that_claim_one_name_neither_is_believed(caplog):
    with caplog.at_level(logging.WARNING, logger=module.__name__):
        assert discover_owners(Nodes(named("a", "b", "a")), 3, timeout=5) == {"b": 99}
    assert "2 nodes claim to be 'a'; none of them is asked" in caplog.text


def test_it_waits_for_owners_that_come_late():
    grid = Nodes(named("a", "b"), after={99: 5})
    assert set(discover_owners(grid, 2, timeout=30)) == {"a", "b"}
    assert grid.calls == 6


def test_with_fewer_nodes_than_expected_it_waits_until_the_deadline_and_no_longer():
    since = time.monotonic()
    assert set(discover_owners(Nodes(named("a", "b")), 3, timeout=0.4)) == {"a", "b"}
    assert 0.4 <= time.monotonic() - since < 5


def test_patience_ends_the_wait_once_nobody_else_comes(caplog):
    since = time.monotonic()
    with caplog.at_level(logging.WARNING, logger=module.__name__):
        found = discover_owners(Nodes(named("a", "b"), after={99: 3}), 3, timeout=60, patience=0.2)
    assert set(found) == {"a", "b"}
    assert 0.2 <= time.monotonic() - since < 20
    assert "3 owners are expected, but there are 2 nodes" in caplog.text


def test_patience_does_not_run_while_nobody_has_come_at_all():
    grid = Nodes(named("a"), after={100: 30})
    assert set(discover_owners(grid, 2, timeout=60, patience=0.05)) == {"a"}


def test_an_empty_grid_is_nobody_after_the_deadline():
    grid = Nodes({})
    assert discover_owners(grid, 1, timeout=0.1, patience=0.01) == {}
    assert grid.asked == []


def test_more_nodes_than_expected_are_all_called():
    assert set(discover_owners(Nodes(named("a", "b", "c")), 1, timeout=5)) == {"a", "b", "c"}
