# SPDX-License-Identifier: Apache-2.0
"""MQTT 5 packets of a client, pure: packets to bytes, bytes to packets. For thousands of clients in one process.

Contract: `encode_*` give one whole packet; `Decoder.feed` takes bytes as they come and gives the whole packets in
them, or raises `MessageError` for what a broker may not send. Does what our protocol (docs/MQTT.md) needs: QoS 0 and 1,
wills, retained messages, receive maximum. Does NOT: QoS 2, topic aliases (the client allows none), AUTH.
Source: OASIS MQTT 5.0; section numbers at the functions.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.errors import MessageError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "DISCONNECT",
    "PINGREQ",
    "ConnAck",
    "Connect",
    "Decoder",
    "Disconnect",
    "Packet",
    "PingResp",
    "PubAck",
    "Publish",
    "SubAck",
    "encode_connect",
    "encode_puback",
    "encode_publish",
    "encode_subscribe",
    "encode_unsubscribe",
]

MAX_PACKET = 512 * 1024
"""Bytes that the client accepts; it says so in CONNECT."""
MAX_REMAINING = 268_435_455
"""1.5.5."""
PINGREQ = b"\xc0\x00"
DISCONNECT = b"\xe0\x00"
CONNACK, PUBLISH, PUBACK, SUBACK, UNSUBACK, PINGRESP, DISCONNECT_TYPE = 2, 3, 4, 9, 11, 13, 14
FAILURE = 0x80
"""Reason codes from here on say no (2.4)."""

# 2.2.2.2: kinds of property values by identifier.
_BYTE, _TWO, _FOUR, _VARIABLE, _BINARY, _PAIR = range(6)
_KINDS = (
    dict.fromkeys((1, 23, 25, 36, 37, 40, 41, 42), _BYTE)
    | dict.fromkeys((19, 33, 34, 35), _TWO)
    | dict.fromkeys((2, 17, 24, 39), _FOUR)
    | {11: _VARIABLE, 38: _PAIR}
    | dict.fromkeys((3, 8, 9, 18, 21, 22, 26, 28, 31), _BINARY)
)
RECEIVE_MAXIMUM, MAXIMUM_PACKET, SERVER_KEEPALIVE, SESSION_EXPIRY, MESSAGE_EXPIRY = 33, 39, 19, 17, 2


@dataclass(frozen=True, slots=True)
class Connect:
    """What a client says first (3.1)."""

    client_id: str
    user: str | None = None
    password: str | None = None
    keepalive_s: int = 60
    will: tuple[str, bytes] | None = None
    """Topic and body, published retained with QoS 1."""
    clean_start: bool = True
    session_expiry_s: int = 0
    receive_maximum: int = 64


@dataclass(frozen=True, slots=True)
class ConnAck:
    """3.2."""

    session_present: bool
    reason: int
    receive_maximum: int = 65535
    keepalive_s: int | None = None


@dataclass(frozen=True, slots=True)
class Publish:
    """3.3."""

    topic: str
    body: bytes
    qos: int
    retain: bool
    dup: bool
    packet_id: int
    """0 for QoS 0."""


@dataclass(frozen=True, slots=True)
class PubAck:
    """3.4."""

    packet_id: int
    reason: int


@dataclass(frozen=True, slots=True)
class SubAck:
    """3.9."""

    packet_id: int
    reasons: bytes


@dataclass(frozen=True, slots=True)
class PingResp:
    """3.13."""


@dataclass(frozen=True, slots=True)
class Disconnect:
    """3.14, from the broker."""

    reason: int


Packet = ConnAck | Publish | PubAck | SubAck | PingResp | Disconnect


def _length(value: int) -> bytes:
    """Variable byte integer (1.5.5)."""
    if not 0 <= value <= MAX_REMAINING:
        raise ValueError(f"length {value}")
    out = bytearray()
    while True:
        value, low = value >> 7, value & 0x7F
        out.append(low | (0x80 if value else 0))
        if not value:
            return bytes(out)


def _binary(value: bytes) -> bytes:
    return struct.pack("!H", len(value)) + value


def _packet(first: int, body: bytes) -> bytes:
    return bytes((first,)) + _length(len(body)) + body


def encode_connect(connect: Connect) -> bytes:
    """3.1."""
    flags = (0x02 if connect.clean_start else 0) | (0x2C if connect.will else 0)
    flags |= (0x80 if connect.user is not None else 0) | (0x40 if connect.password is not None else 0)
    properties = struct.pack("!BHBI", RECEIVE_MAXIMUM, connect.receive_maximum, MAXIMUM_PACKET, MAX_PACKET)
    if connect.session_expiry_s:
        properties += struct.pack("!BI", SESSION_EXPIRY, connect.session_expiry_s)
    body = _binary(b"MQTT") + struct.pack("!BBH", 5, flags, connect.keepalive_s)
    body += _length(len(properties)) + properties + _binary(connect.client_id.encode())
    if connect.will:
        body += b"\0" + _binary(connect.will[0].encode()) + _binary(connect.will[1])
    if connect.user is not None:
        body += _binary(connect.user.encode())
    if connect.password is not None:
        body += _binary(connect.password.encode())
    return _packet(0x10, body)


def encode_subscribe(packet_id: int, topics: Iterable[tuple[str, int]]) -> bytes:
    """3.8; pairs of filter and QoS."""
    body = struct.pack("!H", packet_id) + b"\0"
    for topic, qos in topics:
        body += _binary(topic.encode()) + bytes((qos,))
    return _packet(0x82, body)


def encode_unsubscribe(packet_id: int, topics: Iterable[str]) -> bytes:
    """3.10."""
    return _packet(0xA2, struct.pack("!H", packet_id) + b"\0" + b"".join(_binary(topic.encode()) for topic in topics))


def encode_publish(
    topic: bytes, body: bytes, *, qos: int = 0, retain: bool = False, dup: bool = False, packet_id: int = 0
) -> bytes:
    """3.3; the topic comes encoded because it is the same each time."""
    first = 0x30 | qos << 1 | (0x01 if retain else 0) | (0x08 if dup else 0)
    head = _binary(topic) + (struct.pack("!H", packet_id) if qos else b"") + b"\0"
    return bytes((first,)) + _length(len(head) + len(body)) + head + body


def encode_puback(packet_id: int) -> bytes:
    """3.4; success."""
    return b"\x40\x02" + struct.pack("!H", packet_id)


class Decoder:
    """Bytes in, packets out."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[Packet]:
        """Take bytes; give the packets that are whole by now."""
        buffer = self._buffer + data if self._buffer else data
        packets: list[Packet] = []
        at = 0
        while True:
            header = _header(buffer, at)
            if header is None or header[1] > len(buffer):
                break
            start, end = header
            packets.append(_decode(buffer[at], buffer[start:end]))
            at = end
        self._buffer = buffer[at:]
        return packets


