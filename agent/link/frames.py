# SPDX-License-Identifier: Apache-2.0
r"""SMP on a serial line, pure: bytes in, events out; the standard console framing (mcumgr), COBS frames, and cells.

A message travels as lines. The first line begins with 06 09, the following ones with 04 14, each ends with '\n' and
carries base64 of `u16 length, message, u16 CRC-16/XMODEM of the message`, both big endian; the length counts message
and CRC. Bytes outside such lines are console text.
Source: https://docs.zephyrproject.org/latest/services/device_mgmt/smp_transport.html#uart-serial-and-console

Decoder states::

    TEXT --06 09--> LINE(start)    TEXT --04 14--> LINE(continue)
    LINE --'\n'--> TEXT            (the line joins the message; a whole one becomes an event)
    LINE --06 09 or 04 14--> LINE  (the newline was lost: the line before is damaged)
    LINE --too long--> TEXT        (damaged)
    TEXT or LINE --00--> ZERO      (a line that was not ended is damaged)
    ZERO --01 or 02--> COBS        ZERO --00--> ZERO    ZERO --anything else--> TEXT
    ZERO --80 to bf--> CELL
    COBS --00--> ZERO              (the frame becomes an event: agent.link.cobs)
    CELL --00--> ZERO              (the cell that completes its frame becomes an event: agent.link.cells)

Neither marker can occur in base64, so the decoder finds the next frame after any damage. The same bytes give the same
events however they are cut. It does no retries and knows nothing of SMP headers.
"""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass, field

from agent.link.cells import CELL_CODES, Cells, Way
from agent.link.cobs import FIRST_CODES, CobsError, unframe

__all__ = ["MAX_MESSAGE_SIZE", "BadFrame", "FrameDecoder", "FrameEvent", "Message", "Text", "encode_frames"]

START = b"\x06\x09"
ZERO = b"\0"
CONTINUE = b"\x04\x14"
MAX_MESSAGE_SIZE = 0xFFFF - 2
"""Bytes: the length field counts the CRC too."""
LINE_LENGTH = 127
"""Bytes of a line with marker and newline that every mcumgr server accepts."""
MAX_LINE = 16384
"""Bytes of a received line."""
MAX_COBS = 66_000
"""Bytes of a received COBS frame."""
MAX_TEXT = 1024
"""Bytes of one text event; longer lines come in pieces."""

_NOISE = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f\xf8-\xff]")
"""What text does not have."""
_MARK = re.compile(rb"\x06\x09|\x04\x14|\n|\0")


@dataclass(frozen=True)
class Message:
    """A whole message with a good checksum."""

    data: bytes
    cobs: bool = False
    """It came in a COBS frame, or in cells."""
    way: Way | None = None
    """It came in cells of this kind."""
    report: int = 0
    """With cells: what the other side says of ours (agent.link.cells)."""


@dataclass(frozen=True)
class Text:
    """Console text outside frames, without its line end."""

    data: bytes
    ends_line: bool


@dataclass(frozen=True)
class BadFrame:
    """Something that looked like a frame and was not; the peer's request will time out."""

    reason: str


FrameEvent = Message | Text | BadFrame


def encode_frames(message: bytes, line_length: int = LINE_LENGTH) -> bytes:
    """Encode one message as console lines of at most `line_length` bytes each."""
    if len(message) > MAX_MESSAGE_SIZE:
        raise ValueError(f"message of {len(message)} bytes does not fit a frame of {MAX_MESSAGE_SIZE}")
    room = (line_length - 3) // 4 * 4
    if room <= 0:
        raise ValueError(f"line length {line_length} is below 7")
    body = (len(message) + 2).to_bytes(2, "big") + message + binascii.crc_hqx(message, 0).to_bytes(2, "big")
    text = binascii.b2a_base64(body, newline=False)
    lines = []
    for start in range(0, len(text), room):
        lines += [START if start == 0 else CONTINUE, text[start : start + room], b"\n"]
    return b"".join(lines)


