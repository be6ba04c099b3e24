"""Certificates as OpenSSL judges them, in real TLS handshakes on memory."""

from __future__ import annotations

import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mycroft_fl.errors import InputError
from strategies.deployment.certificates import certify, good_until, make_authority


@pytest.fixture
def certs(tmp_path: Path) -> Path:
    make_authority(tmp_path, "lab")
    certify(tmp_path, ["superlink.example.org"])
    return tmp_path


def shake_hands(server: Path, authority: Path, name: str) -> None:
    """Whether a client that trusts `authority` believes `server` to be `name`; raises if not."""
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.load_cert_chain(server / "server.crt", server / "server.key")
    theirs = ssl.create_default_context(cafile=str(authority / "ca.crt"))
    pipes = [ssl.MemoryBIO() for _ in range(2)]
    ends = [
        theirs.wrap_bio(pipes[0], pipes[1], server_hostname=name),
        ours.wrap_bio(pipes[1], pipes[0], server_side=True),
    ]
    done = [False, False]
    while not all(done):
        for place, end in enumerate(ends):
            try:
                end.do_handshake()
                done[place] = True
            except ssl.SSLWantReadError:
                pass


@pytest.mark.parametrize("name", ["superlink.example.org", "localhost", "127.0.0.1"])
def test_the_superlink_is_believed_by_its_names(certs: Path, name: str) -> None:
    shake_hands(certs, certs, name)


def test_another_name_is_not_believed(certs: Path) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        shake_hands(certs, certs, "other.example.org")


def test_another_authority_is_not_believed(certs: Path, tmp_path_factory) -> None:
    other = tmp_path_factory.mktemp("other")
    make_authority(other, "lab")
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(certs, other, "localhost")


def test_an_expired_certificate_is_not_believed_and_a_new_one_is(certs: Path) -> None:
    assert certify(certs, ["localhost"], days=-1) < datetime.now(UTC)
    with pytest.raises(ssl.SSLCertVerificationError, match="certificate has expired"):
        shake_hands(certs, certs, "localhost")
    until = certify(certs, ["localhost"], days=10)
    shake_hands(certs, certs, "localhost")
    assert until == good_until(certs)
    assert timedelta(days=9) < until - datetime.now(UTC) < timedelta(days=11)


def test_keys_are_for_their_user_alone(certs: Path) -> None:
    for name in ("ca.key", "server.key"):
        assert stat.S_IMODE((certs / name).stat().st_mode) == 0o600


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"does not hold a readable ca\.crt and ca\.key"):
        certify(tmp_path, ["localhost"])
    with pytest.raises(InputError, match="is no certificate; make one"):
        good_until(tmp_path)
