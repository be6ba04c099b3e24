"""A request that its trainer signed for one owner, and the answer that only this trainer can read.

    request   head: mark, signer's key, signature, digest and length of the content, terms (JSON)
              content
    answer    mark, sealed to the signer's key: vault's key, signature, nonce, content

A request's head is small and signed by itself: whoever reads one knows who asks, and for how much,
before any of the content is read, and knows the content by its digest.

Who carries them (a SuperLink, a SuperNode, the trainer's own code on the owner's machine) can lose
them and see how long they are, but can neither forge, nor change, nor use them for another owner, nor read
the answer. What is opened here is still hostile until unpacked: a trainer may be, too.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import re
import secrets
import struct
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from mycroft_fl.errors import BadMessage, InputError, Refused
from mycroft_fl.protocol.keys import KEY_BYTES, SIGNATURE_BYTES, KeyPair, PublicKey

REQUEST_MARK, ANSWER_MARK = b"mycroft-fl request 2\n", b"mycroft-fl answer 1\n"
OTHER_REQUEST = re.compile(rb"mycroft-fl request (\d+)\n")
NONCE_BYTES = 16
MAX_TERMS = 4096
MAX_CONTENT = 1 << 30
MAX_NAME = 200
MAX_LIFE = 24 * 3600.0  # seconds
SKEW = 300.0
"""Seconds by which two machines' clocks may differ."""

_FRONT = struct.Struct(f"{len(REQUEST_MARK)}s{KEY_BYTES}s{SIGNATURE_BYTES}s")
_WHAT = struct.Struct(">64sQH")
"""The content's SHA-512, its length, the length of the terms."""
FRONT_BYTES = _FRONT.size + _WHAT.size
"""As much of a head as says how long the rest of it is."""
_SIGNED = struct.Struct(f"{KEY_BYTES}s{SIGNATURE_BYTES}s{NONCE_BYTES}s")


@dataclass(frozen=True)
class SignedTerms:
    """The terms of a signed request: one run, one owner, one round, and until when.

    `issued` and `expires` are seconds since 1970. `within` is how many seconds the trainer waits:
    a vault that must look like a silent one stays silent for as long.
    """

    run: str
    owner: str
    server_round: int
    issued: float
    expires: float
    within: float
    nonce: str

    @classmethod
    def fresh(cls, run: str, owner: str, server_round: int, within: float) -> SignedTerms:
        """Give terms as of now, for a trainer that waits `within` seconds."""
        now = time.time()
        life = min(within + SKEW, MAX_LIFE)
        nonce = secrets.token_hex(NONCE_BYTES)
        return cls(run, owner, server_round, now, now + life, within, nonce)


@dataclass(frozen=True, eq=False)
class Opened:
    """A request whose signature was right: its terms, who signed it, and what it asks."""

    terms: SignedTerms
    signer: PublicKey
    content: bytes


@dataclass(frozen=True)
class Claim:
    """A request's head whose signature was right: who asks on which terms, and by what content.

    `digest` is the content's SHA-512 and `size` its length in bytes; nothing of it was read yet.
    """

    terms: SignedTerms
    signer: PublicKey
    digest: bytes
    size: int

    def opened(self, content: bytes, digest: bytes | None = None) -> Opened:
        """Give the request with its content, whose `digest` may have been taken as it came.

        `BadMessage` where another content was signed.
        """
        digest = hashlib.sha512(content).digest() if digest is None else digest
        if len(content) != self.size or digest != self.digest:
            raise BadMessage("the content is not the one that was signed")
        return Opened(self.terms, self.signer, content)


def sign_request(content: bytes, terms: SignedTerms, key: KeyPair) -> bytes:
    """Sign `content` as a request of that key's holder, good for `terms` alone."""
    terms_bytes = json.dumps(dataclasses.asdict(terms), sort_keys=True).encode()
    what = (
        _WHAT.pack(hashlib.sha512(content).digest(), len(content), len(terms_bytes)) + terms_bytes
    )
    return _FRONT.pack(REQUEST_MARK, key.public.raw, key.sign(_signed(what))) + what + content


