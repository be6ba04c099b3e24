"""Signed requests and sealed answers as Flower messages: what `wire` packs travels inside them.

With wire.py the only file of the method that knows Flower. It loads no torch.
"""

from __future__ import annotations

from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict
from flwr.common.serde import recorddict_from_proto, recorddict_to_proto
from flwr.proto.recorddict_pb2 import RecordDict as Proto

from mycroft_fl.errors import BadMessage
from mycroft_fl.protocol.envelope import (
    MAX_CONTENT,
    Opened,
    SignedTerms,
    open_answer,
    seal_answer,
    sign_request,
)
from mycroft_fl.protocol.keys import KeyPair, PublicKey

ENVELOPE, KIND = "envelope", "mycroft.envelope"


def pack_signed(content: RecordDict, terms: SignedTerms, key: KeyPair) -> RecordDict:
    """Pack a packed request, signed for one owner."""
    return carry(sign_request(as_bytes(content), terms, key))


def unpack_opened(request: Opened) -> RecordDict:
    """Read the packed request that was signed. `BadMessage` where there is none; not unpacked yet."""
    return from_bytes(request.content)


def pack_sealed(content: RecordDict, terms: SignedTerms, to: PublicKey, vault: KeyPair) -> bytes:
    """Pack a packed answer, sealed to the trainer that asked; `carry` brings it to Flower."""
    return seal_answer(as_bytes(content), terms, to, vault)


def unpack_sealed(
    message: RecordDict, terms: SignedTerms, key: KeyPair, vault: PublicKey | None = None
) -> tuple[RecordDict, PublicKey]:
    """Read the packed answer in a message, and the key of the vault that signed it.

    `BadMessage` on whatever is not an answer to the request of those terms, by `vault` if given.
    """
    content, signer = open_answer(carried(message), terms, key, vault)
    return from_bytes(content), signer


def carry(envelope: bytes, status: str | None = None) -> RecordDict:
    """Carry an envelope as a message; an answer says by `status` that it is one."""
    # As an array: Flower sends arrays in pieces, and settings whole.
    array = Array("uint8", (len(envelope),), KIND, envelope)
    message = RecordDict({ENVELOPE: ArrayRecord({ENVELOPE: array})})
    if status is not None:
        message["report"] = ConfigRecord({"status": status})
    return message


def carried(message: RecordDict) -> bytes:
    """Take the envelope out of a message. `BadMessage` where there is none."""
    record = message.get(ENVELOPE)
    if not isinstance(record, ArrayRecord) or set(record) != {ENVELOPE}:
        raise BadMessage("the message carries no envelope")
    data = record[ENVELOPE].data
    if not isinstance(data, bytes) or len(data) > MAX_CONTENT:
        raise BadMessage(f"an envelope of more than {MAX_CONTENT} bytes")
    return data


def as_bytes(content: RecordDict) -> bytes:
    """Write packed records as bytes, by the protocol buffers that Flower sends them in itself."""
    return bytes(recorddict_to_proto(content).SerializeToString(deterministic=True))


def size_of(content: RecordDict) -> int:
    """Count the bytes that the records in a message take, names included. `BadMessage` for strange ones."""
    try:
        return sum(len(name) + each.count_bytes() for name, each in content.items())
    except ValueError as error:  # Flower counts no empty text
        raise BadMessage("records that cannot be counted") from error


def from_bytes(content: bytes) -> RecordDict:
    """Read the records that `as_bytes` wrote. `BadMessage` on anything else; what they hold is unchecked."""
    if len(content) > MAX_CONTENT:
        raise BadMessage(f"content of more than {MAX_CONTENT} bytes")
    try:
        return recorddict_from_proto(Proto.FromString(content))
    except Exception as error:
        # All of them: Flower's own checks raise what they like.
        raise BadMessage("content that is no records") from error
