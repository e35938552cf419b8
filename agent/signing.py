# SPDX-License-Identifier: Apache-2.0
"""Signed modules: the section `wasel.signature`, made and checked.

A signed module is `module || wasel.manifest || wasel.signature`. The last section holds one COSE_Sign1 (RFC 9052
section 4.2) with a detached payload, which is every byte before the section. Its bytes are fixed but for key and
signature: tag 18, [protected {1: -8 (EdDSA), 3: "application/wasm", 4: key id}, {}, null, 64 bytes].

Ed25519 is that of `cryptography`. The COSE structure is written here: with one algorithm and a fixed shape it is four
CBOR items, while the COSE packages bring ones that are not kept up (`oscrypto`, `ecdsa`) into everybody's agent. The
tests compare with such a package.

Contract: decisions are pure: they take bytes and keys and return what was verified, or raise::

    SignatureError [3]
    ├── UnsignedError            there is no signature
    ├── MalformedSignatureError  not the one allowed shape; no last section; no manifest right before it
    ├── UntrustedKeyError        nobody trusts that key, or it is revoked
    └── BadSignatureError        the bytes are not those that were signed
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cbor2

from agent.errors import RefusedError
from agent.manifest import Manifest
from agent.module_file import (
    MANIFEST_SECTION,
    SIGNATURE_SECTION,
    Section,
    append_section,
    read_sections,
    strip_sections,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent.keys import PrivateKey, PublicKey

__all__ = [
    "MODULE_TYPE",
    "BadSignatureError",
    "Envelope",
    "MalformedSignatureError",
    "SignatureError",
    "SignedModule",
    "UnsignedError",
    "UntrustedKeyError",
    "has_probe",
    "protected_header",
    "read_signed",
    "sign_module",
    "verify_module",
]

MODULE_TYPE = "application/wasm"
COSE_SIGN1_TAG = 18
EDDSA = -8
HEADER_ALGORITHM, HEADER_CONTENT_TYPE, HEADER_KEY_ID = 1, 3, 4
SIGNATURE_SIZE = 64  # bytes
KEY_ID_SIZE = 32  # bytes


class SignatureError(RefusedError):
    """The signature is not what it should be."""


class UnsignedError(SignatureError):
    """There is no signature."""


class MalformedSignatureError(SignatureError):
    """The signature or its place is not in the one allowed shape."""


class UntrustedKeyError(SignatureError):
    """Signed by a key that is not trusted."""


class BadSignatureError(SignatureError):
    """The bytes are not those that were signed."""


@dataclass(frozen=True)
class Envelope:
    """A COSE_Sign1 of the one allowed shape, not verified."""

    protected: bytes
    key_id: bytes
    """32 bytes."""
    signature: bytes
    """64 bytes."""


@dataclass(frozen=True)
class SignedModule:
    """A module with its manifest and the key that signed it."""

    payload: bytes
    """What is signed: everything before the signature's section."""
    manifest: Manifest
    envelope: Envelope


def protected_header(key_id: bytes, content_type: str | None = None) -> bytes:
    """Encode a protected header: algorithm, content type, key id."""
    header: dict[int, object] = {HEADER_ALGORITHM: EDDSA, HEADER_KEY_ID: key_id}
    if content_type is not None:
        header[HEADER_CONTENT_TYPE] = content_type
    encoded: bytes = cbor2.dumps(header, canonical=True)
    return encoded


def _to_be_signed(protected: bytes, payload: bytes) -> bytes:
    """Sig_structure, RFC 9052 section 4.4, without external data."""
    structure: bytes = cbor2.dumps(["Signature1", protected, b"", payload])
    return structure


def _write_envelope(envelope: Envelope) -> bytes:
    data: bytes = cbor2.dumps(cbor2.CBORTag(COSE_SIGN1_TAG, [envelope.protected, {}, None, envelope.signature]))
    return data


