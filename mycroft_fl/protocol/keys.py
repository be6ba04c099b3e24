"""Ed25519 key pairs of trainers and vaults: one signs, and opens what was sealed to its public half.

By libsodium. A public key is one line of text, `mycroft-ed25519 BASE64 comment`; a private key is a
file that nobody but its user may read. Raises `InputError` on files and `BadMessage` on messages.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from nacl.exceptions import CryptoError
from nacl.public import SealedBox
from nacl.signing import SigningKey, VerifyKey

from mycroft_fl.errors import BadMessage, InputError

KEY_BYTES, SIGNATURE_BYTES = 32, 64
PUBLIC, PRIVATE = "mycroft-ed25519", "mycroft-ed25519-private"
LONGEST_FILE = 1000
OTHERS = 0o077
"""The bits of a file's mode that let anybody but its user in."""


@dataclass(frozen=True)
class PublicKey:
    """The half of a key pair that is given away. `InputError` where `raw` is no such key."""

    raw: bytes

    def __post_init__(self) -> None:
        try:
            VerifyKey(self.raw).to_curve25519_public_key()
        except (CryptoError, ValueError, TypeError) as error:
            raise InputError(f"this is no Ed25519 key of {KEY_BYTES} bytes") from error

    @classmethod
    def from_text(cls, text: str, source: str = "this") -> PublicKey:
        """Read the key in a line that `text` wrote; `source` is what an error calls it."""
        return cls(_decoded(text, PUBLIC, source))

    @classmethod
    def load(cls, path: Path) -> PublicKey:
        """Read the key in a file such as trainer-lab.pub."""
        return cls.from_text(_read(path), path.name)

    def text(self, comment: str = "") -> str:
        """Write the key as one line."""
        return " ".join(filter(None, [PUBLIC, base64.b64encode(self.raw).decode(), comment]))

    @cached_property
    def fingerprint(self) -> str:
        """32 hexadecimal digits of its SHA-256: who a trainer is to an owner's ledger."""
        return hashlib.sha256(self.raw).hexdigest()[:32]

    def verify(self, message: bytes, signature: bytes) -> None:
        """Raise `BadMessage` unless that key signed exactly this."""
        try:
            VerifyKey(self.raw).verify(message, signature)
        except (CryptoError, ValueError, TypeError) as error:
            raise BadMessage("the signature does not belong to this message and key") from error

    def seal(self, content: bytes) -> bytes:
        """Seal `content` so that only the key pair's holder reads it."""
        return SealedBox(VerifyKey(self.raw).to_curve25519_public_key()).encrypt(content)


@dataclass(frozen=True, repr=False)
class KeyPair:
    """A private key and all that is done with it. Its seed is never shown."""

    _seed: bytes

    @classmethod
    def generate(cls) -> KeyPair:
        """Make a new one, from the system's entropy."""
        return cls(bytes(SigningKey.generate()))

    @classmethod
    def load(cls, path: Path) -> KeyPair:
        """Read the private key in a file. `InputError` where others may read that file."""
        content = _read(path)
        if path.stat().st_mode & OTHERS:
            raise InputError(f"{path} may be read by others than its user; chmod 600 {path}")
        return cls(_decoded(content, PRIVATE, path.name))

    def save(self, path: Path) -> None:
        """Write the private key to a new file of mode 0600. `InputError` where there is one."""
        line = f"{PRIVATE} {base64.b64encode(self._seed).decode()}\n"
        try:
            # Never there with another mode, nor in place of an older key.
            place = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError as error:
            raise InputError(f"{path} is there already; move it away to make a new key") from error
        except OSError as error:
            raise InputError(f"{path} cannot be written: {error.strerror}") from error
        with os.fdopen(place, "w", encoding="ascii") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())

    @cached_property
    def public(self) -> PublicKey:
        """The half that is given away."""
        return PublicKey(bytes(SigningKey(self._seed).verify_key))

    def sign(self, message: bytes) -> bytes:
        """Sign the signature, 64 bytes."""
        return SigningKey(self._seed).sign(message).signature

    def open(self, sealed: bytes) -> bytes:
        """Open what was sealed to this key. `BadMessage` where it was not, or was changed."""
        try:
            return SealedBox(SigningKey(self._seed).to_curve25519_private_key()).decrypt(sealed)
        except (CryptoError, ValueError, TypeError) as error:
            raise BadMessage("this was not sealed to this key, or was changed since") from error


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(LONGEST_FILE).decode("ascii")
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} cannot be read as a key: {getattr(error, 'strerror', None) or 'it is no text'}"
        ) from error


def _decoded(text: str, kind: str, source: str) -> bytes:
    words = text.split()
    if words[:1] != [kind] or len(words) < 2:
        raise InputError(f"{source} is no key; a key is one line, '{kind} BASE64'")
    try:
        raw = base64.b64decode(words[1], validate=True)
    except binascii.Error as error:
        raise InputError(f"{source} is no key: its second word is not base64") from error
    if len(raw) != KEY_BYTES:
        raise InputError(f"{source} is no key: {len(raw)} bytes where there are {KEY_BYTES}")
    return raw
