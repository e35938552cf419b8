# SPDX-License-Identifier: Apache-2.0
"""SMP requests over a framed port; smpclient's `SMPTransport` protocol, so `SMPClient(FramedTransport(), url)` works.

Contract: any number of tasks may have requests under way; at most `window` of them are on the wire, the others wait.
Each gets a sequence number of its own on the wire and its own back in the answer, so that requests of several programs
can share one port. An answer that nobody waits for (late, doubled) is counted and dropped. When the port dies every
waiting request fails at once with `LinkLostError`. No timeouts and no retries here: the caller has them.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.errors import LinkLostError
from agent.link.cells import NUMBERS, cells_of, wire_of
from agent.link.cobs import frame
from agent.link.frames import LINE_LENGTH, MAX_MESSAGE_SIZE, BadFrame, FrameDecoder, Message, Text, encode_frames
from agent.link.loss import Loss
from agent.link.port import open_port

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.link.cells import Way
    from agent.link.port import Port

__all__ = ["FramedTransport", "LinkCounters"]

HEADER_SIZE = 8
SEQUENCE_AT = 6
"""Byte of the sequence number in the SMP header (op, flags, length, group, sequence, command)."""
FRAME_OVERHEAD = 4
"""Bytes of length and CRC, which share the server's buffer with the message."""
DEFAULT_BUFFER = 128
"""Bytes, until the device's parameters are known."""


@dataclass
class LinkCounters:
    """What went over a link since it was opened."""

    sent_bytes: int = 0
    received_bytes: int = 0
    requests: int = 0
    bad_frames: int = 0
    unexpected: int = 0
    """Answers that nobody waited for."""
    cell_bytes: int = 0
    """Of what was sent, bytes in cells,"""
    parity_bytes: int = 0
    """and of them, those in cells of parity."""


@dataclass
class _Waiting:
    future: asyncio.Future[bytes]
    sequence: int
    """The caller's own."""
    key: tuple[int, bytes, int]
    """Expected op, group and command of the answer."""
    way: Way | None = None
    """How the request went, in cells."""


