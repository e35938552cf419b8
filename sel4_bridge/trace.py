# SPDX-License-Identifier: Apache-2.0
"""Read trace records: what a WASI call was as the IPC that it is.

Pure: bytes in, calls out. Names and arguments come from the table of WASI calls. The layout is sb_trace.h's.
Errors: TraceError for bytes that are no record.
"""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sel4_bridge.wasi_table import CALLS, ERRNOS, LABEL_BASE, PENDING, Call, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["TraceError", "TracedCall", "parse", "split_file"]

_HEAD = struct.Struct("<HBBIQII")
_SCALARS = {Kind.U32, Kind.U64, Kind.FD}
_BYTES_IN = {Kind.PATH, Kind.GATHER, Kind.IN_ARRAY}
_ROOM = {Kind.SCATTER, Kind.BUFFER, Kind.FILL, Kind.OUT_ARRAY}
_SHOWN = 32  # bytes of a buffer in a line of text


class TraceError(Exception):
    """The bytes are not a trace record: another version of the device, or a fault on the way."""


@dataclass(frozen=True)
class TracedCall:
    """One call and its answer."""

    number: int
    """Of the call since boot; a gap is what was dropped."""
    start_ns: int
    """Monotonic time of the device."""
    duration_ns: int
    """In the server, without the way there and back."""
    label: int
    sent: tuple[int, ...]
    """Message registers of the call."""
    received: tuple[int, ...]
    """Message registers of the answer."""
    data: bytes
    """The beginning of the bytes that went in."""

    @property
    def call(self) -> Call | None:
        """The row of the table, or None for a label that no call has."""
        row = self.label - LABEL_BASE
        return CALLS[row] if 0 <= row < len(CALLS) else None

    @property
    def name(self) -> str:
        """Name of the call, or "?"."""
        return self.call.name if self.call is not None else "?"

    @property
    def result(self) -> str:
        """Name of the errno, or "pending"."""
        if not self.received:
            return "?"
        code = self.received[0]
        if code == PENDING:
            return "pending"
        return ERRNOS[code] if code < len(ERRNOS) else str(code)

    def arguments(self) -> dict[str, int | bytes | str]:
        """Arguments by name: scalars, the bytes that went in as far as they are known, and room for what comes back."""
        found: dict[str, int | bytes | str] = {}
        words = iter(self.sent)
        at = 0
        for arg in self.call.args if self.call is not None else ():
            if arg.kind in _SCALARS:
                found[arg.name] = next(words, 0)
            elif arg.kind in _BYTES_IN:
                size = next(words, 0)
                if arg.kind is not Kind.IN_ARRAY:
                    found[arg.name] = self.data[at : at + size]
                found[f"{arg.name}.size"] = size
                at += size
            elif arg.kind in _ROOM:
                found[f"{arg.name}.room"] = next(words, 0)
            elif arg.kind is Kind.ADDRESS:
                found[arg.name] = _address(words)
        return found

    def results(self) -> dict[str, int | str]:
        """Results by name; none after an error."""
        words = iter(self.received[1:])
        found: dict[str, int | str] = {}
        if self.call is None or self.result != "success":
            return found
        for arg in self.call.args:
            if arg.kind in {Kind.OUT_U32, Kind.OUT_U64}:
                found[arg.name] = next(words, 0)
            elif arg.kind in _ROOM:
                found[f"{arg.name}.size"] = next(words, 0)
            elif arg.kind is Kind.OUT_ADDRESS:
                found[arg.name] = _address(words)
            elif arg.kind is Kind.STRINGS:
                found[f"{arg.name}.count"] = next(words, 0)
                found[f"{arg.name}.size"] = next(words, 0)
        return found

    def text(self, slot: int) -> str:
        """One line for people."""
        arguments = ", ".join(f"{name}={_show(value)}" for name, value in self.arguments().items())
        results = "".join(f" {name}={value}" for name, value in self.results().items())
        registers = " ".join(f"{word:x}" for word in self.sent)
        answer = " ".join(f"{word:x}" for word in self.received)
        return (
            f"{self.start_ns / 1e9:.6f} slot {slot} #{self.number} {self.name}({arguments}) = {self.result}{results}"
            f"  [0x{self.label:x}: {registers} -> {answer}] {self.duration_ns / 1000:.1f} us"
        )

    def as_json(self, slot: int) -> dict[str, object]:
        """Return what JSON can hold; bytes are hexadecimal."""
        arguments = {k: v.hex() if isinstance(v, bytes) else v for k, v in self.arguments().items()}
        return {
            "slot": slot,
            "number": self.number,
            "start_ns": self.start_ns,
            "duration_ns": self.duration_ns,
            "label": self.label,
            "call": self.name,
            "arguments": arguments,
            "result": self.result,
            "results": self.results(),
            "sent": list(self.sent),
            "received": list(self.received),
        }


def _address(words: Iterator[int]) -> str:
    """Three registers as an internet address."""
    size, low, high = next(words, 0), next(words, 0), next(words, 0)
    content = struct.pack("<QQ", low, high)[:size]
    return str(ipaddress.ip_address(content)) if size in {4, 16} else ""


def _show(value: int | bytes | str) -> str:
    if not isinstance(value, bytes):
        return str(value)
    return repr(value[:_SHOWN])[1:] + ("..." if len(value) > _SHOWN else "")


def parse(record: bytes) -> TracedCall:
    """Read one record.

    Raises:
        TraceError: the record is cut off, or longer than it says.

    """
    if len(record) < _HEAD.size:
        raise TraceError(f"a trace record has at least {_HEAD.size} bytes, this one {len(record)}")
    label, count_in, count_out, in_size, start_ns, duration_ns, number = _HEAD.unpack_from(record)
    wanted = _HEAD.size + 8 * (count_in + count_out) + in_size
    if len(record) != wanted:
        raise TraceError(f"this trace record has {len(record)} bytes, its head says {wanted}")
    words = struct.unpack_from(f"<{count_in + count_out}Q", record, _HEAD.size)
    data = record[wanted - in_size :]
    return TracedCall(number, start_ns, duration_ns, label, words[:count_in], words[count_in:], data)


def split_file(content: bytes) -> list[bytes]:
    """Return the records of the host runner's trace file, each behind its length in 2 bytes.

    Raises:
        TraceError: the file ends within a record.

    """
    records: list[bytes] = []
    at = 0
    while at < len(content):
        size = int.from_bytes(content[at : at + 2], "little")
        if at + 2 + size > len(content) or at + 2 > len(content):
            raise TraceError("the trace file ends within a record")
        records.append(content[at + 2 : at + 2 + size])
        at += 2 + size
    return records
