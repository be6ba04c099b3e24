"""A description as it comes over the network: bounded, checked field by field, fit to be printed."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict
from hypothesis import given
from hypothesis import strategies as st

from mycroft_fl.errors import BadMessage
from mycroft_fl.foreign_text import is_clean
from mycroft_fl.modes import COUNTS
from mycroft_fl.protocol.card import Card
from mycroft_fl.protocol.description import (
    MOST_BYTES,
    MOST_NAMES,
    Description,
    differences,
    read_description,
)
from mycroft_fl.protocol.messages import Described, Statistic
from mycroft_fl.protocol.wire import (
    asks_to_look,
    pack_described,
    pack_look,
    unpack_described,
)

TABLE = Description(
    "table", (3,), "outcome", ("ill", "well"), 2,
    (("age", "number"), ("ward", "category")), 2, (("50.1", "east", "ill"),), "ab" * 32,
)  # fmt: skip
CARD = Card(
    COUNTS.name, "record", 0, 0, 1e-6, 0.4, 0.4, 0.01, 0.01, 1.0, 0.0, "os-entropy", raw=False
)
WHOLE = Described(TABLE, Statistic(np.array([3.0, 4.0]), 2.0), CARD)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 3) | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=6,
)  # fmt: skip


def plain(**changed: Any) -> dict[str, Any]:
    return {**json.loads(TABLE.as_bytes()), **changed}


def read(content: Any) -> Description:
    return read_description(json.dumps(content).encode())


def test_what_was_written_is_read() -> None:
    assert read_description(TABLE.as_bytes()) == TABLE
    back = unpack_described(pack_described(WHOLE))
    assert back.description == TABLE
    assert back.counts is not None
    assert (back.counts.values.tolist(), back.counts.sigma, back.card) == ([3.0, 4.0], 2.0, CARD)
    alone = unpack_described(pack_described(Described(TABLE)))
    assert (alone.description, alone.counts, alone.card) == (TABLE, None, None)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"form": "audio"}, "whose form"),
        ({"shape": [3, -1]}, "whose shape"),
        ({"shape": [1, 1, 1, 1]}, "whose shape"),
        ({"shape": [True]}, "whose shape"),
        ({"label": 7}, "whose label"),
        ({"classes": ["ill", "x" * 201]}, "whose classes"),
        ({"classes": "iw"}, "whose classes"),
        ({"classes": ["ill"], "num_classes": 1}, "whose num_classes"),
        ({"num_classes": 10**9}, "whose num_classes"),
        ({"columns": [["age", "secret"], ["ward", "number"]]}, "whose columns"),
        ({"columns": [["age"], ["ward", "number"]]}, "whose columns"),
        ({"columns": [["a", "number"]] * (MOST_NAMES + 1)}, "whose columns"),
        ({"rows": [["1"]]}, "a row of another length"),
        ({"rows": [["1", "2", "3"]] * 9}, "whose rows"),
        ({"rows": [[1, 2, 3]]}, "whose rows"),
        ({"num_columns": 3}, "names more or fewer than it counts"),
        ({"classes": ["ill"]}, "names more or fewer than it counts"),
        ({"task": "zz" * 32}, "whose task"),
        ({"more": 1}, "without its fields, or with others"),
    ],
)
def test_a_field_that_cannot_be_is_a_bad_message(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(BadMessage, match=message):
        read(plain(**changed))


@given(st.sampled_from(sorted(plain())), JSON)
def test_any_value_of_any_field_is_read_or_is_a_bad_message(name: str, value: Any) -> None:
    try:
        found = read(plain(**{name: value}))
    except BadMessage:
        return
    assert found == read_description(found.as_bytes())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"x" * (MOST_BYTES + 1), "bytes; at most"),
        (b"\xff\xfe", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"[]", "without its fields"),
        (b'{"form": NaN}', "without its fields"),
    ],
)
def test_what_is_no_description_is_a_bad_message(content: bytes, message: str) -> None:
    with pytest.raises(BadMessage, match=message):
        read_description(content)


@given(st.text(max_size=60))
def test_names_and_cells_are_fit_to_be_printed_whatever_they_hold(name: str) -> None:
    found = read(
        plain(
            label=name, classes=[name, "well"], columns=[[name, "date"], ["b", "text"]],
            rows=[[name, name, name]],
        )
    )  # fmt: skip
    named = [found.label, *found.classes, *(each for each, _ in found.columns)]
    assert all(is_clean(each) for each in (*named, *found.rows[0]))
    assert all(len(cell) <= 43 for cell in found.rows[0])


def test_a_description_of_the_longest_names_still_fits() -> None:
    name = "\U0001f40b" * 200
    full = Description(
        "table", (MOST_NAMES,), name, (name,) * MOST_NAMES, MOST_NAMES,
        ((name, "category"),) * MOST_NAMES, MOST_NAMES, ((name[:40],) * (MOST_NAMES + 1),) * 3, "0" * 64,
    )  # fmt: skip
    assert len(full.as_bytes()) <= MOST_BYTES
    assert read_description(full.as_bytes()) == full


@pytest.mark.parametrize(
    ("record", "content", "message"),
    [
        ("extra", ConfigRecord({"a": 1}), "records that nothing asks for"),
        ("description", ConfigRecord({"content": "text"}), "'content' must be bytes"),
        ("description", ConfigRecord({"other": b""}), "no well-formed 'description' record"),
        ("arrays", ArrayRecord({"values": Array(np.zeros(2))}), "no well-formed 'arrays' record"),
        (
            "arrays",
            ArrayRecord({"values": Array(np.zeros(3)), "sigma": Array(np.ones(1))}),
            "asked for 2 numbers",
        ),
        (
            "arrays",
            ArrayRecord({"values": Array(np.full(2, np.nan)), "sigma": Array(np.ones(1))}),
            "not finite, or has no noise",
        ),
        (
            "arrays",
            ArrayRecord({"values": Array(np.zeros(2)), "sigma": Array(np.zeros(1))}),
            "not finite, or has no noise",
        ),
        ("card", ConfigRecord({**vars(CARD), "mode": "score"}), "the card of something else"),
        ("card", ConfigRecord({**vars(CARD), "epsilon": -1.0}), "negative or not finite"),
    ],
)
def test_whatever_comes_beside_it_is_checked_too(record: str, content: Any, message: str) -> None:
    packed = pack_described(WHOLE)
    packed[record] = content
    with pytest.raises(BadMessage, match=message):
        unpack_described(packed)


def test_counts_without_a_card_are_a_bad_message() -> None:
    packed = pack_described(WHOLE)
    del packed["card"]
    with pytest.raises(BadMessage, match="no well-formed 'arrays' record"):
        unpack_described(packed)


def test_a_question_is_told_from_a_request_and_from_a_spoilt_one() -> None:
    assert asks_to_look(pack_look())
    assert not asks_to_look(RecordDict({"request": ConfigRecord({"k": 1})}))
    for spoilt in ({"version": 2}, {"version": "1"}, {"version": 1, "more": 2}):
        with pytest.raises(BadMessage):
            asks_to_look(RecordDict({"look": ConfigRecord(spoilt)}))
    beside = pack_look()
    beside["request"] = ConfigRecord({"k": 1})
    with pytest.raises(BadMessage, match="records that nothing asks for"):
        asks_to_look(beside)


def test_differences_name_what_an_owner_lacks_and_what_it_adds() -> None:
    assert differences(TABLE, TABLE) == []
    other = read(
        plain(
            columns=[["age", "category"]], num_columns=1, rows=[], classes=["ill", "dead", "x"],
            num_classes=3, task="cd" * 32,
        )
    )  # fmt: skip
    assert differences(TABLE, other) == [
        "classes 3, here 2",
        "columns 1, here 2",
        "lacks class well",
        "adds class dead and 1 more",
        "lacks column age (number) and 1 more",
        "adds column age (category)",
    ]
    assert differences(TABLE, read(plain(task="cd" * 32))) == [
        "the same names, but other scaling, categories, order or model"
    ]


def test_the_digest_of_the_trainers_task_hides_no_other_form() -> None:
    liar = read(plain(classes=["ill", "dead"], task=TABLE.task))
    assert differences(TABLE, liar) == ["lacks class well", "adds class dead"]


def test_names_that_are_printed_otherwise_are_no_difference() -> None:
    own = dataclasses.replace(TABLE, classes=("very\u00a0ill", "well"))
    assert differences(own, read_description(own.as_bytes())) == []