def _header(buffer: bytes, at: int) -> tuple[int, int] | None:
    """Give where a packet's body starts and ends, None if its length is not whole yet."""
    length = 0
    for place in range(4):
        if at + 1 + place >= len(buffer):
            return None
        byte = buffer[at + 1 + place]
        length |= (byte & 0x7F) << 7 * place
        if not byte & 0x80:
            if length > MAX_PACKET:
                raise MessageError(f"broker: a packet of {length} bytes is over {MAX_PACKET}")
            start = at + 2 + place
            return start, start + length
    raise MessageError("broker: a length of more than four bytes")


def _decode(first: int, body: bytes) -> Packet:
    kind = first >> 4
    try:
        if kind == PUBLISH:
            return _publish(first, body)
        if kind == PUBACK:
            return PubAck(int.from_bytes(body[:2], "big"), body[2] if len(body) > 2 else 0)  # noqa: PLR2004
        if kind == PINGRESP:
            return PingResp()
        if kind == CONNACK:
            values, _ = _properties(body, 2)
            return ConnAck(bool(body[0] & 1), body[1], values.get(RECEIVE_MAXIMUM, 65535), values.get(SERVER_KEEPALIVE))
        if kind in (SUBACK, UNSUBACK):
            _, at = _properties(body, 2)
            return SubAck(int.from_bytes(body[:2], "big"), body[at:])
        if kind == DISCONNECT_TYPE:
            return Disconnect(body[0] if body else 0)
    except (IndexError, UnicodeDecodeError, struct.error) as error:
        raise MessageError(f"broker: a malformed packet of type {kind}: {error}") from error
    raise MessageError(f"broker: a packet of type {kind}, which is not for clients")


def _publish(first: int, body: bytes) -> Publish:
    size = body[0] << 8 | body[1]
    at = 2 + size
    if at > len(body):
        raise IndexError("topic")
    topic = body[2:at].decode()
    qos = first >> 1 & 3
    packet_id = 0
    if qos:
        packet_id = body[at] << 8 | body[at + 1]
        at += 2
    if body[at]:
        _, at = _properties(body, at)
    else:
        at += 1
    return Publish(topic, body[at:], qos, bool(first & 1), bool(first & 8), packet_id)


def _variable(body: bytes, at: int) -> tuple[int, int]:
    value = 0
    for place in range(4):
        byte = body[at + place]
        value |= (byte & 0x7F) << 7 * place
        if not byte & 0x80:
            return value, at + place + 1
    raise IndexError("variable byte integer")


def _properties(body: bytes, at: int) -> tuple[dict[int, int], int]:
    """2.2.2: the numbers among the properties by identifier, and where they end; texts are passed over."""
    length, at = _variable(body, at)
    end = at + length
    if end > len(body):
        raise IndexError("properties")
    values: dict[int, int] = {}
    while at < end:
        identifier, kind = body[at], _KINDS.get(body[at])
        at += 1
        if kind is None:
            raise IndexError(f"property {identifier}")
        if kind in (_BINARY, _PAIR):
            for _ in range(2 if kind == _PAIR else 1):
                at += 2 + (body[at] << 8 | body[at + 1])
        elif kind == _VARIABLE:
            values[identifier], at = _variable(body, at)
        else:
            size = 1 << kind
            values[identifier] = int.from_bytes(body[at : at + size], "big")
            at += size
    if at != end:
        raise IndexError("properties")
    return values, at
