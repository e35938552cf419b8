# SPDX-License-Identifier: Apache-2.0
"""Attacked updates: each is a file that must be refused, and by which reason (several where the byte decides)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cbor2

from agent.module_file import MANIFEST_SECTION, SIGNATURE_SECTION, append_section, read_sections, strip_sections
from agent.signing import EDDSA, MODULE_TYPE, protected_header
from tests.signing.conftest import MODULE, manifest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.keys import PrivateKey
    from tests.signing.conftest import World

__all__ = ["CONFIRMED", "Attack", "attacks", "sealed"]

CONFIRMED = 7
"""The sequence number that the slot confirmed before the attacks."""

SECTION_REASONS = ("MALFORMED_MODULE", "NO_MANIFEST", "UNSIGNED", "TRAILING")
SIGNATURE_REASONS = ("ALGORITHM", "SIGNATURE_SHAPE", "UNKNOWN_KEY", "BAD_SIGNATURE")


@dataclass(frozen=True)
class Attack:
    """A file, what was done to it, and the reasons for which it may be refused."""

    name: str
    file: bytes
    reasons: tuple[str, ...]


def envelope(key: PrivateKey, payload: bytes, protected: bytes | None = None, /, **changes: object) -> bytes:
    """A signature's section content; `changes` replace the parts of its COSE_Sign1."""
    protected = protected_header(key.public.id, MODULE_TYPE) if protected is None else protected
    signature = key.sign(cbor2.dumps(["Signature1", protected, b"", payload]))
    parts = {"protected": protected, "unprotected": {}, "payload": None, "signature": signature} | changes
    tag = parts.pop("tag", 18)
    data: bytes = cbor2.dumps(cbor2.CBORTag(tag, list(parts.values())))  # type: ignore[call-overload]
    return data


def sealed(key: PrivateKey, content: bytes, module: bytes = MODULE) -> bytes:
    """A module with this very content of the manifest's section, rightly signed: a signer's mistake."""
    payload = append_section(module, MANIFEST_SECTION, content)
    return append_section(payload, SIGNATURE_SECTION, envelope(key, payload))


def _flips(name: str, file: bytes, start: int, end: int, reasons: tuple[str, ...]) -> Iterator[Attack]:
    """Flip one bit of each byte, another bit in each."""
    for at in range(start, end):
        changed = bytearray(file)
        changed[at] ^= 1 << (at % 8)
        yield Attack(f"{name}: byte {at} flipped", bytes(changed), reasons)
        changed[at] ^= 1 << (at % 8) ^ 0xFF
        yield Attack(f"{name}: byte {at} inverted", bytes(changed), reasons)


def _bytes(world: World, good: bytes) -> Iterator[Attack]:
    sections = {section.name: section for section in read_sections(good)}
    notes, manifest_, signature = sections["notes"], sections[MANIFEST_SECTION], sections[SIGNATURE_SECTION]
    yield from _flips("module", good, 8, notes.content, (*SECTION_REASONS, "BAD_SIGNATURE"))
    yield from _flips("payload", good, notes.content, notes.end, ("BAD_SIGNATURE",))
    yield from _flips("manifest's head", good, manifest_.start, manifest_.content, (*SECTION_REASONS, "BAD_SIGNATURE"))
    yield from _flips("manifest", good, manifest_.content, manifest_.end, ("BAD_SIGNATURE",))
    head = (*SECTION_REASONS, "SIGNATURE_SHAPE", "BAD_SIGNATURE", "ALGORITHM")
    yield from _flips("signature's head", good, signature.start, signature.content, head)
    yield from _flips("signature", good, signature.content, signature.end - 64, SIGNATURE_REASONS)
    yield from _flips("signature's value", good, signature.end - 64, signature.end, ("BAD_SIGNATURE",))
    for end in range(len(good)):
        yield Attack(f"truncated to {end} bytes", good[:end], ("MALFORMED_MODULE", "UNSIGNED"))
    for more in (b"\0", b"\0\1\0", append_section(b"", "x", b"y"), good[signature.start :], good):
        yield Attack(f"trailing {more[:12].hex()}", good + more, ("TRAILING",))
    other = world.sign(append_section(b"\0asm\1\0\0\0", "notes", bytes(64)), sequence=8)
    yield Attack("payload swapped", other[: notes.end] + good[notes.end :], ("BAD_SIGNATURE",))
    parts = {section.name: section for section in read_sections(other)}
    yield Attack(
        "manifest swapped",
        good[: manifest_.start]
        + other[parts[MANIFEST_SECTION].start : parts[MANIFEST_SECTION].end]
        + good[signature.start :],
        ("BAD_SIGNATURE",),
    )
    yield Attack(
        "signature swapped", good[: signature.start] + other[parts[SIGNATURE_SECTION].start :], ("BAD_SIGNATURE",)
    )


