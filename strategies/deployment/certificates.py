"""The certificates of a SuperLink: an authority of the trainer's own, and what it certifies."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mycroft_fl.errors import InputError
from mycroft_fl.files import write_whole

CA_CERTIFICATE, CA_KEY = "ca.crt", "ca.key"
SERVER_CERTIFICATE, SERVER_KEY = "server.crt", "server.key"
CA_DAYS, SERVER_DAYS = 3650, 397
CLOCKS_APART = datetime.timedelta(hours=1)
ALWAYS = ("localhost", "127.0.0.1")


def make_authority(folder: Path, name: str) -> None:
    """Make a new authority: ca.crt, which owners are given, and ca.key, for the trainer's user alone."""
    key = ec.generate_private_key(ec.SECP384R1())
    whose = _name(f"{name} authority")
    certificate = (
        _begun(whose, whose, key.public_key(), CA_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA384())
    )
    write_whole(folder / CA_KEY, _private(key))
    write_whole(folder / CA_CERTIFICATE, certificate.public_bytes(Encoding.PEM), mode=0o644)


def certify(folder: Path, hosts: Sequence[str], days: int = SERVER_DAYS) -> datetime.datetime:
    """Make a new certificate of the SuperLink for these names and addresses; return until when it is good.

    It takes the place of an older one. `InputError` where the authority's files cannot be read.
    """
    try:
        authority = x509.load_pem_x509_certificate((folder / CA_CERTIFICATE).read_bytes())
        signer = load_pem_private_key((folder / CA_KEY).read_bytes(), password=None)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{folder} does not hold a readable {CA_CERTIFICATE} and {CA_KEY}"
        ) from error
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP384R1())
    names = [_alternative(host) for host in dict.fromkeys([*hosts, *ALWAYS])]
    whose = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    certificate = (
        _begun(_name(hosts[0]), authority.subject, key.public_key(), days)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(whose, critical=False)
        .sign(signer, hashes.SHA384())
    )
    write_whole(folder / SERVER_KEY, _private(key))
    write_whole(folder / SERVER_CERTIFICATE, certificate.public_bytes(Encoding.PEM), mode=0o644)
    return certificate.not_valid_after_utc


def good_until(folder: Path) -> datetime.datetime:
    """Read until when the SuperLink's certificate is good. `InputError` where there is none."""
    path = folder / SERVER_CERTIFICATE
    try:
        return x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is no certificate; make one with `trainer certify`") from error


def _begun(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        # Of a certificate that has run out already, the beginning must still come first.
        .not_valid_before(min(now, now + datetime.timedelta(days=days)) - CLOCKS_APART)
        .not_valid_after(now + datetime.timedelta(days=days))
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:64])])


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
