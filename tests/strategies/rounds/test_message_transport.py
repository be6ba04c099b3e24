"""Signed requests, sealed answers, as the trainer's side packs and opens them."""

from __future__ import annotations

import pytest
from flwr.app import ConfigRecord, RecordDict

from mycroft_fl.errors import BadMessage, Refused
from mycroft_fl.protocol.envelope import open_request
from mycroft_fl.protocol.keys import KeyPair
from mycroft_fl.protocol.signed import as_bytes, carried, carry, pack_sealed, unpack_opened
from strategies.rounds.transport import PlainTransport, SignedTransport

TRAINER, VAULT, OTHER = (KeyPair.generate() for _ in range(3))
REQUEST = RecordDict({"request": ConfigRecord({"k": 3})})
ANSWER = RecordDict({"report": ConfigRecord({"status": "answered", "count": 2})})


def transport() -> SignedTransport:
    return SignedTransport(TRAINER, {"a": VAULT.public}, {"a": 17}, run="run-1", within=60.0)


def answered(sent: RecordDict, *, owner: str = "a", by: KeyPair = VAULT) -> RecordDict:
    opened = open_request(carried(sent), owner, [TRAINER.public])
    return carry(pack_sealed(ANSWER, opened.terms, opened.signer, by), "answered")


def test_a_request_is_signed_for_one_owner_and_its_answer_opened() -> None:
    mine = transport()
    sent = mine.packed(REQUEST, "a", 2)
    opened = open_request(carried(sent), "a", [TRAINER.public])
    assert as_bytes(unpack_opened(opened)) == as_bytes(REQUEST)
    assert (opened.terms.run, opened.terms.server_round, opened.terms.within) == ("run-1", 2, 60.0)
    with pytest.raises(Refused, match="another owner"):
        open_request(carried(sent), "b", [TRAINER.public])
    assert as_bytes(mine.opened("a", answered(sent))) == as_bytes(ANSWER)


def test_every_request_is_another_even_for_the_same() -> None:
    mine = transport()
    first, second = (mine.packed(REQUEST, "a", 1) for _ in range(2))
    assert carried(first) != carried(second)
    with pytest.raises(BadMessage, match="another request"):
        mine.opened("a", answered(first))


def test_an_answer_by_another_vault_is_not_believed() -> None:
    mine = transport()
    with pytest.raises(BadMessage, match="another key"):
        mine.opened("a", answered(mine.packed(REQUEST, "a", 1), by=OTHER))


def test_an_answer_that_was_changed_or_is_none_is_not_believed() -> None:
    mine = transport()
    envelope = bytearray(carried(answered(mine.packed(REQUEST, "a", 1))))
    envelope[-1] ^= 1
    with pytest.raises(BadMessage, match="not sealed to this key, or was changed"):
        mine.opened("a", carry(bytes(envelope), "answered"))
    with pytest.raises(BadMessage, match="no envelope"):
        mine.opened("a", ANSWER)


def test_only_who_was_admitted_is_known_by_name_and_by_node() -> None:
    assert transport().knows("a", 17)
    assert not transport().knows("a", 18)
    assert not transport().knows("b", 17)


def test_between_processes_of_one_person_nothing_changes() -> None:
    mine = PlainTransport()
    assert mine.knows("anybody", 0)
    assert mine.packed(REQUEST, "a", 1) is REQUEST
    assert mine.opened("a", ANSWER) is ANSWER