def _signers(world: World) -> Iterator[Attack]:
    good = world.sign(sequence=8)
    yield Attack("unsigned", MODULE, ("UNSIGNED",))
    yield Attack("signature taken off", strip_sections(good, SIGNATURE_SECTION), ("UNSIGNED",))
    yield Attack("manifest taken off", strip_sections(good, MANIFEST_SECTION), ("NO_MANIFEST",))
    yield Attack(
        "manifest and signature taken off", strip_sections(good, MANIFEST_SECTION, SIGNATURE_SECTION), ("UNSIGNED",)
    )
    yield Attack("no module", b"#!/bin/sh\n", ("MALFORMED_MODULE",))
    yield Attack("a component", b"\0asm\x0d\0\1\0" + good[8:], ("MALFORMED_MODULE",))
    yield Attack("wrong key", world.sign(key=world.stranger, sequence=8), ("UNKNOWN_KEY",))
    yield Attack("root key", world.sign(key=world.roots[0], sequence=8), ("UNKNOWN_KEY",))
    yield Attack("revoked key", world.sign(key=world.revoked, sequence=8), ("REVOKED_KEY",))
    yield Attack("key of another class", world.sign(key=world.elsewhere, sequence=8), ("KEY_CLASS",))
    payload = strip_sections(good, SIGNATURE_SECTION)
    forged = protected_header(world.key.public.id, MODULE_TYPE)
    yield Attack(
        "another key under a trusted id",
        append_section(payload, SIGNATURE_SECTION, envelope(world.stranger, payload, forged)),
        ("BAD_SIGNATURE",),
    )
    twice = append_section(
        strip_sections(good, SIGNATURE_SECTION), MANIFEST_SECTION, manifest(sequence=99).to_cbor(len(MODULE))
    )
    yield Attack(
        "two manifests", append_section(twice, SIGNATURE_SECTION, envelope(world.key, twice)), ("NO_MANIFEST",)
    )
    apart = append_section(payload, "x", b"")
    yield Attack(
        "section between", append_section(apart, SIGNATURE_SECTION, envelope(world.key, apart)), ("NO_MANIFEST",)
    )
    inner = append_section(good, "x", b"")
    yield Attack(
        "signature within, another at the end",
        append_section(inner, SIGNATURE_SECTION, envelope(world.key, inner)),
        ("TRAILING",),
    )


