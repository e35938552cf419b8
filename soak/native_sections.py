# SPDX-License-Identifier: Apache-2.0
"""Modules whose native code is corrupt or hostile, for a device that must contain each of them.

Contract: the same generator and random numbers give the same modules. Every kind of KINDS gets its turn; what is
hand-made attacks with machine code of its own (hostile_native.c), the others spoil what our compiler made.
Each is signed with the development key, as somebody would who signs what he has not read.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from agent.binary import encode_unsigned
from agent.keys import load_private_key
from agent.manifest import Manifest
from agent.signing import sign_module
from edge_engine.aot.compiler import Compiled, compile_module, link_code
from edge_engine.aot.section import NAME_PREFIX, NativeCode, add_section
from sel4_bridge.build import BRIDGE, DEVELOPMENT_KEY, GENERATED

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator

__all__ = ["ATTACKS", "KINDS", "HostileModule", "hostile_modules"]

TARGET = "aarch64"
SOURCE = Path(__file__).with_name("hostile_native.c")
ATTACKS = tuple(
    re.findall(r"X\((\w+)\)", SOURCE.read_text(encoding="utf-8").split("#define ATTACKS")[1].split("extern")[0])
)
HEADER_SIZE = 64
INTERESTING = (0, 1, 2, 4, 8, 63, 64, 65, 72, 127, 128, 4095, 4096, 1 << 21, (1 << 31) - 1, 1 << 31, (1 << 32) - 1)
ENTRY_SIZE = 8


@dataclass(frozen=True)
class HostileModule:
    """A module and what is wrong with it."""

    kind: str
    data: bytes
    attack: str = ""


def _pack_some(section: bytearray, at: int, source: random.Random) -> None:
    struct.pack_into("<I", section, at, source.choice((source.choice(INTERESTING), source.randrange(1 << 32))))


def _flip_bits(section: bytearray, begin: int, source: random.Random) -> None:
    for _ in range(1 << source.randrange(8)):
        section[begin + source.randrange(len(section) - begin)] ^= 1 << source.randrange(8)


def _code_bits(section: bytearray, source: random.Random) -> None:
    _flip_bits(section, struct.unpack_from("<I", section, 24)[0], source)


def _any_bits(section: bytearray, source: random.Random) -> None:
    _flip_bits(section, 0, source)


def _header(section: bytearray, source: random.Random) -> None:
    for _ in range(source.randrange(1, 4)):
        _pack_some(section, 4 * source.randrange(8), source)


def _entries(section: bytearray, source: random.Random) -> None:
    """Offsets inside the code that are no function's begin, or outside of it."""
    count, begin, _, size = struct.unpack_from("<4I", section, 16)
    for _ in range(source.randrange(1, 2 * count + 1)):
        at = begin + 4 * source.randrange(2 * count)
        struct.pack_into("<I", section, at, 4 * source.randrange(size // 4))
        if source.randrange(10) == 0:
            _pack_some(section, at, source)


def _garbage(section: bytearray, source: random.Random) -> None:
    code = struct.unpack_from("<I", section, 24)[0]
    begin = code + 4 * source.randrange((len(section) - code) // 4)
    size = min(len(section) - begin, 1 << source.randrange(2, 16))
    section[begin : begin + size] = source.randbytes(size)


def _cut_off(section: bytearray, source: random.Random) -> None:
    del section[source.randrange(HEADER_SIZE, len(section)) :]
    if source.randrange(2):
        struct.pack_into("<I", section, 28, max(4, len(section) - struct.unpack_from("<I", section, 24)[0]) & ~3)


SPOILERS: dict[str, Callable[[bytearray, random.Random], None]] = {
    "bits of the code": _code_bits,
    "bits anywhere": _any_bits,
    "header": _header,
    "entries": _entries,
    "garbage": _garbage,
    "cut off": _cut_off,
}
KINDS = (*SPOILERS, "hand-made")


@cache
def _attack_code() -> tuple[bytes, dict[str, int]]:
    return link_code((SOURCE.read_text(encoding="utf-8"),), TARGET, (f"-I{GENERATED}", f"-I{BRIDGE / 'include'}"))


def _hand_made(module: bytes, made: Compiled, attack: str, seed: int) -> bytes:
    """Return the module with this attack in place of every function."""
    text, symbols = _attack_code()
    code = bytearray(text)
    struct.pack_into("<Q", code, symbols["hostile_seed"], seed)
    entry = (symbols[f"hostile_{attack}"], symbols["hostile_enter"])
    entries = tuple(old if old[0] < 0 else entry for old in made.code.entries)
    return add_section(module, NativeCode(TARGET, made.code.abi, True, entries, bytes(code)))


def _spoilt(
    module: bytes, made: Compiled, spoil: Callable[[bytearray, random.Random], None], source: random.Random
) -> bytes:
    """Return the module with its section spoilt; the sections' own lengths are right."""
    right = add_section(module, made.code)
    section = bytearray(right[right.index(b"WNAT") :])
    spoil(section, source)
    return _with_section(module, bytes(section))


def _with_section(module: bytes, contents: bytes) -> bytes:
    name = f"{NAME_PREFIX}{TARGET}".encode()
    body = encode_unsigned(len(name)) + name + contents
    return module + b"\0" + encode_unsigned(len(body)) + body


def hostile_modules(modules: list[bytes], source: random.Random) -> Iterator[HostileModule]:
    """Spoil these modules, for ever; half of what comes is hand-made. ToolError if they do not compile."""
    compiled = [compile_module(module, TARGET) for module in modules]
    key = load_private_key(DEVELOPMENT_KEY)
    number = 0
    while True:
        which = source.randrange(len(modules))
        module, made = modules[which], compiled[which]
        attack = ""
        if number % 2:
            kind, attack = "hand-made", ATTACKS[number // 2 % len(ATTACKS)]
            data = _hand_made(module, made, attack, source.randrange(1 << 64))
        else:
            kind = tuple(SPOILERS)[number // 2 % len(SPOILERS)]
            data = _spoilt(module, made, SPOILERS[kind], source)
        number += 1
        manifest = Manifest(name="hostile", version=f"{number}.0.0", sequence=number)
        yield HostileModule(kind, sign_module(data, manifest, key), attack)
