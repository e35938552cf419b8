# SPDX-License-Identifier: Apache-2.0
"""The root document: which keys may sign modules, and which keys say so.

It is a COSE_Sign (RFC 9052 section 4.1) over a small CBOR map: a version that only grows, the root keys, how many of
them must sign (threshold), and the signing keys, each with the device classes it may sign for (none: all) and whether
it was revoked. A device image has one built in; a newer one replaces it if a threshold of the old root keys and a
threshold of its own root keys signed it. Roles and words are those of The Update Framework (TUF), section 5.3.

Contract: pure; bytes in, checked documents out, or RootError [3]. A document that was only read is not trusted:
`update_root` and `check_root` are the decisions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import cbor2

from agent.errors import RefusedError
from agent.keys import KEY_SIZE, PrivateKey, PublicKey
from agent.manifest import CLASS, LIMITS
from agent.signing import EDDSA, SIGNATURE_SIZE, protected_header

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ROOT_LIMITS", "ROOT_TYPE", "Root", "RootError", "RootFile", "SigningKey", "check_root", "update_root"]

ROOT_TYPE = "application/vnd.wasel.root+cbor"
COSE_SIGN_TAG = 98
HEADER_CONTENT_TYPE, HEADER_KEY_ID = 3, 4
ROOT_FORMAT = 1
ROOT_LIMITS = {
    "ROOT_KEYS": 8,
    "SIGNING_KEYS": 16,
    "KEY_CLASSES": 8,  # of one signing key
    "ROOT_BYTES": 4096,  # of the whole file
    "ROOT_VERSION": (1 << 32) - 1,
}
# What reading CBOR of other shapes raises.
MALFORMED = (cbor2.CBORError, ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)
BODY_PROTECTED: bytes = cbor2.dumps({HEADER_CONTENT_TYPE: ROOT_TYPE}, canonical=True)


class RootError(RefusedError):
    """The root document is malformed, or not signed by enough keys, or older."""


@dataclass(frozen=True)
class SigningKey:
    """A key that may sign modules."""

    key: PublicKey
    classes: tuple[str, ...] = ()
    """Device classes that it may sign for; none: all."""
    revoked: bool = False
    finish: bool = False
    """Of a revoked key: its modules that run when a device learns of it run to their end. Default: stopped at once."""

    def fields(self) -> dict[str, Any]:
        """Give its map in a document; `finish` only where it means something."""
        fields: dict[str, Any] = {"key": self.key.raw, "classes": list(self.classes), "revoked": self.revoked}
        return fields | ({"finish": True} if self.revoked and self.finish else {})


@dataclass(frozen=True)
class Root:
    """What a root document says."""

    version: int
    threshold: int
    """Root keys that must sign the next document (and this one)."""
    roots: tuple[PublicKey, ...]
    keys: tuple[SigningKey, ...]

    def __post_init__(self) -> None:
        """Check what can be checked without signatures."""
        if not 1 <= self.version <= ROOT_LIMITS["ROOT_VERSION"]:
            raise RootError(f"root: version {self.version} is not between 1 and {ROOT_LIMITS['ROOT_VERSION']}")
        ids = {key.id for key in self.roots}
        if len(ids) != len(self.roots) or len(ids) > ROOT_LIMITS["ROOT_KEYS"]:
            raise RootError(f"root: root keys must differ, and be at most {ROOT_LIMITS['ROOT_KEYS']}")
        if not 1 <= self.threshold <= len(ids):
            raise RootError(f"root: threshold {self.threshold} is not between 1 and the {len(ids)} root keys")
        ids = {item.key.id for item in self.keys}
        if len(ids) != len(self.keys) or len(ids) > ROOT_LIMITS["SIGNING_KEYS"]:
            raise RootError(f"root: signing keys must differ, and be at most {ROOT_LIMITS['SIGNING_KEYS']}")
        for item in self.keys:
            if len(item.classes) > ROOT_LIMITS["KEY_CLASSES"]:
                raise RootError(f"root: key {item.key.short_id} has more than {ROOT_LIMITS['KEY_CLASSES']} classes")
            for name in item.classes:
                if not CLASS.fullmatch(name) or len(name) > LIMITS["CLASS"]:
                    raise RootError(f"root: {name!r} is no device class: it must look like {CLASS.pattern}")

    def payload(self) -> bytes:
        """Encode it, deterministically."""
        data: bytes = cbor2.dumps(
            {
                "v": ROOT_FORMAT,
                "version": self.version,
                "threshold": self.threshold,
                "roots": [key.raw for key in self.roots],
                "keys": [item.fields() for item in self.keys],
            },
            canonical=True,
        )
        return data

    @classmethod
    def from_payload(cls, data: bytes) -> Root:
        """Decode. RootError."""
        try:
            value = cbor2.loads(data)
            if cbor2.dumps(value, canonical=True) != data or value.keys() != {
                "v", "version", "threshold", "roots", "keys"
            }:  # fmt: skip
                raise RootError("root: not deterministic CBOR, or with other keys than it should have")
            if value["v"] != ROOT_FORMAT:
                raise RootError(f"root: its format is not {ROOT_FORMAT}")
            root = cls(
                value["version"],
                value["threshold"],
                tuple(_key(raw) for raw in value["roots"]),
                tuple(
                    SigningKey(
                        _key(item["key"]), tuple(item["classes"]), bool(item["revoked"]), bool(item.get("finish"))
                    )
                    for item in value["keys"]
                ),
            )
        except MALFORMED as error:
            raise RootError("root: malformed") from error
        if root.payload() != data:
            raise RootError("root: has more or other fields than it should have")
        return root

    def signing_keys(self) -> tuple[PublicKey, ...]:
        """Give the keys whose modules are accepted."""
        return tuple(item.key for item in self.keys if not item.revoked)


def _key(raw: Any) -> PublicKey:
    if not isinstance(raw, bytes) or len(raw) != KEY_SIZE:
        raise RootError(f"root: a key must be {KEY_SIZE} bytes")
    return PublicKey(raw)


def _to_be_signed(sign_protected: bytes, payload: bytes) -> bytes:
    """Sig_structure of one signer, RFC 9052 section 4.4, without external data."""
    structure: bytes = cbor2.dumps(["Signature", BODY_PROTECTED, sign_protected, b"", payload])
    return structure


@dataclass(frozen=True)
class RootFile:
    """A root document with its signatures, not verified."""

    root: Root
    signatures: tuple[tuple[bytes, bytes], ...] = ()
    """Key id and signature of each signer, by key id."""

    def signed_by(self, key: PrivateKey) -> RootFile:
        """Add (or renew) a signature."""
        protected = protected_header(key.public.id)
        signature = key.sign(_to_be_signed(protected, self.root.payload()))
        others = {signer: value for signer, value in self.signatures if signer != key.public.id}
        return replace(self, signatures=tuple(sorted((others | {key.public.id: signature}).items())))

    def changed(self, root: Root) -> RootFile:
        """Give the next document, unsigned: its version is one more."""
        return RootFile(replace(root, version=self.root.version + 1))

    def to_bytes(self) -> bytes:
        """Encode as COSE_Sign."""
        signers = [[protected_header(signer), {}, signature] for signer, signature in self.signatures]
        data: bytes = cbor2.dumps(cbor2.CBORTag(COSE_SIGN_TAG, [BODY_PROTECTED, {}, self.root.payload(), signers]))
        if len(data) > ROOT_LIMITS["ROOT_BYTES"]:
            raise RootError(f"root: {len(data)} bytes, at most {ROOT_LIMITS['ROOT_BYTES']} are possible")
        return data

    @classmethod
    def from_bytes(cls, data: bytes) -> RootFile:
        """Decode. RootError."""
        try:
            _, _, payload, signers = cbor2.loads(data).value
            signatures = []
            for protected, _, signature in signers:
                header = cbor2.loads(protected)
                if header.get(1) != EDDSA:
                    raise RootError(f"root: algorithm {header.get(1)!r}: only EdDSA ({EDDSA}) is accepted")
                if len(signature) != SIGNATURE_SIZE:
                    raise RootError(f"root: a signature has {SIGNATURE_SIZE} bytes")
                signatures.append((header[HEADER_KEY_ID], signature))
            file = cls(Root.from_payload(payload), tuple(signatures))
            again = file.to_bytes()
        except MALFORMED as error:
            raise RootError("root: no COSE_Sign") from error
        if again != data or len({signer for signer, _ in signatures}) != len(signatures):
            raise RootError("root: a COSE_Sign, but not of the one shape that is accepted")
        return file

    def signers(self, roots: Sequence[PublicKey]) -> tuple[PublicKey, ...]:
        """Give those of `roots` that really signed it."""
        payload = self.root.payload()
        signatures = dict(self.signatures)
        return tuple(
            key
            for key in roots
            if key.id in signatures
            and key.verifies(signatures[key.id], _to_be_signed(protected_header(key.id), payload))
        )


def check_root(file: RootFile) -> Root:
    """Give the document if a threshold of its own root keys signed it: fit to be built into an image. RootError."""
    count, needed = len(file.signers(file.root.roots)), file.root.threshold
    if count < needed:
        raise RootError(f"root: signed by {count} of its root keys, {needed} are needed: `wasel root sign`")
    return file.root


def update_root(trusted: Root, file: RootFile) -> Root:
    """Give the new document if it may replace the trusted one. RootError."""
    count, needed = len(file.signers(trusted.roots)), trusted.threshold
    if count < needed:
        raise RootError(f"root: signed by {count} of the trusted root keys, {needed} are needed")
    root = check_root(file)
    if root.version <= trusted.version:
        raise RootError(f"root: version {root.version} is not newer than the trusted one, {trusted.version}")
    return root
