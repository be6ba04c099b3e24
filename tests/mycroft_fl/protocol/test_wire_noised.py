"""Noised answers and cards on the network: whole round trips, and nothing hostile gets through."""

from __future__ import annotations

import math
from dataclasses import fields, replace

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict

from mycroft_fl.errors import BadMessage
from mycroft_fl.examples import Examples
from mycroft_fl.protocol.card import Card
from mycroft_fl.protocol.messages import Expected, OwnerReport, Request, Statistic
from mycroft_fl.protocol.wire import pack_report, pack_request, unpack_report, unpack_request

EXPECTED = Expected((2,), np.dtype(np.float32), 3, at_most=5, values=4)
CARD = Card(
    mode="score", unit="record", records=0, records_total=3, delta=1e-5, epsilon=0.5,
    epsilon_total=0.7, epsilon_limit=1.0, rho=0.01, rho_total=0.02, epsilon_minus_total=0.0,
    noise="os-entropy", raw=True,
)  # fmt: skip
STATISTIC = Statistic(np.array([1.5, -2.0, 0.0, 1e6]), 3.25)


def content(values: np.ndarray, sigma: np.ndarray, card: dict | None = None) -> RecordDict:
    arrays = ArrayRecord({"values": Array(values), "sigma": Array(sigma)})
    records = RecordDict({"arrays": arrays, "report": ConfigRecord({"status": "answered"})})
    if card is not None:
        records["card"] = ConfigRecord(card)
    return records


def test_a_noised_answer_arrives_with_its_card() -> None:
    arrived = unpack_report(pack_report(OwnerReport(card=CARD, statistic=STATISTIC)), EXPECTED)
    assert arrived.disclosed is None
    assert arrived.card == CARD
    assert arrived.statistic is not None
    assert arrived.statistic.values.tolist() == STATISTIC.values.tolist()
    assert arrived.statistic.sigma == STATISTIC.sigma


def test_examples_arrive_with_their_card() -> None:
    examples = Examples(np.ones((1, 2), np.float32), np.array([1]))
    card = replace(CARD, mode="raw", noise="none", records=1)
    arrived = unpack_report(pack_report(OwnerReport(examples, card)), replace(EXPECTED, values=0))
    assert arrived.card == card
    assert arrived.disclosed is not None
    assert arrived.disclosed.ids.tolist() == examples.ids.tolist()


@pytest.mark.parametrize(
    ("values", "sigma", "said"),
    [
        (np.zeros(3), np.ones(1), "a statistic of shape"),
        (np.zeros((4, 1)), np.ones(1), "a statistic of shape"),
        (np.zeros(4), np.ones(2), "a statistic of shape"),
        (np.zeros(4, np.float32), np.ones(1), "must be float64"),
        (np.array([0, 0, 0, math.nan]), np.ones(1), "not finite, or has no noise"),
        (np.array([0, 0, 0, math.inf]), np.ones(1), "not finite, or has no noise"),
        (np.array([0, 0, 0, 1e200]), np.ones(1), "not finite, or has no noise"),
        (np.zeros(4), np.zeros(1), "not finite, or has no noise"),
        (np.zeros(4), np.array([math.nan]), "not finite, or has no noise"),
    ],
)
def test_a_hostile_statistic_is_a_bad_message(
    values: np.ndarray, sigma: np.ndarray, said: str
) -> None:
    with pytest.raises(BadMessage, match=said):
        unpack_report(content(values, sigma), EXPECTED)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"epsilon": -1.0}, "negative or not finite"),
        ({"epsilon": math.nan}, "negative or not finite"),
        ({"rho_total": math.inf}, "negative or not finite"),
        ({"records": -1}, "negative or not finite"),
        ({"mode": "free"}, "unknown mode or unit"),
        ({"unit": "town"}, "unknown mode or unit"),
        ({"noise": "quantum"}, "unknown source of noise"),
        ({"records": 1.0}, "'records' must be int"),
        ({"raw": 1}, "'raw' must be bool"),
        ({"promise": "perfect"}, "no well-formed 'card' record"),
    ],
)
def test_a_hostile_card_is_a_bad_message(changed: dict, said: str) -> None:
    with pytest.raises(BadMessage, match=said):
        unpack_report(content(np.zeros(4), np.ones(1), {**vars(CARD), **changed}), EXPECTED)


def test_examples_are_no_answer_to_a_question_for_numbers_nor_the_other_way_round() -> None:
    examples = pack_report(OwnerReport(Examples(np.ones((1, 2), np.float32), np.array([1]))))
    with pytest.raises(BadMessage):
        unpack_report(examples, EXPECTED)
    numbers = pack_report(OwnerReport(statistic=STATISTIC))
    with pytest.raises(BadMessage):
        unpack_report(numbers, replace(EXPECTED, values=0))


def test_a_head_travels_with_the_request_and_must_be_finite() -> None:
    hard = Examples(np.ones((1, 2), np.float32), np.array([1]))
    head = np.arange(6, dtype=np.float32)
    asked = Request(
        server_round=1,
        method="omp",
        k=1,
        hard=hard,
        num_classes=3,
        model="mlp",
        weights=None,
        seed=0,
        mode="gradient",
        head=head,
    )
    arrived = unpack_request(pack_request(asked)).head
    assert arrived is not None
    assert arrived.tolist() == head.tolist()
    head[2] = math.nan
    with pytest.raises(BadMessage, match="finite float32"):
        unpack_request(pack_request(asked))


# What a card says


def test_no_epsilon_stands_without_its_unit_adjacency_and_delta() -> None:
    promise = CARD.promise()
    for part in (
        "epsilon 0.5",
        "delta 1e-05",
        "per record",
        "add or remove one unit",
        "never above 1",
    ):
        assert part in promise


def test_a_card_for_drawn_examples_promises_nothing_about_those_drawn() -> None:
    card = replace(CARD, mode="raw-gumbel", records=5, epsilon_minus_total=0.343)
    assert "These 5 records are disclosed in full" in card.promise()
    assert "epsilon-minus = 0.343" in card.promise()


def test_a_card_as_json_has_every_number_and_what_it_means() -> None:
    output = CARD.as_json()
    assert {each.name for each in fields(Card)} <= set(output)
    assert output["taints"] == CARD.taints() != []
    assert replace(CARD, raw=False).taints() == []
    assert len(output["assumptions"]) == 4
    assert "all records of one person" in replace(CARD, unit="person").assumptions()[0]
