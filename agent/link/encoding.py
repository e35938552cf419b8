# SPDX-License-Identifier: Apache-2.0
"""What an upload may carry instead of a module, pure: the module compressed, or what changed since another one.

Both are a raw DEFLATE stream (RFC 1951): of the module (`deflate`), or of steps that make it from a base the device
has (`delta`): number n, n bytes to write, number m, [m > 0: number z], m bytes to copy from the base. Numbers are
LEB128 of 32 bits; a copy begins z, zigzag, from where the last one ended (docs/PROTOCOL.md). The device checks
digest and signature of what comes out, so nothing here needs to be trusted.

`smallest` is what a sender asks for.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from agent.binary import decode_unsigned, encode_unsigned

__all__ = [
    "DEFLATE",
    "DELTA",
    "ENCODINGS",
    "PLAIN",
    "Encoded",
    "EncodingError",
    "decode",
    "deflate",
    "delta",
    "smallest",
]

PLAIN, DEFLATE, DELTA = "plain", "deflate", "delta"
ENCODINGS = {DEFLATE: 1, DELTA: 2}
"""What the first chunk of an upload says in `enc`."""
SEED = 16
"""Bytes that must agree before a copy is looked into."""
STRIDE = 8
"""Bytes of the base between two places that are looked for."""
LEAST_COPY = 12


class EncodingError(ValueError):
    """Not an encoding of a module of that size."""


@dataclass(frozen=True)
class Encoded:
    """One way to send a module."""

    kind: str
    """PLAIN, DEFLATE or DELTA."""
    data: bytes
    base: bytes | None = None
    """Digest of the module that a delta begins with."""


def deflate(module: bytes) -> bytes:
    """Compress a module."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(module) + packer.flush()


def _copies(base: bytes, module: bytes) -> list[tuple[int, int, int]]:
    """Find parts of the module in the base: (offset in the module, in the base, bytes), in the module's order."""
    places: dict[bytes, int] = {}
    for at in range(0, len(base) - SEED + 1, STRIDE):
        places.setdefault(base[at : at + SEED], at)
    found: list[tuple[int, int, int]] = []
    done = at = 0
    expected = 0  # where in the base the last copy ended: what follows it comes first
    while at + SEED <= len(module):
        seed = module[at : at + SEED]
        place = at + expected - done if base[at + expected - done : at + expected - done + SEED] == seed else None
        if place is None:
            place = places.get(seed)
        if place is None or place < 0:
            at += 1
            continue
        start, origin = at, place
        while start > done and origin > 0 and module[start - 1] == base[origin - 1]:
            start -= 1
            origin -= 1
        size = at - start + _common(base, place, module, at)
        if size >= LEAST_COPY:
            found.append((start, origin, size))
        at = done = start + size
        expected = origin + size
    return found


def _common(base: bytes, origin: int, module: bytes, at: int) -> int:
    """Count the bytes that agree from there on."""
    limit = min(len(base) - origin, len(module) - at)
    size = 0
    step = 4096
    while step:
        while (
            size + step <= limit and base[origin + size : origin + size + step] == module[at + size : at + size + step]
        ):
            size += step
        step //= 4
    return size


def delta(base: bytes, module: bytes) -> bytes:
    """Tell what makes the module out of the base."""
    steps = bytearray()
    done = from_base = 0
    for at, origin, size in [*_copies(base, module), (len(module), 0, 0)]:
        steps += encode_unsigned(at - done) + module[done:at] + encode_unsigned(size)
        if size:
            move = origin - from_base
            steps += encode_unsigned(2 * move if move >= 0 else -2 * move - 1)
            from_base = origin + size
        done = at + size
    return deflate(bytes(steps))


def decode(kind: str, data: bytes, size: int, base: bytes = b"") -> bytes:
    """Undo either, as the device does.

    Raises:
        EncodingError: it is something else, or not of that size.

    """
    try:
        unpacker = zlib.decompressobj(-15)
        steps = unpacker.decompress(data) + unpacker.flush()
    except zlib.error as error:
        raise EncodingError(str(error)) from error
    if not unpacker.eof or unpacker.unused_data:
        raise EncodingError("not one whole stream")
    out = steps if kind == DEFLATE else _apply(steps, base)
    if len(out) != size:
        raise EncodingError(f"{len(out)} bytes came out, {size} were said")
    return out


def _apply(steps: bytes, base: bytes) -> bytes:
    out = bytearray()
    at = from_base = 0

    def number() -> int:
        nonlocal at
        try:
            value, at = decode_unsigned(steps, at)
        except ValueError as error:
            raise EncodingError(f"steps of a delta: {error}") from error
        return value

    while at < len(steps):
        count = number()
        if count > len(steps) - at:
            raise EncodingError("bytes to write are cut off")
        out += steps[at : at + count]
        at += count
        if at == len(steps):
            break
        size = number()
        if size:
            move = number()
            from_base += -(move + 1) // 2 if move & 1 else move // 2
            if from_base < 0 or from_base + size > len(base):
                raise EncodingError("a copy leaves the base")
            out += base[from_base : from_base + size]
            from_base += size
    return bytes(out)


def smallest(module: bytes, bases: dict[bytes, bytes]) -> list[Encoded]:
    """Give the ways to send a module that are worth it, the smallest first, as it is last; `bases` by their digests."""
    ways = [Encoded(PLAIN, module), Encoded(DEFLATE, deflate(module))]
    ways += [Encoded(DELTA, delta(base, module), digest) for digest, base in bases.items() if base != module]
    ways = [way for way in ways if way.kind == PLAIN or len(way.data) < len(module)]
    return sorted(ways, key=lambda way: len(way.data))