@dataclass
class FrameDecoder:
    """Incremental decoder; feed it bytes as they come."""

    cells: Cells = field(default_factory=Cells)
    _buffer: bytearray = field(default_factory=bytearray)
    _mark: bytes = b""
    """Marker of the line in the buffer, empty outside frames."""
    _body: bytearray | None = None
    """What the lines of the current message decoded to, None between messages."""

    def feed(self, data: bytes) -> list[FrameEvent]:
        """Take bytes from the wire and give back what they complete."""
        self._buffer += data
        events: list[FrameEvent] = []
        while self._step(events):
            pass
        return events

    def _step(self, events: list[FrameEvent]) -> bool:
        """Handle one marker; each call that returns True shortens the buffer or leaves ZERO."""
        if self._mark == ZERO:
            return self._after_zero(events)
        match = _MARK.search(self._buffer)
        limit = MAX_LINE if self._mark else MAX_TEXT
        # A last 06 or 04 may be half a marker: it is not content yet.
        end = match.start() if match else len(self._buffer) - self._buffer.endswith((START[:1], CONTINUE[:1]))
        if end > limit:
            chunk = bytes(self._buffer[:limit])
            del self._buffer[:limit]
            if self._mark:
                self._mark, self._body = b"", None
                events.append(BadFrame(f"line over {MAX_LINE} bytes"))
            else:
                events.append(Text(chunk, ends_line=False))
            return True
        if match is None:
            return False
        content, mark = bytes(self._buffer[:end]), match.group()
        del self._buffer[: match.end()]
        if self._mark:
            self._line(content, ended=mark == b"\n", events=events)
        elif mark == b"\n":
            events.append(Text(content.removesuffix(b"\r"), ends_line=True))
        elif content and mark == ZERO and _NOISE.search(content):
            events.append(BadFrame("noise before a frame"))
        elif content:
            events.append(Text(content, ends_line=False))
        self._mark = b"" if mark == b"\n" else mark
        return True

    def _after_zero(self, events: list[FrameEvent]) -> bool:
        """Handle what follows a zero byte: another one, a COBS frame, a cell, or text again."""
        if not self._buffer:
            return False
        if self._buffer[0] == 0:
            del self._buffer[0]
            return True
        if self._buffer[0] not in FIRST_CODES and self._buffer[0] not in CELL_CODES:
            self._mark = b""
            return True
        end = self._buffer.find(ZERO)
        if end < 0 and len(self._buffer) <= MAX_COBS:
            return False
        if end < 0:
            self._buffer.clear()
            self._mark = b""
            events.append(BadFrame(f"frame over {MAX_COBS} bytes"))
            return True
        self._body = None
        self._binary(bytes(self._buffer[:end]), events)
        del self._buffer[:end]
        return True

    def _binary(self, data: bytes, events: list[FrameEvent]) -> None:
        """Handle a COBS frame or a cell."""
        if data[0] in CELL_CODES:
            broken = self.cells.broken
            content = self.cells.take(data)
            if self.cells.broken > broken:
                events.append(BadFrame("cells that lack too many"))
            if content is not None:
                events.append(Message(content.message, cobs=True, way=content.way, report=content.report))
            return
        try:
            events.append(Message(unframe(data), cobs=True))
        except CobsError as error:
            events.append(BadFrame(str(error)))

    def _line(self, content: bytes, *, ended: bool, events: list[FrameEvent]) -> None:
        if self._mark == START:
            if self._body is not None:
                events.append(BadFrame("a new message began before the last was whole"))
            self._body = bytearray()
        if self._body is None:
            events.append(BadFrame("continuation without a start"))
            return
        if not ended:
            self._body = None
            events.append(BadFrame("line without an end"))
            return
        try:
            self._body += binascii.a2b_base64(content.removesuffix(b"\r"), strict_mode=True)
        except ValueError as error:
            self._body = None
            events.append(BadFrame(str(error)))
            return
        self._finish(events)

    def _finish(self, events: list[FrameEvent]) -> None:
        body = self._body
        if body is None or len(body) < 2:  # noqa: PLR2004 - the length field
            self._body = None
            events.append(BadFrame("line without a length"))
            return
        want = int.from_bytes(body[:2], "big")
        if len(body) - 2 < want:
            return
        self._body = None
        message, crc = bytes(body[2:-2]), int.from_bytes(body[-2:], "big")
        if len(body) - 2 > want or want < 2:  # noqa: PLR2004 - the CRC
            events.append(BadFrame("length field and lines disagree"))
        elif binascii.crc_hqx(message, 0) != crc:
            events.append(BadFrame("checksum"))
        else:
            events.append(Message(message))
