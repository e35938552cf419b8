# SPDX-License-Identifier: Apache-2.0
"""SMP messages in small cells with parity, pure: the framing for lines that lose bytes (docs/PROTOCOL.md, "Cells").

A message is cut into `k` cells of `size` bytes; further cells are parity, a Reed-Solomon code over GF(256) with a
Cauchy matrix. Any `k` of a frame's cells give the message. Each cell has a CRC of its own and lies between two zeros:
a byte that is lost, changed, doubled or swapped costs a cell or two, and the next zero begins the next one. The whole
has a CRC-32C.

    content   u16 length of the message, message, u8 report, u32 CRC-32C of all before, zeros up to k * size
    cell      u8 number << 3 | loss class, u8 k, u8 index, `size` bytes, u16 CRC-16 (polynomial 0x1021, start 0xffff)
    wire      00, COBS of the cell with 0x80 added to the first byte; after the last cell 00

Cells 0 to k-1 are the content; cell i from k on is the sum over c of content cell c times the inverse of i xor c. The
number of cells is `cell_count` of the loss class. `report` is the share of the other side's cells that arrive here.
Tables of the device's C code come from here (sel4_bridge/cell_tables.py).
Sources: Cheshire and Baker (1999) for COBS; Bloemer and others, "An XOR-based erasure-resilient coding scheme" (1995),
for Cauchy matrices as erasure codes.
"""

from __future__ import annotations

import binascii
from dataclasses import dataclass, field
from functools import cache

import google_crc32c

from agent.link.cobs import CobsError, cobs_decode, cobs_encode

__all__ = [
    "CELL_CODES",
    "CELL_OVERHEAD",
    "CLASSES",
    "LEAST_SIZE",
    "MOST_DATA",
    "MOST_SIZE",
    "MOST_WIRE",
    "NUMBERS",
    "SURVIVALS",
    "Cells",
    "Content",
    "Way",
    "cell_count",
    "cell_counts",
    "cells_of",
    "gf_tables",
    "most_message",
    "wire_of",
]

CELL_CODES = range(0x80, 0xC0)
"""What the byte after a cell's opening zero can be; no UTF-8 text begins so."""
LEAST_SIZE, MOST_SIZE = 8, 56
"""Bytes of content in a cell."""
MOST_DATA = 160
"""Cells of content, so that the longest message fits."""
MOST_CELLS = 256
MOST_WIRE = 11_000
"""Bytes of a frame's cells on the wire: the device's buffer."""
CELL_OVERHEAD = 7
"""Bytes on the wire of a cell besides its content."""
CONTENT_OVERHEAD = 7
HEAD, CHECK = 3, 2
SURVIVALS = (97, 90, 80, 68, 56, 45, 35, 25)
"""Percent of cells that arrive at least, by loss class."""
CLASSES = len(SURVIVALS)
FAILURES = 200
"""One frame of so many may lack cells where just so many arrive."""
NUMBERS = 32
POLYNOMIAL = 0x11D
WINDOW = 512
"""Cells after which what was measured counts half."""
LEAST_WINDOW = 32
REPORT_ALL = 255


@dataclass(frozen=True)
class Way:
    """How to send."""

    size: int
    """Bytes of content in a cell."""
    loss_class: int


@dataclass(frozen=True)
class Content:
    """What a frame of cells held."""

    message: bytes
    report: int
    """Share of our cells that arrive there, of 255; 0: not known yet."""
    way: Way
    """How it came, which is how its sender was asked to answer or wants to be answered."""


@cache
def cell_counts(loss_class: int) -> tuple[int, ...]:
    """Cells by k, from 1: so many that fewer than k of them arrive once in FAILURES, if the class's share arrives."""
    share = SURVIVALS[loss_class] / 100
    arrived = [1.0] + [0.0] * MOST_DATA  # probability that so many of the first n arrive
    counts: list[int] = []
    for count in range(1, MOST_CELLS + 1):
        for k in range(MOST_DATA, 0, -1):
            arrived[k] = arrived[k] * (1 - share) + arrived[k - 1] * share
        arrived[0] *= 1 - share
        while len(counts) < MOST_DATA and sum(arrived[: len(counts) + 1]) * FAILURES <= 1:
            counts.append(count)
    return tuple(counts) + (MOST_CELLS,) * (MOST_DATA - len(counts))


