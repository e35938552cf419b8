# SPDX-License-Identifier: Apache-2.0
"""Modules put together byte by byte, for what no assembler at hand writes (core spec, chapter 5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.binary import encode_unsigned

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["encode_signed", "function_type", "module", "name", "section", "vector"]

HEADER = b"\0asm\1\0\0\0"
TYPES, IMPORTS, FUNCTIONS, TABLES, MEMORIES, GLOBALS, EXPORTS, START, ELEMENTS, CODE, DATA, DATA_COUNT = range(1, 13)
# Data count stands before the code that needs it.
ORDER = (TYPES, IMPORTS, FUNCTIONS, TABLES, MEMORIES, GLOBALS, EXPORTS, START, ELEMENTS, DATA_COUNT, CODE, DATA)


def encode_signed(value: int) -> bytes:
    """A number in two's complement, as LEB128."""
    out = bytearray()
    while not -64 <= value < 64:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value & 0x7F])


def vector(items: Sequence[bytes]) -> bytes:
    """A count and its items."""
    return encode_unsigned(len(items)) + b"".join(items)


def name(text: str) -> bytes:
    """A name."""
    data = text.encode()
    return encode_unsigned(len(data)) + data


def section(number: int, content: bytes) -> bytes:
    """One section."""
    return bytes([number]) + encode_unsigned(len(content)) + content


def function_type(params: bytes, results: bytes) -> bytes:
    """A function type; parameters and results as valtype bytes."""
    return b"\x60" + encode_unsigned(len(params)) + params + encode_unsigned(len(results)) + results


def body(code: bytes, local_runs: Iterable[tuple[int, int]] = ()) -> bytes:
    """An entry of the code section; ``code`` without its last `end`."""
    content = vector([encode_unsigned(count) + bytes([kind]) for count, kind in local_runs]) + code + b"\x0b"
    return encode_unsigned(len(content)) + content


def export(text: str, kind: int, index: int) -> bytes:
    """An entry of the export section."""
    return name(text) + bytes([kind]) + encode_unsigned(index)


def module(sections: Mapping[int, Sequence[bytes] | bytes]) -> bytes:
    """A module of sections by their number: entries, or the content as it is."""
    out = HEADER
    for number in ORDER:
        if number in sections:
            content = sections[number]
            out += section(number, content if isinstance(content, bytes) else vector(content))
    return out