class FramedTransport:
    """One port, shared by any number of requesters."""

    _smp_server_transport_buffer_size: int | None = None

    def __init__(self, *, on_text: Callable[[str], None] | None = None, line_length: int = LINE_LENGTH) -> None:
        self.counters = LinkCounters()
        self.console: deque[str] = deque(maxlen=200)
        """Last lines of console text."""
        self._on_text = on_text
        self._line_length = line_length
        self.cobs = False
        """Requests go in COBS frames, not in console lines."""
        self.answered_in_cobs = False
        """How the last answer came."""
        self.loss = Loss()
        """What is known of the line, if it takes COBS frames."""
        self._number = secrets.randbelow(NUMBERS)
        """Of the next frame in cells: not that of a former program's last one."""
        self._port: Port | None = None
        self._lost: str | None = "the port is not open"
        self._decoder = FrameDecoder()
        self._partial_text = b""
        self._waiting: dict[int, _Waiting] = {}
        self._next = 0
        self._slots = asyncio.Semaphore(1)
        self._sending = asyncio.Lock()
        self._unread: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.dead: asyncio.Future[str] | None = None
        """Done, with the reason, when the port died by itself."""

    async def connect(self, address: str, timeout_s: float) -> None:
        """Open the port `address`."""
        self._decoder, self._partial_text, self._lost = FrameDecoder(), b"", None
        self.dead = asyncio.get_running_loop().create_future()
        self._port = await open_port(address, self._received, self._died, timeout_s)

    async def disconnect(self) -> None:
        """Close the port; requests under way fail."""
        port, self._port = self._port, None
        if port is not None:
            await port.close()
        self._fail("the port was closed")

    def initialize(self, smp_server_transport_buffer_size: int) -> None:
        """Take the device's buffer size (MCUMGR parameter buf_size), in bytes."""
        self._smp_server_transport_buffer_size = smp_server_transport_buffer_size

    def set_window(self, requests: int) -> None:
        """Allow so many requests on the wire at once (call while none is under way)."""
        self._slots = asyncio.Semaphore(max(1, requests))

    @property
    def mtu(self) -> int:
        """Bytes that the device's buffer takes."""
        return self._smp_server_transport_buffer_size or DEFAULT_BUFFER

    @property
    def max_unencoded_size(self) -> int:
        """Bytes of the largest message that the device takes."""
        return min(self.mtu - FRAME_OVERHEAD, MAX_MESSAGE_SIZE)

    async def send_and_receive(self, data: bytes) -> bytes:
        """Send one request and wait for its answer; cancel it to give up."""
        async with self._slots:
            wire, waiting = self._register(data)
            try:
                waiting.way = await self._write(wire)
                answer = await waiting.future
            except asyncio.CancelledError:
                if self.cobs and (waiting.future.cancelled() or not waiting.future.done()):
                    self.loss.lost(waiting.way)
                raise
            finally:
                self._waiting.pop(wire[SEQUENCE_AT], None)
        return answer[:SEQUENCE_AT] + bytes([waiting.sequence]) + answer[SEQUENCE_AT + 1 :]

    async def send(self, data: bytes) -> None:
        """Send a message; its answer goes to `receive`."""
        await self._write(data)

    async def receive(self) -> bytes:
        """Wait for a message that no request of `send_and_receive` waits for."""
        message = await self._unread.get()
        if message is None:
            raise LinkLostError(self._lost or "the port died")
        return message

    def _register(self, data: bytes) -> tuple[bytes, _Waiting]:
        if len(data) < HEADER_SIZE:
            raise ValueError("shorter than an SMP header")
        for _ in range(256):
            sequence = self._next
            self._next = (self._next + 1) & 0xFF
            if sequence not in self._waiting:
                break
        else:
            raise LinkLostError("256 requests without an answer")
        # The answer's op is the request's plus one: https://docs.zephyrproject.org/latest/services/device_mgmt/smp_protocol.html
        key = ((data[0] & 7) + 1, data[4:6], data[7])
        waiting = _Waiting(asyncio.get_running_loop().create_future(), data[SEQUENCE_AT], key)
        self._waiting[sequence] = waiting
        self.counters.requests += 1
        return data[:SEQUENCE_AT] + bytes([sequence]) + data[SEQUENCE_AT + 1 :], waiting

    async def _write(self, message: bytes) -> Way | None:
        if self._lost is not None or self._port is None:
            raise LinkLostError(self._lost or "the port is not open")
        way = self.loss.way if self.cobs else None
        if way is not None:
            frames = self._in_cells(message, way)
        else:
            frames = frame(message) if self.cobs else encode_frames(message, self._line_length)
        async with self._sending:
            await self._port.write(frames)
        self.counters.sent_bytes += len(frames)
        return way

    def _in_cells(self, message: bytes, way: Way) -> bytes:
        k, cells = cells_of(message, way, number=self._number, report=self._decoder.cells.report)
        self._number = (self._number + 1) % NUMBERS
        wire = wire_of(cells)
        self.counters.cell_bytes += len(wire)
        self.counters.parity_bytes += len(wire) * (len(cells) - k) // len(cells)
        return wire

    def _received(self, data: bytes) -> None:
        self.counters.received_bytes += len(data)
        for event in self._decoder.feed(data):
            match event:
                case Message(message, cobs, way, report):
                    self.answered_in_cobs = cobs
                    cells = self._decoder.cells
                    self.loss.answered(way, report, cells.report, cells.size)
                    self._answer(message)
                case Text():
                    self._text(event)
                case BadFrame():
                    self.counters.bad_frames += 1

    def _answer(self, message: bytes) -> None:
        if len(message) < HEADER_SIZE:
            self.counters.bad_frames += 1
            return
        waiting = self._waiting.get(message[SEQUENCE_AT])
        if waiting is None or waiting.future.done() or waiting.key != (message[0] & 7, message[4:6], message[7]):
            self.counters.unexpected += 1
            if self._unread.qsize() < 16:  # noqa: PLR2004 - only smpclient's bare send/receive reads them
                self._unread.put_nowait(message)
            return
        waiting.future.set_result(message)

    def _text(self, event: Text) -> None:
        self._partial_text += event.data
        if not event.ends_line and len(self._partial_text) < LINE_LENGTH * 8:
            return
        line = self._partial_text.decode("utf-8", "replace")
        self._partial_text = b""
        self.console.append(line)
        if self._on_text is not None:
            self._on_text(line)

    def _died(self, reason: str) -> None:
        self._fail(reason)
        if self.dead is not None and not self.dead.done():
            self.dead.set_result(reason)

    def _fail(self, reason: str) -> None:
        self._lost = reason
        for waiting in self._waiting.values():
            if not waiting.future.done():
                waiting.future.set_exception(LinkLostError(f"the link died: {reason}"))
        self._unread.put_nowait(None)
