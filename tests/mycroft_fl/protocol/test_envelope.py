"""Signed requests and sealed answers: only what was meant for it opens, whoever carried it."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord, RecordDict
from hypothesis import given
from hypothesis import strategies as st

from mycroft_fl.errors import BadMessage, Refused
from mycroft_fl.protocol.envelope import (
    FRONT_BYTES,
    MAX_LIFE,
    SKEW,
    SeenRequests,
    SignedTerms,
    head_length,
    open_answer,
    open_request,
    read_head,
    seal_answer,
    sign_request,
)
from mycroft_fl.protocol.keys import KeyPair, PublicKey
from mycroft_fl.protocol.signed import (
    as_bytes,
    carried,
    carry,
    from_bytes,
    pack_sealed,
    pack_signed,
    unpack_opened,
    unpack_sealed,
)

TRAINER, OTHER, VAULT = (KeyPair.generate() for _ in range(3))
TERMS = SignedTerms(
    "run-1", "hospital", 2, issued=1e9, expires=1e9 + 600, within=300, nonce="ab" * 16
)
NOW = 1e9 + 10
CONTENT = b"what is asked"


def opened(envelope: bytes, owner: str = "hospital", now: float = NOW) -> bytes:
    return open_request(envelope, owner, [OTHER.public, TRAINER.public], now).content


@given(st.binary(max_size=300))
def test_a_request_arrives_with_its_terms_and_its_signer(content: bytes) -> None:
    request = open_request(
        sign_request(content, TERMS, TRAINER), "hospital", [OTHER.public, TRAINER.public], NOW
    )
    assert (request.content, request.terms, request.signer) == (content, TERMS, TRAINER.public)


@given(st.data())
def test_no_byte_of_a_request_can_be_changed(data: st.DataObject) -> None:
    envelope = bytearray(sign_request(CONTENT, TERMS, TRAINER))
    place = data.draw(st.integers(0, len(envelope) - 1))
    envelope[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises((BadMessage, Refused)):
        opened(bytes(envelope))


@given(st.binary(max_size=400))
def test_junk_is_no_request_and_no_answer(junk: bytes) -> None:
    for envelope in (junk, b"mycroft-fl request 2\n" + junk):
        with pytest.raises((BadMessage, Refused)):
            opened(envelope)
    with pytest.raises(BadMessage):
        open_answer(b"mycroft-fl answer 1\n" + junk, TERMS, TRAINER)
    with pytest.raises(BadMessage):
        open_answer(junk, TERMS, TRAINER)


def test_a_request_by_a_key_that_is_not_listed_is_refused() -> None:
    with pytest.raises(Refused, match="not listed"):
        open_request(sign_request(CONTENT, TERMS, TRAINER), "hospital", [OTHER.public], NOW)


def test_a_listed_key_with_anothers_signature_is_refused() -> None:
    own, others = (sign_request(CONTENT, TERMS, key) for key in (TRAINER, OTHER))
    head = len(b"mycroft-fl request 2\n")
    with pytest.raises(BadMessage, match="signature"):
        opened(own[: head + 32] + others[head + 32 :])


def test_a_request_for_another_owner_is_refused() -> None:
    with pytest.raises(Refused, match="another owner"):
        opened(sign_request(CONTENT, TERMS, TRAINER), owner="bank")


@pytest.mark.parametrize(
    ("now", "taken"),
    [(1e9 - SKEW - 1, False), (1e9 - SKEW, True), (1e9 + 600, True), (1e9 + 601, False)],
)
def test_a_request_is_good_from_its_issue_to_its_end(now: float, taken: bool) -> None:
    envelope = sign_request(CONTENT, TERMS, TRAINER)
    if taken:
        assert opened(envelope, now=now) == CONTENT
    else:
        with pytest.raises(Refused, match="expired"):
            opened(envelope, now=now)


def test_no_request_is_good_for_ever() -> None:
    terms = dataclasses.replace(TERMS, expires=TERMS.issued + MAX_LIFE + 1)
    with pytest.raises(Refused, match="24 hours"):
        opened(sign_request(CONTENT, terms, TRAINER))


def signed_terms(output: bytes, length: int | None = None) -> bytes:
    """A request with any bytes as terms, rightly signed: a listed trainer may be hostile."""
    import hashlib

    told_length = len(output) if length is None else length
    digest = hashlib.sha512(CONTENT).digest()
    what = struct.pack(">64sQH", digest, len(CONTENT), told_length) + output
    mark = b"mycroft-fl request 2\n"
    signature = TRAINER.sign(mark + hashlib.sha512(what).digest())
    return mark + TRAINER.public.raw + signature + what + CONTENT


PLAIN = dataclasses.asdict(TERMS)


@pytest.mark.parametrize(
    "values",
    [
        [], 1, None, {}, {**PLAIN, "more": 1}, {k: v for k, v in PLAIN.items() if k != "nonce"},
        {**PLAIN, "run": 1}, {**PLAIN, "server_round": True}, {**PLAIN, "server_round": -1},
        {**PLAIN, "issued": float("nan")}, {**PLAIN, "expires": float("inf")},
        {**PLAIN, "expires": 10**400}, {**PLAIN, "within": -1}, {**PLAIN, "nonce": "AB" * 16},
        {**PLAIN, "nonce": "ab"}, {**PLAIN, "owner": "a" * 201}, {**PLAIN, "issued": "1"},
    ],
    ids=lambda values: json.dumps(values)[-40:],
)  # fmt: skip
def test_signed_terms_are_checked_too(values: Any) -> None:
    with pytest.raises(BadMessage):
        opened(signed_terms(json.dumps(values).encode()))


@pytest.mark.parametrize(
    ("output", "length"),
    [(b"{", None), (b"\xff", None), (b"[" * 3000, None), (b"{}", 4097), (b"{}", 4000), (b"{}", 2**16 - 1)],
)  # fmt: skip
def test_signed_terms_that_are_no_terms(output: bytes, length: int | None) -> None:
    with pytest.raises(BadMessage):
        opened(signed_terms(output, length))


def test_a_request_too_short_for_its_terms() -> None:
    with pytest.raises(BadMessage):
        opened(sign_request(b"", TERMS, TRAINER)[: 21 + 32 + 64 + 64 + 2])


# Answers


@given(st.binary(max_size=300))
def test_an_answer_is_read_by_its_trainer_alone(content: bytes) -> None:
    envelope = seal_answer(content, TERMS, TRAINER.public, VAULT)
    assert open_answer(envelope, TERMS, TRAINER) == (content, VAULT.public)
    assert open_answer(envelope, TERMS, TRAINER, VAULT.public) == (content, VAULT.public)
    with pytest.raises(BadMessage, match="not sealed to this key"):
        open_answer(envelope, TERMS, OTHER)
    assert len(content) <= 8 or content not in envelope[20:]
    assert VAULT.public.raw not in envelope


def test_an_answer_to_another_request_is_not_taken() -> None:
    envelope = seal_answer(CONTENT, TERMS, TRAINER.public, VAULT)
    with pytest.raises(BadMessage, match="another request"):
        open_answer(envelope, dataclasses.replace(TERMS, nonce="cd" * 16), TRAINER)
    # The same nonce at another owner: the signature covers the name.
    with pytest.raises(BadMessage, match="signature"):
        open_answer(envelope, dataclasses.replace(TERMS, owner="bank"), TRAINER)


def test_an_answer_by_another_vault_is_not_taken() -> None:
    envelope = seal_answer(CONTENT, TERMS, TRAINER.public, OTHER)
    with pytest.raises(BadMessage, match="another key than this owner's"):
        open_answer(envelope, TERMS, TRAINER, VAULT.public)


def test_whoever_carries_an_answer_cannot_sign_it_for_a_vault() -> None:
    """Anybody can seal to the trainer, but not under the key of the vault."""
    unsigned = VAULT.public.raw + bytes(64) + bytes.fromhex(TERMS.nonce) + CONTENT
    envelope = b"mycroft-fl answer 1\n" + TRAINER.public.seal(unsigned)
    with pytest.raises(BadMessage, match="signature"):
        open_answer(envelope, TERMS, TRAINER, VAULT.public)
    no_key = bytes(32) + bytes(64) + bytes.fromhex(TERMS.nonce)
    with pytest.raises(BadMessage, match="no key"):
        open_answer(b"mycroft-fl answer 1\n" + TRAINER.public.seal(no_key), TERMS, TRAINER)


def test_a_trainer_cannot_pass_an_answer_on_as_given_to_another() -> None:
    signed = TRAINER.open(seal_answer(CONTENT, TERMS, TRAINER.public, VAULT)[20:])
    envelope = b"mycroft-fl answer 1\n" + OTHER.public.seal(signed)
    with pytest.raises(BadMessage, match="signature"):
        open_answer(envelope, TERMS, OTHER)


# The head before the content


@given(st.binary(max_size=300))
def test_a_head_says_who_asks_for_how_much_before_any_content_is_there(content: bytes) -> None:
    envelope = sign_request(content, TERMS, TRAINER)
    end = head_length(envelope[:FRONT_BYTES])
    claim = read_head(envelope[:end], "hospital", [TRAINER.public], NOW)
    assert (claim.terms, claim.signer, claim.size) == (TERMS, TRAINER.public, len(content))
    assert envelope[end:] == content
    assert claim.opened(content).content == content
    for other in (content + b"x", content[:-1] if content else b"y", bytes(len(content)) or b"z"):
        if other != content:
            with pytest.raises(BadMessage, match="not the one that was signed"):
                claim.opened(other)


def test_a_request_of_another_version_says_what_to_do() -> None:
    old = b"mycroft-fl request 1\n" + sign_request(CONTENT, TERMS, TRAINER)[21:]
    with pytest.raises(BadMessage, match=r"version 1, .* reads version 2; .* the same version of"):
        opened(old)
    with pytest.raises(BadMessage, match="version 999999999,"):
        opened(b"mycroft-fl request " + b"9" * 20 + b"\n")


def test_a_head_is_bounded_whatever_length_it_says() -> None:
    envelope = bytearray(sign_request(CONTENT, TERMS, TRAINER))
    envelope[FRONT_BYTES - 2 : FRONT_BYTES] = b"\xff\xff"
    with pytest.raises(BadMessage, match="up to 4096 bytes"):
        head_length(bytes(envelope[:FRONT_BYTES]))
    envelope[FRONT_BYTES - 10 : FRONT_BYTES] = b"\xff" * 8 + b"\0\1"
    with pytest.raises(BadMessage, match="content takes up to"):
        head_length(bytes(envelope[:FRONT_BYTES]))


# Each request once


def numbered(number: int, issued: float = NOW) -> SignedTerms:
    return dataclasses.replace(TERMS, nonce=f"{number:032x}", issued=issued, expires=issued + 600)


def test_a_request_is_taken_once_and_another_beside_it() -> None:
    seen = SeenRequests(10)
    seen.take(TERMS, NOW)
    with pytest.raises(Refused, match="answered before"):
        seen.take(TERMS, NOW)
    with pytest.raises(Refused, match="answered before"):
        seen.check(TERMS, NOW)
    seen.take(dataclasses.replace(TERMS, nonce="cd" * 16), NOW)


def test_what_has_expired_makes_room_and_what_has_not_stays() -> None:
    seen = SeenRequests(at_most=2)
    seen.take(numbered(1), NOW)
    seen.take(numbered(2), NOW)
    with pytest.raises(Refused, match="2 requests of this trainer are in force"):
        seen.take(numbered(3, NOW + 599), NOW + 599)
    seen.take(numbered(3, NOW + 601), NOW + 601)
    with pytest.raises(Refused, match="answered before"):
        seen.take(numbered(3, NOW + 602), NOW + 602)


def test_no_flood_makes_a_request_forgotten_that_is_still_good() -> None:
    seen = SeenRequests(at_most=50)
    for number in range(50):
        seen.take(numbered(number), NOW)
    for number in range(50, 2000):
        with pytest.raises(Refused, match="in force"):
            seen.take(numbered(number), NOW)
    for number in range(50):
        with pytest.raises(Refused, match="answered before"):
            seen.check(numbered(number), NOW + 600)


def test_fresh_terms_are_good_now_and_never_the_same() -> None:
    one, two = (SignedTerms.fresh("run", "hospital", 1, within=60) for _ in range(2))
    assert one.nonce != two.nonce
    assert open_request(sign_request(CONTENT, one, TRAINER), "hospital", [TRAINER.public])
    long = SignedTerms.fresh("run", "hospital", 1, within=1e9)
    assert open_request(sign_request(CONTENT, long, TRAINER), "hospital", [TRAINER.public])


# As Flower's messages

PACKED = RecordDict(
    {
        "arrays": ArrayRecord({"x": Array(np.arange(6, dtype=np.uint8).reshape(2, 3))}),
        "request": ConfigRecord(
            {"k": 3, "rate": 0.5, "method": "random", "flag": True, "b": b"\0"}
        ),
        "metrics": MetricRecord({"a": 1, "b": [0.5, 1.5]}),
    }
)


def test_records_come_back_as_they_were() -> None:
    back = from_bytes(as_bytes(PACKED))
    assert back == PACKED
    assert {k: type(v) for k, v in back["request"].items()} == {
        k: type(v) for k, v in PACKED["request"].items()
    }
    assert as_bytes(back) == as_bytes(PACKED)


def test_a_signed_request_travels_and_its_answer_comes_back() -> None:
    terms = SignedTerms.fresh("run", "hospital", 1, within=60)
    asked = open_request(carried(pack_signed(PACKED, terms, TRAINER)), "hospital", [TRAINER.public])
    assert unpack_opened(asked) == PACKED
    message = carry(pack_sealed(PACKED, asked.terms, asked.signer, VAULT), "answered")
    assert dict(message["report"]) == {"status": "answered"}
    assert unpack_sealed(message, terms, TRAINER, VAULT.public) == (PACKED, VAULT.public)


@pytest.mark.parametrize(
    "message",
    [
        RecordDict(),
        RecordDict({"envelope": ConfigRecord({"envelope": b"x"})}),
        RecordDict({"envelope": ArrayRecord({"other": Array(np.zeros(1))})}),
        PACKED,
    ],
    ids=["empty", "settings", "another-array", "unsealed"],
)
def test_a_message_without_an_envelope_is_bad(message: RecordDict) -> None:
    with pytest.raises(BadMessage, match="no envelope"):
        carried(message)


@given(st.binary(max_size=300))
def test_junk_is_no_records_or_harmless_ones(junk: bytes) -> None:
    with contextlib.suppress(BadMessage):
        assert isinstance(from_bytes(junk), RecordDict)


@pytest.mark.parametrize("limited", [carried, open_request, open_answer, from_bytes])
def test_what_is_too_large_is_not_looked_at(
    limited: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("mycroft_fl.protocol.envelope", "mycroft_fl.protocol.signed"):
        monkeypatch.setattr(f"{module}.MAX_CONTENT", 100)
    request = sign_request(bytes(200), TERMS, TRAINER)
    answer = seal_answer(bytes(200), TERMS, TRAINER.public, VAULT)
    with pytest.raises(BadMessage):
        {
            carried: lambda: carried(carry(request)),
            open_request: lambda: opened(request),
            open_answer: lambda: open_answer(answer, TERMS, TRAINER),
            from_bytes: lambda: from_bytes(as_bytes(PACKED)),
        }[limited]()


def test_a_public_key_that_is_none_is_never_made() -> None:
    from mycroft_fl.errors import InputError

    with pytest.raises(InputError):
        PublicKey(bytes(32))
