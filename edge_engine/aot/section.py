# SPDX-License-Identifier: Apache-2.0
"""The custom section ``wasel.native.<target>`` and modules that hold it.

The format stands in docs/native.md and, for the engine, in ``src/native.h``.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["NAME_PREFIX", "NativeCode", "add_section", "bare_module", "core_digest", "leb", "sections"]

NAME_PREFIX = "wasel.native."
MAGIC = b"WNAT"
VERSION = 1
TARGET_NUMBERS = {"x86_64": 1, "aarch64": 2}
FLAG_FUEL = 1
HEADER = struct.Struct("<4sHHIIIIII32s")
ENTRY = struct.Struct("<ii")
NONE = -1
CONTINUES = 0x80  # bit of a LEB128 byte that is not the last
# Whatever vouches for the module stays last; native code goes before it.
LAST_SECTIONS = ("wasel.manifest", "wasel.signature")


@dataclass(frozen=True)
class NativeCode:
    """Machine code of a module."""

    target: str
    abi: int  # EE_NATIVE_ABI
    fuel: bool
    entries: tuple[tuple[int, int], ...]  # of each function: body and trampoline in code, or NONE twice
    code: bytes

    def contents(self, module_digest: bytes) -> bytes:
        """Contents of the section, behind its name."""
        entries = b"".join(ENTRY.pack(*entry) for entry in self.entries)
        header = HEADER.pack(
            MAGIC,
            VERSION,
            TARGET_NUMBERS[self.target],
            self.abi,
            FLAG_FUEL if self.fuel else 0,
            len(self.entries),
            HEADER.size,
            HEADER.size + len(entries),
            len(self.code),
            module_digest,
        )
        return header + entries + self.code


def leb(value: int) -> bytes:
    """Encode an unsigned number as LEB128."""
    out = bytearray()
    while True:
        out.append((value & 0x7F) | (CONTINUES if value >= CONTINUES else 0))
        value >>= 7
        if not value:
            return bytes(out)


def _read_leb(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < CONTINUES:
            return value, at


def sections(module: bytes) -> Iterator[tuple[str | None, bytes]]:
    """Name (of custom sections, else None) and all bytes of each section of a valid module."""
    at = 8
    while at < len(module):
        begin = at
        size, body = _read_leb(module, at + 1)
        at = body + size
        name = None
        if module[begin] == 0:
            length, text = _read_leb(module, body)
            name = module[text : text + length].decode()
        yield name, module[begin:at]


def bare_module(module: bytes) -> bytes:
    """Return the module without native sections and without what vouches for it."""
    kept = [data for name, data in sections(module) if not (name or "").startswith((NAME_PREFIX, *LAST_SECTIONS))]
    return module[:8] + b"".join(kept)


def core_digest(module: bytes) -> bytes:
    """SHA-256 of what native code depends on: the header and all sections that are not custom."""
    total = hashlib.sha256(module[:8])
    for name, data in sections(module):
        if name is None:
            total.update(data)
    return total.digest()


def add_section(module: bytes, code: NativeCode) -> bytes:
    """Return the module with this section in place of one of the same name; manifest and signature are dropped."""
    name = f"{NAME_PREFIX}{code.target}"
    kept = [data for own, data in sections(module) if own != name and not (own or "").startswith(LAST_SECTIONS)]
    body = leb(len(name)) + name.encode() + code.contents(core_digest(module))
    return module[:8] + b"".join(kept) + b"\0" + leb(len(body)) + body
