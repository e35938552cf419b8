# SPDX-License-Identifier: Apache-2.0
"""The fleet's private certificate authority: made at first use, signs the broker's and the server's certificate.

    folder/ca.pem, ca.key           EC P-256, 10 years; the key never leaves the folder (0600)
    folder/server.pem, server.key   EC P-256, one year, for the names asked for; made anew a month before its end,
                                    or when other names are wanted

Contract: `ensure_pki` gives valid files or raises `UsageError`; a file is the old or the new one, also after a crash.
Agents trust `ca.pem` alone, never the system's store, so nobody else's certificate passes for the broker's.
Sources: RFC 5280 (4.2.1.3, 4.2.1.6, 4.2.1.9, 4.2.1.12).
"""

from __future__ import annotations

import datetime as dt
import hashlib
import ipaddress
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from agent.errors import UsageError
from agent.files import replace_file

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["Pki", "ensure_pki", "fingerprint"]

CA_LIFE = dt.timedelta(days=3650)
SERVER_LIFE = dt.timedelta(days=365)
RENEW_BEFORE = dt.timedelta(days=30)
CLOCK_SKEW = dt.timedelta(days=1)
"""Certificates are valid from yesterday on: a device's clock may be a little behind."""


@dataclass(frozen=True)
class Pki:
    """The files, all PEM."""

    ca: Path
    certificate: Path
    key: Path


def fingerprint(ca_pem: bytes) -> str:
    """Give the SHA-256 of a certificate's DER, in hexadecimal: what people and claim tokens compare."""
    return hashlib.sha256(x509.load_pem_x509_certificate(ca_pem).public_bytes(serialization.Encoding.DER)).hexdigest()


def ensure_pki(folder: Path, names: Sequence[str], now: dt.datetime | None = None) -> Pki:
    """Make what is missing or about to end; `names` are host names and addresses of the server."""
    now = now or dt.datetime.now(dt.UTC)
    pki = Pki(folder / "ca.pem", folder / "server.pem", folder / "server.key")
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        ca_key, ca = _ensure_ca(pki.ca, folder / "ca.key", now)
        if not _serves(pki, ca, names, now):
            key = ec.generate_private_key(ec.SECP256R1())
            certificate = _server_certificate(ca, ca_key, key.public_key(), names, now)
            _write_key(pki.key, key)
            replace_file(pki.certificate, certificate.public_bytes(serialization.Encoding.PEM))
    except (OSError, ValueError) as error:
        raise UsageError(f"{folder}: the certificates cannot be read or made: {error}") from error
    return pki


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    data = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    mask = os.umask(0o077)
    try:
        replace_file(path, data)
    finally:
        os.umask(mask)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _read_key(path: Path) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError(f"{path.name} holds no EC key")  # noqa: TRY004 - a damaged file, as any other
    return key


def _ensure_ca(
    certificate: Path, key_file: Path, now: dt.datetime
) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    """Read the authority, or make one if there is none; the key first, without which the certificate is useless."""
    if certificate.is_file():
        return _read_key(key_file), x509.load_pem_x509_certificate(certificate.read_bytes())
    key = _read_key(key_file) if key_file.is_file() else ec.generate_private_key(ec.SECP256R1())
    _write_key(key_file, key)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    ca = (
        x509.CertificateBuilder()
        .subject_name(_name("wasel fleet CA"))
        .issuer_name(_name("wasel fleet CA"))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + CA_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(ca=True), critical=True)
        .add_extension(identifier, critical=False)
        .sign(key, hashes.SHA256())
    )
    replace_file(certificate, ca.public_bytes(serialization.Encoding.PEM))
    return key, ca


def _usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _server_certificate(
    ca: x509.Certificate,
    ca_key: ec.EllipticCurvePrivateKey,
    key: ec.EllipticCurvePublicKey,
    names: Sequence[str],
    now: dt.datetime,
) -> x509.Certificate:
    return (
        x509.CertificateBuilder()
        .subject_name(_name(names[0]))
        .issuer_name(ca.subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(min(now + SERVER_LIFE, ca.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(ca=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([_alternative(name) for name in names]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )


def _serves(pki: Pki, ca: x509.Certificate, names: Sequence[str], now: dt.datetime) -> bool:
    """Tell whether the server's certificate is there, from this authority, fresh, for these names and this key."""
    if not (pki.certificate.is_file() and pki.key.is_file()):
        return False
    certificate = x509.load_pem_x509_certificate(pki.certificate.read_bytes())
    try:
        certificate.verify_directly_issued_by(ca)
    except Exception:  # noqa: BLE001 - whatever is wrong with it, a new one is made
        return False
    alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return (
        set(alternatives) == {_alternative(name) for name in names}
        and certificate.not_valid_after_utc - RENEW_BEFORE > now
        and certificate.public_key() == _read_key(pki.key).public_key()
    )
