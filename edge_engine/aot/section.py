# SPDX-License-Identifier: Apache-2.0
"""The custom section ``wasel.native.<target>`` and modules that hold it.

The format stands in docs/native.md and, for the engine, in ``src/native.h``.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.binary import custom_section, decode_unsigned

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["NAME_PREFIX", "NativeCode", "add_section", "bare_module", "core_digest", "sections"]

NAME_PREFIX = "wasel.native."
MAGIC = b"WNAT"
VERSION = 1
TARGET_NUMBERS = {"x86_64": 1, "aarch64": 2}
FLAG_FUEL = 1
HEADER = struct.Struct("<4sHHIIIIII32s")
ENTRY = struct.Struct("<ii")
NONE = -1
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


def sections(module: bytes) -> Iterator[tuple[str | None, bytes]]:
    """Name (of custom sections, else None) and all bytes of each section of a valid module."""
    at = 8
    while at < len(module):
        begin = at
        size, body = decode_unsigned(module, at + 1)
        at = body + size
        name = None
        if module[begin] == 0:
            length, text = decode_unsigned(module, body)
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
    return module[:8] + b"".join(kept) + custom_section(name, code.contents(core_digest(module)))