def _read_envelope(data: bytes) -> Envelope:
    """Read the one allowed shape: whatever it does not write back byte by byte, it is not."""
    try:
        value = cbor2.loads(data)
        protected, _, _, signature = value.value
        header = cbor2.loads(protected)
        if header.get(HEADER_ALGORITHM) != EDDSA:
            raise MalformedSignatureError(
                f"signature: algorithm {header.get(HEADER_ALGORITHM)!r}: only EdDSA ({EDDSA}) is accepted"
            )
        envelope = Envelope(protected, header[HEADER_KEY_ID], signature)
        good = (
            _write_envelope(envelope) == data
            and len(envelope.key_id) == KEY_ID_SIZE
            and protected_header(envelope.key_id, MODULE_TYPE) == protected
            and len(signature) == SIGNATURE_SIZE
        )
    except (cbor2.CBORError, ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        raise MalformedSignatureError("signature: its section holds no COSE_Sign1") from error
    if not good:
        raise MalformedSignatureError("signature: a COSE_Sign1, but not of the one shape that is accepted")
    return envelope


def _parts(data: bytes) -> tuple[Section, Section]:
    """Find the manifest's and the signature's section at the module's end."""
    sections = read_sections(data)
    names = [section.name for section in sections]
    if SIGNATURE_SECTION not in names:
        raise UnsignedError("is not signed: it has no section wasel.signature")
    if names.count(SIGNATURE_SECTION) > 1 or names[-1] != SIGNATURE_SECTION:
        raise MalformedSignatureError("signature: there is something behind its section, which must be the last")
    if names.count(MANIFEST_SECTION) != 1 or names[-2] != MANIFEST_SECTION:
        raise MalformedSignatureError("signature: the section right before it must be the only wasel.manifest")
    return sections[-2], sections[-1]


def sign_module(module: bytes, manifest: Manifest, key: PrivateKey) -> bytes:
    """Give the module with manifest and signature; those that it had are replaced.

    Raises:
        ModuleFileError: it is no module, or a component.

    """
    plain = strip_sections(module, MANIFEST_SECTION, SIGNATURE_SECTION)
    payload = append_section(plain, MANIFEST_SECTION, manifest.to_cbor(len(plain)))
    protected = protected_header(key.public.id, MODULE_TYPE)
    envelope = Envelope(protected, key.public.id, key.sign(_to_be_signed(protected, payload)))
    return append_section(payload, SIGNATURE_SECTION, _write_envelope(envelope))


def read_signed(data: bytes) -> SignedModule:
    """Take a signed module apart; nothing is verified.

    Raises:
        ModuleFileError, ManifestError, UnsignedError, MalformedSignatureError.

    """
    manifest, signature = _parts(data)
    envelope = _read_envelope(data[signature.content : signature.end])
    checked = Manifest.from_cbor(data[manifest.content : manifest.end], manifest.start)
    return SignedModule(data[: signature.start], checked, envelope)


def has_probe(data: bytes) -> bool:
    """Tell whether a module says in a manifest how it shows its health: the device confirms it by itself then."""
    try:
        return read_signed(data).manifest.health is not None
    except RefusedError:
        return False  # whatever else is wrong with it, the device will say


def verify_module(data: bytes, keys: Iterable[PublicKey]) -> SignedModule:
    """Give the module if one of these keys signed it.

    The signature is checked before the manifest is read: nothing that it says counts until then.

    Raises:
        ModuleFileError, UnsignedError, MalformedSignatureError, UntrustedKeyError, BadSignatureError, ManifestError.

    """
    _, signature = _parts(data)
    envelope = _read_envelope(data[signature.content : signature.end])
    payload = data[: signature.start]
    key = next((key for key in keys if key.id == envelope.key_id), None)
    if key is None:
        raise UntrustedKeyError(f"signature: by key {envelope.key_id.hex()[:16]}, which is not the one to trust")
    if not key.verifies(envelope.signature, _to_be_signed(envelope.protected, payload)):
        raise BadSignatureError(f"signature: the bytes are not those that key {key.short_id} signed")
    return read_signed(data)
