# SPDX-License-Identifier: Apache-2.0
"""As much of the binary format as a manifest needs: sections and their sizes (core spec 5.5.2)."""

from __future__ import annotations

from bench.corpus import CorpusError

__all__ = ["code_size"]

MAGIC = b"\0asm\x01\0\0\0"
CODE = 10


def _leb128(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80 or shift > 28:  # noqa: PLR2004  (a u32 has at most five bytes of seven bits)
            return value, at


def code_size(data: bytes) -> int:
    """Bytes of the code section; CorpusError if these bytes are not a module."""
    if data[:8] != MAGIC:
        raise CorpusError("not a WebAssembly module of version 1")
    at, total = 8, 0
    try:
        while at < len(data):
            identifier = data[at]
            size, at = _leb128(data, at + 1)
            if identifier == CODE:
                total += size
            at += size
    except IndexError as short:
        raise CorpusError("the module ends inside a section's header") from short
    if at != len(data):
        raise CorpusError("the module ends inside a section")
    return total
