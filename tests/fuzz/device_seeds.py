# SPDX-License-Identifier: Apache-2.0
"""Where the fuzzers of the device's readers begin: good messages, frames and files, as link.c and file.c take them."""

from __future__ import annotations

import hashlib
import random
import struct
from typing import TYPE_CHECKING

import cbor2

from agent.keys import generate_key
from agent.link.cells import Way, cells_of, wire_of
from agent.link.cobs import frame as cobs
from agent.link.encoding import deflate, delta
from agent.link.frames import encode_frames
from agent.manifest import Manifest
from agent.module_file import append_section, read_sections
from agent.root import Root, RootFile, SigningKey
from agent.signing import sign_module
from tests.supervisor.device import READ, WRITE, message

if TYPE_CHECKING:
    from collections.abc import Iterator

WIRE, MESSAGE, COBS, CELL, CONTROL, LOG, MAIL, FAULT, TIME, RESET = range(10)  # kinds of link.c's records
MODULE, MANIFEST, SIGNATURE, ROOT, ROOT_FILE, DEFLATE, DELTA = range(7)  # what file.c takes its bytes for
BODY = b"\0asm\1\0\0\0"
DIGEST = bytes(range(32))


def record(kind: int, data: bytes) -> bytes:
    """One record of link.c's input."""
    return struct.pack("<BH", kind, len(data)) + data


def _requests() -> list[bytes]:
    upload = {"image": 0, "len": 64, "off": 0, "sha": DIGEST, "data": BODY + bytes(24)}
    start = {"slot": 0, "args": ["a"], "env": ["K=V"], "fuel": 5, "grants": ["data"], "budget": 20, "timeout_ms": 9}
    return [
        message(WRITE, 0, 0, {"d": "hello"}),
        message(READ, 0, 6, {}),
        message(WRITE, 0, 5, {}),
        message(READ, 1, 0, {}),
        message(WRITE, 1, 0, {"hash": DIGEST, "confirm": True}),
        message(WRITE, 1, 1, upload),
        message(WRITE, 1, 1, {**upload, "enc": 1}),
        message(WRITE, 1, 1, {**upload, "enc": 2, "base": DIGEST}),
        message(WRITE, 1, 1, {"off": 32, "data": bytes(32)}),
        message(WRITE, 1, 5, {"slot": 0}),
        message(READ, 64, 0, {}),
        message(WRITE, 64, 1, start),
        message(WRITE, 64, 2, {"slot": 0}),
        message(READ, 64, 3, {"cursor": 0, "slot": 0}),
        message(READ, 64, 4, {}),
        message(WRITE, 64, 5, {"seed": DIGEST}),
        message(WRITE, 64, 6, {"root": bytes(64)}),
        message(READ, 64, 7, {"cursor": 0}),
        message(WRITE, 64, 8, {"slot": 0}),
        message(WRITE, 64, 9, {"slot": 0, "up": 0, "down": 0, "data": [b"\1\2"]}),
    ]


def _sessions() -> Iterator[bytes]:
    """A module comes in one of the three ways, is started, reports, and ends in a reset."""
    old, new = (append_section(BODY, "notes", text * 30) for text in (b"old", b"new"))
    for data, more in (
        (new, {}),
        (deflate(new), {"enc": 1, "size": len(new)}),
        (delta(old, new), {"enc": 2, "size": len(new), "base": hashlib.sha256(old).digest()}),
    ):
        steps = [
            {"image": 0, "len": len(old), "off": 0, "sha": hashlib.sha256(old).digest(), "data": old},
            {"image": 0, "len": len(data), "off": 0, "sha": hashlib.sha256(new).digest(), "data": data[:40], **more},
            {"off": 40, "data": data[40:]},
        ]
        session = b"".join(record(MESSAGE, message(WRITE, 1, 1, step)) for step in steps)
        session += record(
            MESSAGE, message(WRITE, 64, 1, {"slot": 0, "args": ["a", "b"], "env": ["K=V"], "grants": ["clocks=off"]})
        )
        session += record(CONTROL, bytes(64)) + record(LOG, bytes(80)) + record(MAIL, bytes(80))
        session += record(MESSAGE, message(READ, 64, 3, {"slot": 0, "cursor": 0}))
        session += record(FAULT, bytes([0, 6, 0, 0, 0]) + bytes(40)) + record(
            TIME, b"\0" + (10**10).to_bytes(6, "little")
        )
        yield session + record(RESET, b"\0")
    yield record(MESSAGE, message(WRITE, 0, 4, {"datetime": "2026-11-28T06:00:00"}))


def link_seeds() -> Iterator[bytes]:
    """Inputs of link.c."""
    yield from _sessions()
    requests = _requests()
    for request in requests:
        yield record(MESSAGE, request)
        yield record(COBS, request)
        yield record(WIRE, cobs(request))
        yield record(WIRE, encode_frames(request))
    yield b"".join(record(MESSAGE, request) for request in requests)
    chance = random.Random(1)
    for number, (request, way) in enumerate((r, w) for r in requests[::4] for w in (Way(9, 3), Way(24, 1), Way(56, 7))):
        needed, cells = cells_of(request, way, number=number % 16, report=0)
        yield b"".join(record(CELL, cell[:-2]) for cell in cells)
        yield b"".join(record(CELL, cell[:-2]) for cell in chance.sample(cells, needed))
        yield record(WIRE, wire_of(cells))


def file_seeds() -> Iterator[bytes]:
    """Inputs of file.c."""
    keys = [generate_key() for _ in range(3)]
    root = Root(
        version=3,
        threshold=2,
        roots=tuple(key.public for key in keys),
        keys=(SigningKey(keys[0].public, ("qemu-virt",)), SigningKey(keys[1].public, revoked=True)),
    )
    plain = append_section(BODY, "notes", bytes(range(64)))
    policy = 'policy = {publish = ["a/#"], dirs = ["/data"], random = false, limits = {files = 9}}\n'
    health = 'health = {line = "ready", timeout_s = 9}\n'
    more = 'device_class = "qemu-virt"\nslot_class = "general"\nfuel = 1000\nenv = {K = "V"}\n' + policy + health
    for lines in ("", more):
        manifest = Manifest.from_toml('name = "probe"\nversion = "1.2.3"\nsequence = 7\n' + lines)
        signed = sign_module(plain, manifest, keys[0])
        yield bytes([MODULE, 0, 0, 0]) + signed
        for section in read_sections(signed):
            content = signed[section.content : section.end]
            if section.name == "wasel.manifest":
                yield bytes([MANIFEST, 0, 0, 0]) + content
            if section.name == "wasel.signature":
                yield bytes([SIGNATURE, 0, 0, 0]) + content
    yield bytes([MODULE, 0, 0, 0]) + plain
    yield bytes([ROOT, 0, 0, 0]) + root.payload()
    yield bytes([ROOT_FILE, 0, 0, 0]) + RootFile(root).signed_by(keys[0]).signed_by(keys[1]).to_bytes()
    yield bytes([ROOT_FILE, 0, 0, 0]) + cbor2.dumps(cbor2.CBORTag(98, [b"", {}, root.payload(), []]))
    size = struct.pack("<H", len(plain))
    yield bytes([DEFLATE]) + size + b"\0" + deflate(plain)
    yield bytes([DELTA]) + size + bytes([len(BODY)]) + BODY + delta(BODY, plain)
    base = bytes(range(200))
    changed = base[:90] + b"changed" + base[80:]
    yield bytes([DELTA]) + struct.pack("<H", len(changed)) + bytes([200]) + base + delta(base, changed)
