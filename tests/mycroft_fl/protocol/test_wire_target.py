"""A noised target on the network: a whole round trip, and nothing hostile gets through."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict

from mycroft_fl.errors import BadMessage
from mycroft_fl.examples import Examples
from mycroft_fl.protocol.messages import NoisedTarget, Request
from mycroft_fl.protocol.signed import as_bytes, from_bytes
from mycroft_fl.protocol.wire import pack_request, unpack_request

NOBODY = Examples(np.zeros((0, 1, 3, 3), np.uint8), np.zeros(0, np.int64))
SOMEBODY = Examples(np.zeros((1, 1, 3, 3), np.uint8), np.zeros(1, np.int64))
TARGET = NoisedTarget(np.array([0.5, -1.0, 0.0, 1e9], np.float32), 0.25, 2.0, 16)


def make_request(**changed: Any) -> Request:
    plain: dict[str, Any] = {
        "server_round": 1, "method": "omp-whole", "k": 5, "hard": NOBODY, "num_classes": 4,
        "model": "mlp", "weights": np.ones(6, np.float32), "feature_space": "pixels",
        "owner_epochs": 1, "seed": 0, "target": TARGET,
    }  # fmt: skip
    return Request(**(plain | changed))


def test_a_target_arrives_as_it_was_sent_and_no_hard_example_with_it() -> None:
    packed = pack_request(make_request())
    arrived = unpack_request(from_bytes(as_bytes(packed)))
    assert arrived.target is not None
    assert arrived.target.direction.tolist() == TARGET.direction.tolist()
    assert (arrived.target.scale, arrived.target.clip) == (0.25, 2.0)
    assert arrived.target.stands_for == 16
    assert len(arrived.hard) == 0
    assert arrived.hard.x.shape == (0, 1, 3, 3)


@pytest.mark.parametrize(
    ("direction", "said"),
    [
        (np.zeros(4, np.float32), "largest number is 0, or beyond"),
        (np.zeros(0, np.float32), "largest number is 0, or beyond"),
        (np.full(4, 2e9, np.float32), "largest number is 0, or beyond"),
        (np.array([0, math.nan], np.float32), "one vector of finite float32"),
        (np.array([0, math.inf], np.float32), "one vector of finite float32"),
        *(
            pytest.param(wrong, "one vector of finite float32", marks=pytest.mark.unchecked)
            for wrong in (np.ones(4), np.ones((2, 2), np.float32))
        ),
    ],
)
def test_a_hostile_direction_is_a_bad_message(direction: np.ndarray, said: str) -> None:
    target = NoisedTarget(direction, 1.0, 1.0, 3)
    with pytest.raises(BadMessage, match=said):
        unpack_request(pack_request(make_request(target=target)))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"scale": 0.0}, "must be above 0 and finite"),
        ({"scale": -1.0}, "must be above 0 and finite"),
        ({"scale": math.nan}, "must be above 0 and finite"),
        ({"scale": math.inf}, "must be above 0 and finite"),
        ({"clip": 0.0}, "must be above 0 and finite"),
        ({"clip": math.nan}, "must be above 0 and finite"),
        ({"stands-for": 0}, "stand for 1 to 4096"),
        ({"stands-for": 10**9}, "stand for 1 to 4096"),
        ({"scale": 1}, "'scale' must be float"),
        ({"more": 1}, "no well-formed 'target' record"),
    ],
)
def test_hostile_numbers_beside_it_are_a_bad_message(changed: dict[str, Any], said: str) -> None:
    packed = pack_request(make_request())
    packed["target"] = ConfigRecord({"scale": 1.0, "clip": 1.0, "stands-for": 3, **changed})
    with pytest.raises(BadMessage, match=said):
        unpack_request(packed)


def test_a_target_without_its_numbers_or_numbers_without_it_are_a_bad_message() -> None:
    packed = pack_request(make_request())
    alone = RecordDict({key: packed[key] for key in packed if key != "target"})
    with pytest.raises(BadMessage, match="no well-formed 'target' record"):
        unpack_request(alone)
    arrays = {key: packed["arrays"][key] for key in ("x", "y")}
    packed["arrays"] = ArrayRecord({key: Array(each.numpy()) for key, each in arrays.items()})
    with pytest.raises(BadMessage, match="one vector of finite float32"):
        unpack_request(packed)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"hard": SOMEBODY}, "hard examples, a target or a detector, and only one of them"),
        ({"target": None}, "the hard set is empty"),
    ],
)
def test_hard_examples_and_a_target_come_never_both_and_never_neither(
    changed: dict[str, Any], said: str
) -> None:
    with pytest.raises(BadMessage, match=said):
        unpack_request(pack_request(make_request(**changed)))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"score_by": "class"}, "by class needs hard examples, and something else came instead"),
        (
            {"score_by": "class", "mode": "gradient", "hard": SOMEBODY, "target": None},
            "takes no score-by",
        ),
        ({"score_by": "record"}, "score-by must be 'hard-set' or 'class'"),
    ],
    ids=["a target", "a gradient", "no such"],
)
def test_by_class_there_is_a_score_of_hard_examples_and_nothing_else(
    changed: dict[str, Any], said: str
) -> None:
    with pytest.raises(BadMessage, match=said):
        unpack_request(pack_request(make_request(**({"mode": "score"} | changed))))


def test_that_a_score_is_by_class_arrives() -> None:
    asked = make_request(mode="score", hard=SOMEBODY, target=None, score_by="class")
    assert unpack_request(from_bytes(as_bytes(pack_request(asked)))).score_by == "class"
