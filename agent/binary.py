# SPDX-License-Identifier: Apache-2.0
"""The binary format's numbers and custom sections, written and read.

Contract: bytes in, bytes out; nothing is read past `end`. Source: WebAssembly core specification, 5.2.2 (integers in
LEB128), 5.5.3 (custom section).
"""

from __future__ import annotations

__all__ = ["custom_section", "decode_unsigned", "encode_unsigned"]

BITS = 7  # of a number in each byte
CONTINUES = 1 << BITS  # bit of a byte that is not the last
U32_BITS = 32
U32_BYTES = 5  # at most, of a u32


def encode_unsigned(value: int) -> bytes:
    """Encode a number of 0 or more."""
    out = bytearray()
    while value >= CONTINUES:
        out.append(value % CONTINUES | CONTINUES)
        value >>= BITS
    return bytes([*out, value])


def decode_unsigned(data: bytes, at: int, end: int | None = None) -> tuple[int, int]:
    """Read a u32 at an offset; gives it and the offset behind it.

    Raises:
        ValueError: it goes past `end` (default: of the data), or has more than 32 bits.

    """
    value = 0
    for index in range(U32_BYTES):
        if at + index >= (len(data) if end is None else end):
            raise ValueError(f"a number at {at:#x} goes past its end")
        byte = data[at + index]
        value |= byte % CONTINUES << BITS * index
        if byte < CONTINUES and not value >> U32_BITS:
            return value, at + index + 1
        if byte < CONTINUES:
            break
    raise ValueError(f"the number at {at:#x} has more than {U32_BITS} bits")


def custom_section(name: str, content: bytes) -> bytes:
    """Make a section with id 0."""
    label = name.encode()
    body = encode_unsigned(len(label)) + label + content
    return b"\0" + encode_unsigned(len(body)) + body
