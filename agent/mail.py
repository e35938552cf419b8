# SPDX-License-Identifier: Apache-2.0
"""Mail between a slot's module and the agent: its records, and one slot's numbers. Pure: bytes in, bytes out.

A record is a head of 8 bytes (kind, channel, aux, run: u8 u8 u16 u32, little endian) and a body; docs/PROTOCOL.md has
the kinds. Records are numbered since the device booted, apart for each direction. `Mailbox` sends each record down
until the device has it and hands each record up over once, whatever is lost or repeated on the line.

Errors: MessageError for an answer that contradicts itself.
"""

from __future__ import annotations

import errno
import struct
from collections import deque
from dataclasses import dataclass
from enum import IntEnum, unique

from agent.errors import MessageError

__all__ = ["DATA_MAX", "ERRNOS", "FRAME", "Kind", "Mailbox", "Record", "Type", "errno_of", "u32"]

DATA_MAX = 4096
"""Bytes of data in a record."""
FRAME = 2
"""Bytes of credit that a message takes besides its own."""
REQUEST_MAX = 6000
"""Bytes of records in one request."""
_HEAD = struct.Struct("<BBHI")
_U32 = struct.Struct("<I")

# WASI's numbers of what can go wrong out here (sel4_bridge/wasi_table.py has them all).
ERRNOS = {
    "acces": 2,
    "addrinuse": 3,
    "addrnotavail": 4,
    "connaborted": 13,
    "connrefused": 14,
    "connreset": 15,
    "hostunreach": 23,
    "inval": 28,
    "io": 29,
    "msgsize": 35,
    "netunreach": 40,
    "notsup": 58,
    "perm": 63,
    "pipe": 64,
    "timedout": 73,
    "notcapable": 76,
}


@unique
class Kind(IntEnum):
    """Kinds of records."""

    HELLO = 1
    OPEN = 2
    OPENED = 3
    DATA = 4
    CREDIT = 5
    SHUT = 6
    CLOSE = 7
    ACCEPT = 8


@unique
class Type(IntEnum):
    """Types of channels, `aux` of OPEN."""

    PUBLISH = 0
    SUBSCRIBE = 1
    TCP = 2
    UDP = 3
    LISTEN = 4
    TAKE = 5
    UNKNOWN = 0xFFFF


@dataclass(frozen=True)
class Record:
    """One record."""

    kind: int
    channel: int = 0
    aux: int = 0
    run: int = 0
    body: bytes = b""

    @classmethod
    def parse(cls, data: bytes) -> Record:
        """Take a record apart. MessageError."""
        if len(data) < _HEAD.size:
            raise MessageError(f"mail: a record of {len(data)} bytes has no head")
        kind, channel, aux, run = _HEAD.unpack_from(data)
        return cls(kind, channel, aux, run, data[_HEAD.size :])

    def encode(self) -> bytes:
        """Give the bytes."""
        return _HEAD.pack(self.kind, self.channel, self.aux, self.run) + self.body

    @property
    def number(self) -> int:
        """The u32 that the body begins with, 0 if there is none."""
        return int(_U32.unpack_from(self.body)[0]) if len(self.body) >= _U32.size else 0

    @property
    def rest(self) -> bytes:
        """What follows that number."""
        return self.body[_U32.size :]


def u32(value: int) -> bytes:
    """Encode a body's number."""
    return _U32.pack(value)


_KINDS: tuple[tuple[type[BaseException], str], ...] = (
    (TimeoutError, "timedout"),
    (ConnectionRefusedError, "connrefused"),
    (ConnectionResetError, "connreset"),
    (ConnectionAbortedError, "connaborted"),
    (BrokenPipeError, "pipe"),
    (PermissionError, "acces"),
)
_NUMBERS = {
    errno.EADDRINUSE: "addrinuse",
    errno.EADDRNOTAVAIL: "addrnotavail",
    errno.EHOSTUNREACH: "hostunreach",
    errno.ENETUNREACH: "netunreach",
    errno.EMSGSIZE: "msgsize",
}


def errno_of(error: OSError) -> int:
    """Give WASI's number for what went wrong."""
    name = next((name for kind, name in _KINDS if isinstance(error, kind)), None)
    return ERRNOS[name or _NUMBERS.get(error.errno or 0, "io")]


class Mailbox:
    """The numbers of one slot's mail."""

    def __init__(self) -> None:
        self._out: deque[bytes] = deque()
        self._out_first: int | None = None
        """Number of the first record of `_out`; None: the device has not said yet which one it wants."""
        self._handled = 0
        """Records from the device that were handed over."""
        self.lost = False
        """The device's numbers do not follow ours: it was restarted. Whoever sees it begins anew."""

    @property
    def waiting(self) -> bool:
        """There is something to send."""
        return bool(self._out)

    def send(self, record: Record) -> None:
        """Queue a record for the device."""
        self._out.append(record.encode())

    def request(self) -> tuple[int, int, list[bytes]]:
        """Give the next request's `up`, `down` and `data`."""
        data: list[bytes] = []
        size = 0
        for record in self._out if self._out_first is not None else ():
            size += len(record) + 3
            if size > REQUEST_MAX:
                break
            data.append(record)
        return self._handled, self._out_first or 0, data

    def answered(self, up: int, down: int, data: list[bytes]) -> list[Record]:
        """Take an answer: the records that are new, in order. MessageError."""
        if self._out_first is None:
            self._out_first = down
            self._handled = up
        if up > self._handled or not self._out_first <= down <= self._out_first + len(self._out):
            self.lost = True
            return []
        if up + len(data) < self._handled:
            self.lost = True
            return []
        while self._out_first < down:
            self._out.popleft()
            self._out_first += 1
        fresh = [Record.parse(item) for item in data[self._handled - up :]]
        self._handled = up + len(data)
        return fresh