def cell_count(loss_class: int, k: int, size: int) -> int:
    """Give how many cells a frame has in all."""
    return min(cell_counts(loss_class)[k - 1], MOST_WIRE // (size + CELL_OVERHEAD))


def most_message(way: Way, most_data: int = MOST_DATA) -> int:
    """Bytes of the longest message that has all the parity it should."""
    room = MOST_WIRE // (way.size + CELL_OVERHEAD)
    fitting = sum(count < MOST_CELLS and count <= room for count in cell_counts(way.loss_class)[:most_data])
    return fitting * way.size - CONTENT_OVERHEAD


@cache
def gf_tables() -> tuple[bytes, bytes]:
    """Powers of 2 in GF(256), twice over; and logarithms, of 0 as 0."""
    powers, value = [], 1
    for _ in range(255):
        powers.append(value)
        value = value << 1 ^ (POLYNOMIAL if value & 0x80 else 0)
    logs = [0] * 256
    for exponent, value in enumerate(powers):
        logs[value] = exponent
    return bytes(powers * 2), bytes(logs)


@cache
def _times(factor: int) -> bytes:
    """All products with `factor`, a table for bytes.translate."""
    powers, logs = gf_tables()
    return bytes([0] + [powers[logs[factor] + logs[value]] for value in range(1, 256)])


def _inverse(value: int) -> int:
    powers, logs = gf_tables()
    return powers[255 - logs[value]]


def _times_cell(cell: int, factor: int, size: int) -> int:
    return int.from_bytes(cell.to_bytes(size, "big").translate(_times(factor)), "big")


def cells_of(message: bytes, way: Way, *, number: int, report: int) -> tuple[int, list[bytes]]:
    """Give k and the cells of a message; cells become larger than asked for where it would not fit."""
    body = len(message).to_bytes(2, "big") + message + bytes([report])
    body += google_crc32c.value(body).to_bytes(4, "big")
    size = max(way.size, -(-len(body) // MOST_DATA))
    if size > MOST_SIZE:
        raise ValueError(f"message of {len(message)} bytes does not fit {MOST_DATA} cells of {MOST_SIZE}")
    k = -(-len(body) // size)
    data = [body[at : at + size].ljust(size, b"\0") for at in range(0, len(body), size)]
    cells = []
    for index in range(cell_count(way.loss_class, k, size)):
        part = data[index] if index < k else b""
        if not part:
            total = 0
            for column, cell in enumerate(data):
                total ^= int.from_bytes(cell.translate(_times(_inverse(index ^ column))), "big")
            part = total.to_bytes(size, "big")
        cell = bytes([number << 3 | way.loss_class, k, index]) + part
        cells.append(cell + binascii.crc_hqx(cell, 0xFFFF).to_bytes(CHECK, "big"))
    return k, cells


def wire_of(cells: list[bytes]) -> bytes:
    """Give cells as they go over the line."""
    out = bytearray(b"\0")
    for cell in cells:
        start = len(out)
        out += cobs_encode(cell)
        out[start] |= 0x80
        out.append(0)
    return bytes(out)


@dataclass
class _Frame:
    """Cells of one frame by their index, as numbers."""

    head: tuple[int, int, int]
    """First byte, k, size."""
    cells: dict[int, int] = field(default_factory=dict)
    seen: set[int] = field(default_factory=set)
    done: bool = False


class Cells:
    """Puts frames together again, two at a time, and measures how many cells arrive."""

    def __init__(self) -> None:
        self.expected = 0
        self.arrived = 0
        self.size = 0
        """Of the cells that were measured."""
        self.broken = 0
        """Frames that were given up or had a wrong checksum."""
        self._frames: list[_Frame | None] = [None, None]
        self._given: list[tuple[int, bytes] | None] = [None, None]
        """What frames of even and odd number last held: never given twice, should a damaged cell make the rest of a
        frame look like another one."""

    @property
    def report(self) -> int:
        """Share of the cells that arrive, of 255; 0: not known yet."""
        if self.expected < LEAST_WINDOW:
            return 0
        return min(max(1, self.arrived * REPORT_ALL // self.expected), REPORT_ALL)

    def take(self, stuffed: bytes) -> Content | None:
        """Take what lies between two zeros; gives a message when enough has arrived."""
        cell = _unstuffed(stuffed)
        if cell is None:
            return None
        size = len(cell) - HEAD - CHECK
        head, index = (cell[0], cell[1], size), cell[2]
        place = head[0] >> 3 & 1
        frame = self._frames[place]
        if frame is None or frame.head != head:
            if frame is not None:
                self._measure(frame)
            frame = self._frames[place] = _Frame(head)
        known = index in frame.seen
        frame.seen.add(index)
        if known or frame.done:
            return None
        frame.cells[index] = int.from_bytes(cell[HEAD:-CHECK], "big")
        if len(frame.cells) < head[1]:
            return None
        frame.done = True
        content = _content(_solve(frame), Way(size, head[0] & CLASSES - 1))
        frame.cells.clear()
        given = (head[0], content.message) if content is not None else None
        if given is None or given == self._given[place]:
            self.broken += 1
            return None
        self._given[place] = given
        return content

    def _measure(self, frame: _Frame) -> None:
        """Count a frame of which no more cells will come."""
        first, k, size = frame.head
        self.broken += not frame.done
        if size != self.size:
            self.expected = self.arrived = 0
            self.size = size
        self.expected += cell_count(first & CLASSES - 1, k, size)
        self.arrived += len(frame.seen)
        if self.expected >= WINDOW:
            self.expected //= 2
            self.arrived //= 2


def _unstuffed(stuffed: bytes) -> bytes | None:
    """Give a cell that is what one should be, with its CRC."""
    try:
        cell = cobs_decode(bytes([stuffed[0] & 0x7F]) + stuffed[1:])
    except CobsError:
        return None
    good = LEAST_SIZE <= len(cell) - HEAD - CHECK <= MOST_SIZE and binascii.crc_hqx(cell, 0xFFFF) == 0
    return cell if good and 1 <= cell[1] <= MOST_DATA else None


def _solve(frame: _Frame) -> bytes:
    """Give the content of k cells: what is missing of it from the parity."""
    _, k, size = frame.head
    data = {index: cell for index, cell in frame.cells.items() if index < k}
    parity = {index: cell for index, cell in frame.cells.items() if index >= k}
    missing = [index for index in range(k) if index not in data]
    rows = []
    for index, cell in parity.items():
        total = cell
        for column, known in data.items():
            total ^= _times_cell(known, _inverse(index ^ column), size)
        rows.append(([_inverse(index ^ column) for column in missing], total))
    # A square part of a Cauchy matrix has an inverse, and so has each part at its upper left: no pivot is ever 0.
    for at in range(len(missing)):
        factor = _inverse(rows[at][0][at])
        line, total = bytes(rows[at][0]).translate(_times(factor)), _times_cell(rows[at][1], factor, size)
        for number, (other, sum_) in enumerate(rows):
            if number == at:
                rows[number] = (list(line), total)
            elif other[at]:
                table = _times(other[at])
                less = line.translate(table)
                rows[number] = (
                    [a ^ b for a, b in zip(other, less, strict=True)],
                    sum_ ^ _times_cell(total, other[at], size),
                )
    data |= {index: row[1] for index, row in zip(missing, rows, strict=True)}
    return b"".join(data[index].to_bytes(size, "big") for index in range(k))


def _content(data: bytes, way: Way) -> Content | None:
    end = 2 + int.from_bytes(data[:2], "big")
    check = data[end + 1 : end + 5]
    if len(check) != 4 or google_crc32c.value(data[: end + 1]) != int.from_bytes(check, "big"):  # noqa: PLR2004
        return None
    return Content(data[2:end], data[end], way)
