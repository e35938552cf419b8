# SPDX-License-Identifier: Apache-2.0
"""Ed25519 keys: made, named by their id, kept in PEM files.

A key pair is two files: KEY (PKCS #8, mode 0600) and KEY.pub (SubjectPublicKeyInfo), both PEM and readable by openssl.
A key's id is the SHA-256 thumbprint of its COSE_Key (RFC 9679); people see its first 16 digits.

Contract: a file is the old one or the new one, also after a crash; a private key never lies in a file that others may
read. Errors: UsageError for files that cannot be read, or hold no Ed25519 key.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from agent.errors import UsageError
from agent.files import sync_directory

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = [
    "KEY_SIZE",
    "PrivateKey",
    "PublicKey",
    "create_key_files",
    "generate_key",
    "load_private_key",
    "load_public_key",
    "public_path",
]

KEY_SIZE = 32  # bytes, of a public key and of a seed
# {1: 1 (OKP), -1: 6 (Ed25519), -2: the key}, deterministic CBOR: RFC 9679 section 4
THUMBPRINT_PREFIX = bytes.fromhex("a30101200621 5820".replace(" ", ""))
SHORT_ID = 16  # hexadecimal digits
PRIVATE_MODE, PUBLIC_MODE = 0o600, 0o644


@dataclass(frozen=True)
class PublicKey:
    """A public key, 32 bytes (RFC 8032)."""

    raw: bytes

    def __post_init__(self) -> None:
        """Refuse another length: the caller's error."""
        if len(self.raw) != KEY_SIZE:
            raise ValueError(f"a public key has {KEY_SIZE} bytes")

    @property
    def id(self) -> bytes:
        """The key's id, 32 bytes."""
        return hashlib.sha256(THUMBPRINT_PREFIX + self.raw).digest()

    @property
    def short_id(self) -> str:
        """The key's id as people see it."""
        return self.id.hex()[:SHORT_ID]

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Tell whether this key signed the message."""
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True

    def pem(self) -> bytes:
        """Write the key as SubjectPublicKeyInfo."""
        return Ed25519PublicKey.from_public_bytes(self.raw).public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )


class PrivateKey:
    """A key that signs; it never shows itself in a text."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public = PublicKey(
            key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        )

    def sign(self, message: bytes) -> bytes:
        """Sign: 64 bytes (RFC 8032, PureEdDSA)."""
        return self._key.sign(message)

    def pem(self) -> bytes:
        """Write the key as unencrypted PKCS #8: for a file of mode 0600 and nothing else."""
        return self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


def generate_key() -> PrivateKey:
    """Make a key from the system's randomness."""
    return PrivateKey(Ed25519PrivateKey.generate())


def public_path(path: Path) -> Path:
    """Name the public file of a key file."""
    return path.with_name(path.name + ".pub")


def _write(path: Path, data: bytes, mode: int, publish: Callable[[Path, Path], None]) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        publish(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_directory(path.parent)


def create_key_files(path: Path, *, keep: bool = False) -> PublicKey:
    """Make a key pair in `path` and `path`.pub.

    With `keep` a pair that is there, also one that somebody else makes at this moment, is taken as it is.

    Raises:
        UsageError: there is a key already (without `keep`), or it cannot be written.

    """
    key = generate_key()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            _write(path, key.pem(), PRIVATE_MODE, os.link)  # link never replaces
        except FileExistsError:
            if not keep:
                raise UsageError(f"{path}: there is a key already; name another file or move it away") from None
            key = load_private_key(path)
        _write(public_path(path), key.public.pem(), PUBLIC_MODE, os.replace)
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror or error}") from error
    return key.public


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror or error}") from error


def load_private_key(path: Path) -> PrivateKey:
    """Read a key file. UsageError: it can't be read or holds no unencrypted Ed25519 private key."""
    with contextlib.suppress(ValueError, TypeError, UnsupportedAlgorithm):
        key = serialization.load_pem_private_key(_read(path), password=None)
        if isinstance(key, Ed25519PrivateKey):
            return PrivateKey(key)
    raise UsageError(f"{path}: holds no unencrypted Ed25519 private key in PEM; make one with `wasel keygen -o KEY`")


def load_public_key(path: Path) -> PublicKey:
    """Read a public key's file. UsageError: it can't be read or holds no Ed25519 public key."""
    with contextlib.suppress(ValueError, UnsupportedAlgorithm):
        key = serialization.load_pem_public_key(_read(path))
        if isinstance(key, Ed25519PublicKey):
            return PublicKey(key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw))
    raise UsageError(f"{path}: holds no Ed25519 public key in PEM; `wasel keygen -o KEY` writes one to KEY.pub")