def head_length(front: bytes) -> int:
    """Count the bytes of a request's head, by its first FRONT_BYTES. `BadMessage` where there is none."""
    other = OTHER_REQUEST.match(front)
    if other and not front.startswith(REQUEST_MARK):
        raise BadMessage(
            f"a request of version {int(other[1][:9])}, and this vault reads version 2; trainer and "
            "owner must have the same version of mycroft-fl"
        )
    if len(front) < FRONT_BYTES or not front.startswith(REQUEST_MARK):
        raise BadMessage("this is no signed request")
    _, size, length = _WHAT.unpack_from(front, _FRONT.size)
    if length > MAX_TERMS:
        raise BadMessage(f"a request's terms take up to {MAX_TERMS} bytes")
    if size > MAX_CONTENT:
        raise BadMessage(f"a request's content takes up to {MAX_CONTENT} bytes")
    return FRONT_BYTES + int(length)


def read_head(
    head: bytes, owner: str, trainers: Iterable[PublicKey], now: float | None = None
) -> Claim:
    """Read what a whole head claims, where one of `trainers` signed it for this owner and for now.

    `Refused` for another signer, owner or time; `BadMessage` for what is no head, or was changed.
    """
    if head_length(head) != len(head):
        raise BadMessage("a request's head of another length than it says")
    _, raw, signature = _FRONT.unpack_from(head)
    # Before anything is computed: only listed keys are worth the effort.
    signer = next((each for each in trainers if each.raw == raw), None)
    if signer is None:
        raise Refused("the request is signed by a key that is not listed")
    what = head[_FRONT.size :]
    signer.verify(_signed(what), signature)
    digest, size, _ = _WHAT.unpack_from(what)
    terms = _terms_in(what[_WHAT.size :])
    if terms.owner != owner:
        raise Refused("the request is for another owner")
    _check_time(terms, time.time() if now is None else now)
    return Claim(terms, signer, digest, size)


def open_request(
    envelope: bytes, owner: str, trainers: Iterable[PublicKey], now: float | None = None
) -> Opened:
    """Open the request in an envelope; errors as in `read_head`."""
    if len(envelope) > MAX_CONTENT:
        raise BadMessage("this is no signed request")
    end = head_length(envelope[:FRONT_BYTES])
    claim = read_head(envelope[:end], owner, trainers, now)
    return claim.opened(envelope[end:])


def seal_answer(content: bytes, terms: SignedTerms, to: PublicKey, vault: KeyPair) -> bytes:
    """Seal an answer to the request of those terms, signed by the vault and sealed to the trainer."""
    nonce = bytes.fromhex(terms.nonce)
    signature = vault.sign(_answered(content, nonce, terms.owner, to))
    return ANSWER_MARK + to.seal(vault.public.raw + signature + nonce + content)


def open_answer(
    envelope: bytes, terms: SignedTerms, key: KeyPair, vault: PublicKey | None = None
) -> tuple[bytes, PublicKey]:
    """Open what answers the request of those terms, and the key of the vault that signed it.

    `BadMessage` where it answers another request, was changed, or is not by `vault`, if that is given.
    """
    if len(envelope) > MAX_CONTENT or not envelope.startswith(ANSWER_MARK):
        raise BadMessage("this is no sealed answer")
    opened = key.open(envelope[len(ANSWER_MARK) :])
    if len(opened) < _SIGNED.size:
        raise BadMessage("a sealed answer that is too short")
    raw, signature, nonce = _SIGNED.unpack_from(opened)
    if nonce.hex() != terms.nonce:
        raise BadMessage("the answer is to another request")
    if vault is not None and raw != vault.raw:
        raise BadMessage("the answer is signed by another key than this owner's")
    content = opened[_SIGNED.size :]
    signer = _key(raw)
    signer.verify(_answered(content, nonce, terms.owner, key.public), signature)
    return content, signer


