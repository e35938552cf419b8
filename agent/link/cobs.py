# SPDX-License-Identifier: Apache-2.0
"""SMP messages in COBS frames, pure: `00, COBS of (message, CRC-32C big endian), 00`.

No byte between the two zeros is 0, so a receiver finds the next frame after any damage. The second byte of an SMP
message is 0, so the byte after the first zero is 1 or 2 in every frame: that tells frames from text and from console
lines (docs/PROTOCOL.md).
Sources: Cheshire and Baker, "Consistent Overhead Byte Stuffing" (1999); RFC 3720 appendix B.4 (CRC-32C).
"""

from __future__ import annotations

import google_crc32c

__all__ = ["FIRST_CODES", "CobsError", "cobs_decode", "cobs_encode", "frame", "unframe"]

FIRST_CODES = (1, 2)
"""What the byte after a frame's opening zero can be."""
BLOCK = 254
CRC_SIZE = 4


class CobsError(ValueError):
    """Not what `frame` makes; the text says what is wrong."""


def cobs_encode(data: bytes) -> bytes:
    """Encode bytes so that none is 0; at most one byte more, and one for each 254."""
    out = bytearray()
    pieces = data.split(b"\0")
    for number, piece in enumerate(pieces):
        full = len(piece) // BLOCK
        for at in range(0, full * BLOCK, BLOCK):
            out.append(BLOCK + 1)
            out += piece[at : at + BLOCK]
        rest = piece[full * BLOCK :]
        if rest or not full or number < len(pieces) - 1:
            out.append(len(rest) + 1)
            out += rest
    return bytes(out)


def cobs_decode(data: bytes) -> bytes:
    """Undo `cobs_encode`.

    Raises:
        CobsError: a 0, or a block that is longer than what is there.

    """
    out = bytearray()
    at = 0
    while at < len(data):
        code = data[at]
        block = data[at + 1 : at + code]
        if code == 0 or len(block) != code - 1 or 0 in block:
            raise CobsError("stuffing")
        out += block
        at += code
        if code <= BLOCK and at < len(data):
            out.append(0)
    return bytes(out)


def frame(message: bytes) -> bytes:
    """Give a message as it goes over the line."""
    return b"\0" + cobs_encode(message + google_crc32c.value(message).to_bytes(CRC_SIZE, "big")) + b"\0"


def unframe(data: bytes) -> bytes:
    """Give the message of what lies between two zeros.

    Raises:
        CobsError: it is damaged.

    """
    body = cobs_decode(data)
    message, crc = body[:-CRC_SIZE], body[-CRC_SIZE:]
    if len(body) < CRC_SIZE or google_crc32c.value(message) != int.from_bytes(crc, "big"):
        raise CobsError("checksum")
    return message
