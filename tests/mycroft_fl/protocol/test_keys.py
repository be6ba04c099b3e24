"""Key pairs: what is signed and sealed, and which files are taken for a key."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from mycroft_fl.errors import BadMessage, InputError
from mycroft_fl.protocol.keys import KeyPair, PublicKey

KEY, OTHER = KeyPair.generate(), KeyPair.generate()


@given(st.binary(max_size=200))
def test_another_library_finds_the_signatures_right(message: bytes) -> None:
    signature = KEY.sign(message)
    theirs = Ed25519PublicKey.from_public_bytes(KEY.public.raw)
    theirs.verify(signature, message)
    KEY.public.verify(message, signature)
    with pytest.raises(InvalidSignature):
        theirs.verify(signature, message + b".")
    with pytest.raises(BadMessage):
        KEY.public.verify(message + b".", signature)


@given(st.binary(max_size=200))
def test_only_the_holder_opens_what_is_sealed(content: bytes) -> None:
    sealed = KEY.public.seal(content)
    assert KEY.open(sealed) == content
    assert sealed != KEY.public.seal(content)
    with pytest.raises(BadMessage, match="not sealed to this key"):
        OTHER.open(sealed)
    with pytest.raises(BadMessage):
        KEY.open(sealed[:-1])


def test_a_private_key_comes_back_from_its_file_which_is_for_its_user_alone(tmp_path: Path) -> None:
    KEY.save(tmp_path / "key")
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert KeyPair.load(tmp_path / "key").public == KEY.public


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    KEY.save(tmp_path / "key")
    with pytest.raises(InputError, match="is there already"):
        OTHER.save(tmp_path / "key")
    assert KeyPair.load(tmp_path / "key").public == KEY.public


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_private_key_that_others_may_read_is_not_used(tmp_path: Path, mode: int) -> None:
    KEY.save(tmp_path / "key")
    (tmp_path / "key").chmod(mode)
    with pytest.raises(InputError, match="may be read by others than its user; chmod 600"):
        KeyPair.load(tmp_path / "key")


def test_a_public_key_is_a_line_of_text(tmp_path: Path) -> None:
    path = tmp_path / "trainer-lab.pub"
    path.write_text(KEY.public.text("lab") + "\n")
    assert path.read_text().startswith("mycroft-ed25519 ")
    assert path.read_text().endswith(" lab\n")
    assert PublicKey.load(path) == KEY.public


def test_a_fingerprint_is_of_the_key_alone() -> None:
    digest = hashlib.sha256(KEY.public.raw).hexdigest()
    assert KEY.public.fingerprint == digest[:32]
    assert PublicKey.from_text(KEY.public.text("any")).fingerprint == digest[:32]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is no key; a key is one line"),
        ("ssh-ed25519 AAAA", "is no key; a key is one line"),
        ("mycroft-ed25519", "is no key; a key is one line"),
        ("mycroft-ed25519 ****", "not base64"),
        ("mycroft-ed25519 AAAA", "3 bytes where there are 32"),
        # The neutral element: whatever was signed by it, everybody could have signed.
        ("mycroft-ed25519 AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "no Ed25519 key"),
        ("\u00e9", "it is no text"),
    ],
)
def test_what_is_no_public_key_is_said(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "key.pub"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=said):
        PublicKey.load(path)


def test_a_private_key_is_not_taken_for_a_public_one(tmp_path: Path) -> None:
    KEY.save(tmp_path / "key")
    with pytest.raises(InputError, match="is no key"):
        PublicKey.load(tmp_path / "key")
    with pytest.raises(InputError, match="cannot be read as a key"):
        KeyPair.load(tmp_path / "nowhere")


def test_a_key_does_not_show_its_seed(tmp_path: Path) -> None:
    KEY.save(tmp_path / "key")
    secret = (tmp_path / "key").read_text().split()[1]
    assert secret not in repr(KEY)
    assert KEY._seed.hex() not in repr(KEY)
    assert repr(KEY._seed) not in repr(KEY)
