"""A look at owners that are hostile: what each sends is bounded and checked, and one spoils nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp

from mycroft_fl.cli.looks import show_looks
from mycroft_fl.data.tables.columns import Categories, Numbers
from mycroft_fl.data.tables.schema import TableSchema
from mycroft_fl.data.task import Task
from mycroft_fl.modes import COUNTS
from mycroft_fl.protocol.card import Card
from mycroft_fl.protocol.messages import Described, Statistic
from mycroft_fl.protocol.wire import pack_described, pack_failure
from mycroft_fl.tasks.mock import described
from simulations.engines.in_process import LocalGrid
from strategies.rounds.looking import look_at_owners, looks_as_json
from strategies.rounds.transport import PlainTransport, Route

SCHEMA = TableSchema(
    (Numbers("age", 40.0, 50.0, 10.0, log=False), Categories("ward", "east", ("east", "west"))),
    label="outcome",
)
TASK = Task(("ill", "well"), (3,), np.dtype(np.float32), "mlp", SCHEMA)
OWN = described(TASK)
CARD = Card(
    COUNTS.name, "person", 0, 0, 1e-6, 0.4, 0.4, 0.01, 0.01, 1.0, 0.0, "os-entropy", raw=False
)
HONEST = Described(OWN, Statistic(np.array([31.0, -2.0]), 5.0), CARD)


def looked(*answers: Callable[[], RecordDict]) -> dict[str, Any]:
    """One owner for each answer, named a, b, ..., asked over a grid of this process."""
    app = ClientApp()

    @app.query("select")
    def select(message: Message, context: Context) -> Message:
        answer = answers[int(context.node_config["partition-id"])]
        return Message(answer(), reply_to=message)

    grid = LocalGrid(app, owners=len(answers), run_config={})
    names = {chr(ord("a") + place): place + 1 for place in range(len(answers))}
    return look_at_owners(grid, Route(PlainTransport(), names), OWN, timeout=30.0)


def spoilt(record: str, content: Any) -> Callable[[], RecordDict]:
    def answer() -> RecordDict:
        packed = pack_described(HONEST)
        packed[record] = content
        return packed

    return answer


def dies() -> RecordDict:
    raise RuntimeError("this owner has died")


def test_what_is_hostile_is_one_line_each_and_the_honest_are_read(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    huge = ArrayRecord({"values": Array(np.zeros(400_000)), "sigma": Array(np.ones(1))})
    found = looked(
        lambda: pack_described(HONEST),
        spoilt("description", ConfigRecord({"content": b"[]"})),
        spoilt("arrays", huge),
        spoilt("notes", ConfigRecord({"text": "x"})),
        lambda: pack_failure("refused"),
        dies,
        lambda: pack_described(Described(OWN)),
    )
    statuses = ["" if isinstance(each, Described) else each for each in found.values()]
    assert statuses == ["", "malformed", "malformed", "malformed", "refused", "error", ""]
    lines = [each.getMessage() for each in caplog.records if "cannot be read" in each.getMessage()]
    assert [line.split()[3] for line in lines] == ["b", "c", "d"]
    assert "bytes, above" in lines[1]
    assert "2 of 7 owners show what they hold" in caplog.text
    shown = looks_as_json(found, OWN)
    assert shown[0]["counts"] == [31.0, -2.0]
    assert shown[0]["card"]["unit"] == "person"
    assert shown[6]["card"] is None


def test_a_screen_shows_counts_with_their_noise_and_each_mock_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    evil = json.loads(OWN.as_bytes())
    evil["columns"][1][0] = "[red]w\x1b[31mard\u202e"
    evil["task"] = "0" * 64

    def other() -> RecordDict:
        return spoilt("description", ConfigRecord({"content": json.dumps(evil).encode()}))()

    found = looked(
        lambda: pack_described(HONEST),
        lambda: pack_described(Described(OWN)),
        other,
        lambda: pack_failure("refused"),
    )
    show_looks(looks_as_json(found, OWN))
    said = capsys.readouterr().out
    assert "a: persons by class, each with noise of 5" in said
    assert next(line.split() for line in said.splitlines() if line.startswith("ill ")) == [
        "ill", "31", "21", "to", "41",
    ]  # fmt: skip
    assert "well   0      0 to 8" in said  # noise brought it below 0
    assert said.count("a, b: table of 2 columns, 2 classes") == 1
    assert "age (number)" in said
    assert "outcome (class)" in said
    assert "d      shows nothing" in said
    assert "c serves another task: adds column [red]w?[31mard? (category)" in said
    assert "\x1b" not in said
    assert "\u202e" not in said


def test_nobody_shows_its_own_rows_as_those_of_another_by_claiming_its_task(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lie = json.loads(OWN.as_bytes())
    lie["columns"][1][0] = "salary"  # under the digest of the trainer's task

    def liar() -> RecordDict:
        return spoilt("description", ConfigRecord({"content": json.dumps(lie).encode()}))()

    found = looked(liar, lambda: pack_described(Described(OWN)))
    show_looks(looks_as_json(found, OWN))
    said = capsys.readouterr().out
    assert "a serves another task: adds column salary (category)" in said
    assert "a: table of 2 columns" in said
    assert "b: table of 2 columns" in said