def _envelopes(world: World) -> Iterator[Attack]:
    """COSE_Sign1 of other shapes, each rightly signed over its own protected header."""
    payload = strip_sections(world.sign(sequence=8), SIGNATURE_SECTION)
    key_id = world.key.public.id

    def attack(name: str, reason: str, protected: bytes | None = None, **changes: object) -> Attack:
        content = envelope(world.key, payload, protected, **changes)
        return Attack(name, append_section(payload, SIGNATURE_SECTION, content), (reason,))

    def header(**fields: object) -> bytes:
        values = {1: EDDSA, 3: MODULE_TYPE, 4: key_id} | {int(k[1:]): v for k, v in fields.items()}
        encoded: bytes = cbor2.dumps({k: v for k, v in values.items() if v is not None}, canonical=True)
        return encoded

    yield attack("algorithm none: header without one", "ALGORITHM", header(_1=None))
    yield attack("algorithm none: empty header", "ALGORITHM", b"")
    yield attack("algorithm none: empty map", "ALGORITHM", b"\xa0")
    yield attack("algorithm none: text", "ALGORITHM", header(_1="none"))
    yield attack("algorithm 0, reserved", "ALGORITHM", header(_1=0))
    yield attack("algorithm none: empty signature", "ALGORITHM", header(_1=0), signature=b"")
    for algorithm in (-7, -35, -36, 1, 5, -257, -9):
        yield attack(f"algorithm {algorithm}", "ALGORITHM", header(_1=algorithm))
    yield attack("empty signature", "SIGNATURE_SHAPE", signature=b"")
    yield attack("short signature", "SIGNATURE_SHAPE", signature=bytes(63))
    yield attack("long signature", "SIGNATURE_SHAPE", signature=bytes(65))
    yield attack("signature of zeros", "BAD_SIGNATURE", signature=bytes(64))
    identity = (1).to_bytes(32, "little")
    yield attack("signature with the identity", "BAD_SIGNATURE", signature=identity + bytes(32))
    yield attack("attached payload", "SIGNATURE_SHAPE", payload=payload)
    yield attack("empty payload", "SIGNATURE_SHAPE", payload=b"")
    yield attack("key id outside the protection", "SIGNATURE_SHAPE", header(_4=None), unprotected={4: key_id})
    yield attack("algorithm outside, too", "SIGNATURE_SHAPE", unprotected={1: EDDSA})
    yield attack("other content type", "SIGNATURE_SHAPE", header(_3="application/vnd.wasel.root+cbor"))
    yield attack("no content type", "SIGNATURE_SHAPE", header(_3=None))
    yield attack("critical header", "SIGNATURE_SHAPE", header(_2=[4]))
    yield attack("short key id", "SIGNATURE_SHAPE", header(_4=key_id[:8]))
    yield attack("COSE_Mac0's tag", "SIGNATURE_SHAPE", tag=17)
    yield attack("COSE_Sign's tag", "SIGNATURE_SHAPE", tag=98)
    for name, content in (("empty", b""), ("zeros", bytes(128)), ("text", b"signed"), ("endless array", b"\x9f" * 128)):
        yield Attack(
            f"signature section: {name}", append_section(payload, SIGNATURE_SECTION, content), ("SIGNATURE_SHAPE",)
        )
    good = envelope(world.key, payload)
    yield Attack(
        "signature behind junk", append_section(payload, SIGNATURE_SECTION, b"\0" + good), ("SIGNATURE_SHAPE",)
    )
    yield Attack(
        "junk behind signature", append_section(payload, SIGNATURE_SECTION, good + b"\0"), ("SIGNATURE_SHAPE",)
    )
    group_order = (1 << 252) + 27742317777372353535851937790883648493
    value = good[-64:]
    malleable = value[:32] + (int.from_bytes(value[32:], "little") + group_order).to_bytes(32, "little")
    yield attack("S plus the group's order", "BAD_SIGNATURE", signature=malleable)


