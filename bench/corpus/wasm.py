# SPDX-License-Identifier: Apache-2.0
"""As much of the binary format as a manifest needs: sections and their sizes (core spec 5.5.2)."""

from __future__ import annotations

from agent.binary import decode_unsigned
from bench.corpus import CorpusError

__all__ = ["code_size"]

MAGIC = b"\0asm\x01\0\0\0"
CODE = 10


def code_size(data: bytes) -> int:
    """Bytes of the code section; CorpusError if these bytes are not a module."""
    if data[:8] != MAGIC:
        raise CorpusError("not a WebAssembly module of version 1")
    at, total = 8, 0
    try:
        while at < len(data):
            identifier = data[at]
            size, at = decode_unsigned(data, at + 1)
            if identifier == CODE:
                total += size
            at += size
    except (IndexError, ValueError) as short:
        raise CorpusError("the module ends inside a section's header") from short
    if at != len(data):
        raise CorpusError("the module ends inside a section")
    return total