@dataclass
class SeenRequests:
    """The nonces of one trainer's requests, until they expire: none is taken twice, none forgotten.

    Up to `at_most` are in force at once, of some 100 bytes each.
    """

    at_most: int
    _until: dict[bytes, float] = field(default_factory=dict, init=False)
    _first_end: float = field(default=math.inf, init=False)

    def check(self, terms: SignedTerms, now: float | None = None) -> None:
        """Raise `Refused` for a request that was taken before, or for one more than may be in force."""
        now = time.time() if now is None else now
        if bytes.fromhex(terms.nonce) in self._until:
            raise Refused("this very request was answered before; sign it anew to ask again")
        if len(self._until) >= self.at_most and now > self._first_end:
            self._until = {each: until for each, until in self._until.items() if until >= now}
            self._first_end = min(self._until.values(), default=math.inf)
        if len(self._until) >= self.at_most:
            raise Refused(f"{self.at_most} requests of this trainer are in force")

    def take(self, terms: SignedTerms, now: float | None = None) -> None:
        """Take a request: `check` it, and remember it."""
        self.check(terms, now)
        self._until[bytes.fromhex(terms.nonce)] = terms.expires
        self._first_end = min(self._first_end, terms.expires)


def _signed(what: bytes) -> bytes:
    """Say what a trainer signs: the head, and by its digest the content."""
    return REQUEST_MARK + hashlib.sha512(what).digest()


def _answered(content: bytes, nonce: bytes, owner: str, to: PublicKey) -> bytes:
    """Say what a vault signs: this answer to this request, for this trainer."""
    digests = [hashlib.sha512(each).digest() for each in (nonce, owner.encode(), content)]
    return ANSWER_MARK + to.raw + b"".join(digests)


def _terms_in(terms_bytes: bytes) -> SignedTerms:
    try:
        values = json.loads(terms_bytes)
    except (ValueError, RecursionError) as error:
        raise BadMessage("a request's terms are no JSON") from error
    return _terms(values)


_KINDS = {
    "run": (str,), "owner": (str,), "server_round": (int,), "issued": (float, int),
    "expires": (float, int), "within": (float, int), "nonce": (str,),
}  # fmt: skip


def _terms(values: object) -> SignedTerms:
    if not isinstance(values, dict) or set(values) != set(_KINDS):
        raise BadMessage("a request's terms are not the ones that are wanted")
    for name, kinds in _KINDS.items():
        # Not isinstance: True is an int.
        if type(values[name]) not in kinds:
            raise BadMessage(f"a request's {name} is of another type")
        if isinstance(values[name], str) and len(values[name]) > MAX_NAME:
            raise BadMessage(f"a request's {name} is longer than {MAX_NAME} characters")
    nonce = values["nonce"]
    if len(nonce) != 2 * NONCE_BYTES or set(nonce) - set("0123456789abcdef"):
        raise BadMessage("a request's nonce is none")
    # Never true of NaN; and a whole number from JSON may be beyond every float.
    if not all(0 <= values[name] <= 1e15 for name in ("issued", "expires", "within")):
        raise BadMessage("a request's times are none")
    if not 0 <= values["server_round"] <= 1_000_000:
        raise BadMessage("a request's round is none")
    return SignedTerms(**values)


def _check_time(terms: SignedTerms, now: float) -> None:
    if not terms.issued - SKEW <= now <= terms.expires:
        raise Refused("the request has expired, or was issued in the future")
    if terms.expires - terms.issued > MAX_LIFE:
        raise Refused(f"a request is good for at most {MAX_LIFE / 3600:g} hours")


def _key(raw: bytes) -> PublicKey:
    try:
        return PublicKey(raw)
    except InputError as error:
        raise BadMessage("an answer is signed by something that is no key") from error