def _manifests(world: World) -> Iterator[Attack]:
    """Manifests that a trusted key signed, but which must not count."""
    size = len(MODULE)

    def attack(name: str, reason: str, content: bytes) -> Attack:
        return Attack(name, sealed(world.key, content), (reason,))

    def changed(**fields: object) -> bytes:
        table = cbor2.loads(manifest(sequence=8).to_cbor(size)) | fields
        encoded: bytes = cbor2.dumps({k: v for k, v in table.items() if v is not None}, canonical=True)
        return encoded

    good = changed()
    items = [(key, cbor2.dumps(key) + cbor2.dumps(value)) for key, value in cbor2.loads(good).items()]
    for place, (key, item) in enumerate(items):
        body = b"".join(item for _, item in items)
        yield attack(f"duplicate key {key}", "MANIFEST_DUPLICATE", bytes([0xA1 + len(items)]) + body + item)
        lower = {"v": 2, "size": size, "name": "x", "sequence": 1, "version": "0.0.1", "device_class": "qemu-virt"}[key]
        other = cbor2.dumps(key) + cbor2.dumps(lower)
        after = (
            b"".join(item for _, item in items[: place + 1]) + other + b"".join(item for _, item in items[place + 1 :])
        )
        yield attack(f"duplicate key {key}, another value", "MANIFEST_DUPLICATE", bytes([0xA1 + len(items)]) + after)
    yield attack("keys out of order", "MANIFEST_ORDER", good[:1] + b"".join(item for _, item in reversed(items)))
    yield attack("indefinite map", "MANIFEST_SHAPE", b"\xbf" + good[1:] + b"\xff")
    yield attack("number written long", "MANIFEST_SHAPE", good.replace(b"\x61v\x01", b"\x61v\x18\x01"))
    yield attack("unknown key", "MANIFEST_KEY", changed(admin=True))
    for key in ("v", "size", "name", "version", "sequence"):
        yield attack(f"without {key}", "MANIFEST_MISSING", changed(**{key: None}))
    yield attack("format 2", "MANIFEST_VERSION", changed(v=2))
    for lie in (0, 1, size - 1, size + 1, 1 << 31, (1 << 32) + size, (1 << 64) - 1):
        yield attack(f"size {lie} of {size}", "SIZE", changed(size=lie))
    yield attack("size as text", "MANIFEST_SHAPE", changed(size="1"))
    for name, fields in {
        "sequence 0": {"sequence": 0},
        "sequence 2^63": {"sequence": 1 << 63},
        "empty name": {"name": ""},
        "long name": {"name": "n" * 65},
        "escape in name": {"name": "a\x1b[2J"},
        "long version": {"version": "1" * 33},
        "arena 1": {"arena": 1},
        "stack 2^40": {"stack": 1 << 40},
        "fuel 0": {"fuel": 0},
        "budget over period": {"budget_us": 11, "period_us": 10},
        "budget alone": {"budget_us": 10},
        "period alone": {"period_us": 10},
        "permission below itself": {"downgrade_from": 3},
        "NUL in env": {"env": ["A=b\0c"]},
        "env without name": {"env": ["=b"]},
        "too many strings": {"env": [f"V{i}=" for i in range(65)]},
        "health of two kinds": {"health": {"exit": 0, "alive_s": 1}},
        "health of no kind": {"health": {}},
        "exit 256": {"health": {"exit": 256}},
    }.items():
        yield attack(name, "MANIFEST_VALUE", changed(**fields))
    yield attack("unknown key of health", "MANIFEST_KEY", changed(health={"exit": 0, "x": 1}))
    yield attack("duplicate key of health", "MANIFEST_DUPLICATE", changed(health=0).replace(
        b"\x66health\x00", b"\x66health\xa2\x64exit\x00\x64exit\x00"))  # fmt: skip
    for word in ("root=yes", "dir", "clocks=on", "files=", "files=1x", "bytes=99999999999", "", "connect=tcp:a:1"):
        yield attack(f"policy word {word!r}", "POLICY" if word else "MANIFEST_VALUE", changed(policy=[word]))
    yield attack("policy as a map", "MANIFEST_SHAPE", changed(policy={}))
    for cut in range(1, len(good)):
        yield attack(f"manifest cut to {cut} bytes", "MANIFEST_SHAPE", good[:cut])
    yield attack("empty manifest", "MANIFEST_SHAPE", b"")
    yield attack("manifest with a tail", "MANIFEST_SHAPE", good + b"\0")
    yield attack("huge manifest", "MANIFEST_VALUE", bytes(8193))
    yield attack("deep nesting", "MANIFEST_SHAPE", b"\x81" * 8000)


def _rules(world: World) -> Iterator[Attack]:
    """Well-made updates that this slot of this device must not take."""
    yield Attack("other device", world.sign(device_class="edge-box", sequence=8), ("DEVICE_CLASS",))
    yield Attack(
        "other class with ours as prefix", world.sign(device_class="qemu-virt-2", sequence=8), ("DEVICE_CLASS",)
    )
    yield Attack("other slot class", world.sign(slot_class="realtime", sequence=8), ("SLOT_CLASS",))
    for sequence in range(1, CONFIRMED):
        yield Attack(f"older: {sequence}", world.sign(sequence=sequence), ("OLDER",))
    yield Attack("permission that does not reach", world.sign(sequence=3, downgrade_from=6), ("OLDER",))
    yield Attack("replayed sequence, other module", world.sign(MODULE + b"\0\1\0", sequence=CONFIRMED), ("REPLAYED",))
    yield Attack("more memory than there is", world.sign(sequence=8, arena=(8 << 20) + 1), ("ARENA",))
    yield Attack("more stack than there is", world.sign(sequence=8, stack=9 << 20), ("ARENA",))


def attacks(world: World) -> Iterator[Attack]:
    """All of them."""
    yield from _bytes(world, world.sign(sequence=8, policy=manifest().policy, env=("MODE=1",)))
    yield from _signers(world)
    yield from _envelopes(world)
    yield from _manifests(world)
    yield from _rules(world)
