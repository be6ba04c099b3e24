"""The grid in this process behaves as a network would, late answers and broken apps included."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid

from simulations.engines.in_process import CLIENT_RAISED, LocalGrid

OWNERS = 4


def grid_of(answer: Callable[[Message, Context], RecordDict]) -> LocalGrid:
    app = ClientApp()

    @app.query("ask")
    def ask(message: Message, context: Context) -> Message:
        return Message(answer(message, context), reply_to=message)

    return LocalGrid(app, owners=OWNERS, run_config={"scenario": "x", "seed": 3})


def asking(*nodes: int, action: str = "query.ask") -> list[Message]:
    content = RecordDict({"question": ConfigRecord({"a": 1})})
    return [Message(content, dst_node_id=node, message_type=action) for node in nodes]


def who(message: Message, context: Context) -> RecordDict:
    output = {
        "partition": context.node_config["partition-id"],
        "of": context.node_config["num-partitions"],
        "node": context.node_id,
        "seed": context.run_config["seed"],
        "asked": message.content["question"]["a"],
    }
    return RecordDict({"is": ConfigRecord(output)})


def sleepy(message: Message, context: Context) -> RecordDict:
    time.sleep(0.5 if context.node_config["partition-id"] == 1 else 0)
    return RecordDict()


def test_each_message_reaches_the_owner_whose_partition_it_names():
    grid = grid_of(who)
    assert isinstance(grid, Grid)
    assert list(grid.get_node_ids()) == [1, 2, 3, 4]
    replies = grid.send_and_receive(asking(3, 1))
    assert [dict(reply.content["is"]) for reply in replies] == [
        {"partition": node - 1, "of": 4, "node": node, "seed": 3, "asked": 1} for node in (3, 1)
    ]


def test_replies_name_the_message_that_they_answer():
    grid = grid_of(who)
    messages = asking(1, 2, 2)
    replies = grid.send_and_receive(messages)
    sent = [message.metadata.message_id for message in messages]
    assert [reply.metadata.reply_to_message_id for reply in replies] == sent
    assert len(set(sent)) == 3


def test_an_owner_that_takes_too_long_is_silent_and_the_others_are_not():
    replies = grid_of(sleepy).send_and_receive(asking(1, 2, 3), timeout=0.4)
    assert [reply.metadata.src_node_id for reply in replies] == [1, 3]


def test_without_a_timeout_everything_is_waited_for():
    assert len(grid_of(sleepy).send_and_receive(asking(1, 2, 3))) == 3


@pytest.mark.parametrize("action", ["query.ask", "query.unheard_of"])
def test_an_app_that_raises_is_an_error_reply_with_flowers_code(action):
    def broken(message: Message, context: Context) -> RecordDict:
        raise ValueError("on purpose")

    [reply] = grid_of(broken).send_and_receive(asking(2, action=action))
    assert reply.has_error()
    assert reply.error.code == CLIENT_RAISED == 2


def test_messages_can_be_pushed_and_pulled_each_once():
    grid = grid_of(who)
    first, second = grid.push_messages(asking(1, 2))
    assert [r.content["is"]["node"] for r in grid.pull_messages([second])] == [2]
    assert [r.content["is"]["node"] for r in grid.pull_messages([first, second])] == [1]
    assert grid.pull_messages([first, "unheard-of"]) == []


def test_a_message_can_be_made_as_flower_makes_it():
    grid = grid_of(who)
    message = grid.create_message(
        RecordDict({"question": ConfigRecord({"a": 5})}), "query.ask", 4, "group", ttl=60.0
    )
    assert (message.metadata.dst_node_id, message.metadata.group_id) == (4, "group")
    [reply] = grid.send_and_receive([message])
    assert reply.content["is"]["asked"] == 5


def test_there_is_one_run():
    grid = grid_of(who)
    grid.set_run(grid.run)
    assert grid.run.run_id == 1
