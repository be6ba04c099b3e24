"""The sender of a request, by its headers alone, before any of its body is read.

A SuperNode signs the time, and says by which key (`flwr.superlink.routers.fleet.node_auth`, which
looks at the same once more, after it has read the body).
"""

from __future__ import annotations

import binascii
import datetime
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from flwr.common.constant import SYSTEM_TIME_TOLERANCE, TIMESTAMP_HEADER, TIMESTAMP_TOLERANCE
from flwr.supercore.constant import FLEET_HTTP_PUBLIC_KEY_HEADER, FLEET_HTTP_SIGNATURE_HEADER
from flwr.supercore.date import now
from flwr.supercore.primitives.asymmetric import bytes_to_public_key, verify_signature

LONGEST_KEY = 1024  # bytes; of an owner's key, on NIST's P-384, it is 215


Admitted = Callable[[bytes], int | None]
"""The id of the SuperNode that was admitted with this public key."""


@dataclass(frozen=True)
class Caller:
    """A SuperNode that was admitted: its public key, and Flower's id of it."""

    key: bytes
    node: int


class Stranger(Exception):
    """Nobody whose key was admitted; the text may go to whoever asked."""


def caller(headers: Mapping[bytes, bytes], admitted: Admitted) -> Caller:
    """Find the SuperNode by whose admitted key these headers are signed. `Stranger` where there is none."""
    key, signature, signed = (
        headers.get(name.encode().lower(), b"")
        for name in (FLEET_HTTP_PUBLIC_KEY_HEADER, FLEET_HTTP_SIGNATURE_HEADER, TIMESTAMP_HEADER)
    )
    try:
        public, proof = b64decode(key, validate=True), b64decode(signature, validate=True)
        # First: a key that a stranger made up is not even parsed.
        node = admitted(public) if 0 < len(public) <= LONGEST_KEY else None
        if node is None:
            raise Stranger("this SuperNode's key is not registered")
        age = (now() - datetime.datetime.fromisoformat(signed.decode("ascii"))).total_seconds()
        if not -SYSTEM_TIME_TOLERANCE < age < TIMESTAMP_TOLERANCE + SYSTEM_TIME_TOLERANCE:
            raise Stranger("the request was signed at another time; set the clock")
        if not verify_signature(bytes_to_public_key(public), signed, proof):
            raise Stranger("the request is not signed by the key that it names")
    except (ValueError, TypeError, OverflowError, binascii.Error) as error:
        raise Stranger("the request's headers are no SuperNode's") from error
    return Caller(public, node)
