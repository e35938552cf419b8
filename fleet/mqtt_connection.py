# SPDX-License-Identifier: Apache-2.0
"""One MQTT 5 connection as an asyncio protocol, light enough for ten thousand of them in a process on one core.

Contract: `await MqttConnection.open(...)` gives a connected client or raises `BrokerError`; from then on `on_publish`
and `on_lost` are called on the loop. `publish` of QoS 1 keeps the receive maximum of the broker: what is above waits
here, in order, at most `MAX_WAITING`; who waits for an acknowledgement when the connection goes is told LOST. What is
written in one turn of the loop goes to the socket in one call; what comes in at once is handled in short turns, and
nothing more is read meanwhile. A received QoS 1 message is acknowledged after `on_publish` has returned; if that raises
`Refuse`, the connection is cut without an acknowledgement, as by a process that died there. Keep-alive is by itself.

Does NOT: connect again (its owner decides when), keep a session over connections.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from typing import TYPE_CHECKING, Self

from agent.errors import BrokerError, MessageError
from fleet.mqtt_packets import (
    DISCONNECT,
    FAILURE,
    PINGREQ,
    ConnAck,
    Connect,
    Decoder,
    Disconnect,
    Packet,
    PubAck,
    Publish,
    SubAck,
    encode_connect,
    encode_puback,
    encode_publish,
    encode_subscribe,
    encode_unsubscribe,
)

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable

__all__ = ["LOST", "MqttConnection", "Refuse"]

OPEN_TIMEOUT_S = 60.0
"""Generous: ten thousand connect at once."""
MAX_WAITING = 1024
AT_ONCE = 16
TURN_S = 0.005
"""Packets are handled for so long, AT_ONCE between two looks at the clock, before the loop gets its turn."""
END, LOST = -1, -2
"""In place of a reason code: the answer is whole; the connection went before it came."""


class Refuse(Exception):  # noqa: N818 - not an error: an order to the connection
    """The message was not taken: cut the connection before it is acknowledged."""


class MqttConnection(asyncio.Protocol):
    """A connection."""

    __slots__ = (
        "_acks",
        "_connect",
        "_decoder",
        "_flying",
        "_inbox",
        "_keepalive_s",
        "_last_s",
        "_limit",
        "_loop",
        "_next_id",
        "_on_lost",
        "_on_publish",
        "_opened",
        "_out",
        "_out_size",
        "_paused",
        "_subscribing",
        "_timer",
        "_transport",
        "_waiting",
    )

    def __init__(
        self,
        connect: Connect,
        on_publish: Callable[[Publish], None],
        on_lost: Callable[[str], None],
    ) -> None:
        self._connect = connect
        self._on_publish = on_publish
        self._on_lost: Callable[[str], None] | None = on_lost
        self._loop = asyncio.get_running_loop()
        self._decoder = Decoder()
        self._transport: asyncio.Transport | None = None
        self._opened: asyncio.Future[ConnAck] = self._loop.create_future()
        self._acks: dict[int, Callable[[int], None]] = {}
        """By packet identifier: told the reason code of the acknowledgement."""
        self._subscribing: dict[int, Callable[[int], None]] = {}
        """By packet identifier: told each reason code, then END; LOST if there is no answer."""
        self._out: list[bytes] = []
        """Written in this turn of the loop."""
        self._out_size = 0
        self._inbox: deque[Packet] = deque()
        """Not handled yet; nothing is read from the socket meanwhile."""
        self._paused = False
        self._flying = 0
        self._limit = 1
        self._next_id = 0
        self._waiting: deque[tuple[bytes, bytes, bool, Callable[[int], None] | None]] = deque()
        self._keepalive_s = float(connect.keepalive_s)
        self._last_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    @classmethod
    async def open(
        cls,
        host: str,
        port: int,
        connect: Connect,
        on_publish: Callable[[Publish], None],
        on_lost: Callable[[str], None],
        *,
        tls: ssl.SSLContext | None = None,
        timeout_s: float = OPEN_TIMEOUT_S,
    ) -> Self:
        """Connect; the broker has accepted when this returns."""
        client = cls(connect, on_publish, on_lost)
        try:
            async with asyncio.timeout(timeout_s):
                await client._loop.create_connection(
                    lambda: client, host, port, ssl=tls, server_hostname=host if tls else None
                )
                answer = await client._opened
        except TimeoutError:
            client.abort()
            raise BrokerError(f"broker {host}:{port}: no answer within {timeout_s:g} s") from None
        except OSError as error:
            client.abort()
            raise BrokerError(f"broker {host}:{port}: {error}") from error
        except BaseException:
            client.abort()
            raise
        if answer.reason >= FAILURE:
            client.abort()
            raise BrokerError(f"broker {host}:{port}: refused the connection: reason code 0x{answer.reason:02x}")
        client._limit = answer.receive_maximum
        client._keepalive_s = float(answer.keepalive_s or connect.keepalive_s)
        client._tick()
        return client

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say CONNECT."""
        self._transport = transport  # type: ignore[assignment]
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._write(encode_connect(self._connect))

    def data_received(self, data: bytes) -> None:
        """Handle what came."""
        try:
            self._inbox.extend(self._decoder.feed(data))
        except MessageError as error:
            self._lost(str(error))
            return
        self._work()

    def _work(self) -> None:
        """Handle packets for a moment; what is left comes after whatever else the loop has to do."""
        ends_s = 0.0
        try:
            while self._inbox:
                for _ in range(AT_ONCE):
                    if not self._inbox:  # all done, or the connection is gone
                        break
                    self._handle(self._inbox.popleft())
                now_s = self._loop.time()
                ends_s = ends_s or now_s + TURN_S
                if now_s >= ends_s:
                    break
        except MessageError as error:
            self._lost(str(error))
        except Refuse:
            self._lost("cut before the acknowledgement")
        if bool(self._inbox) != self._paused and self._transport is not None:
            self._paused = not self._paused
            (self._transport.pause_reading if self._paused else self._transport.resume_reading)()
        if self._inbox:
            self._loop.call_soon(self._work)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the owner, once."""
        self._lost(str(exc) if exc else "the broker closed the connection")

    # For the owner

    @property
    def is_open(self) -> bool:
        """Whether messages can be sent."""
        return self._on_lost is not None and self._transport is not None

    @property
    def buffered(self) -> int:
        """Bytes that were sent and the socket has not taken yet."""
        return self._transport.get_write_buffer_size() + self._out_size if self._transport is not None else 0

    def publish(
        self,
        topic: bytes,
        body: bytes,
        *,
        qos: int = 0,
        retain: bool = False,
        acked: Callable[[int], None] | None = None,
    ) -> None:
        """Send a message; `acked` gets the reason code of a QoS 1 message's acknowledgement, or LOST."""
        if not self.is_open:
            raise BrokerError("the connection is gone")
        if qos == 0:
            self._write(encode_publish(topic, body, retain=retain))
        elif self._flying >= self._limit:
            if len(self._waiting) >= MAX_WAITING:
                raise BrokerError(f"{MAX_WAITING} messages wait for the broker already")
            self._waiting.append((topic, body, retain, acked))
        else:
            self._send(topic, body, retain, acked)

    async def subscribe(self, topics: Iterable[tuple[str, int]], timeout_s: float = OPEN_TIMEOUT_S) -> bytes:
        """Subscribe to pairs of filter and QoS; gives the reason codes, one each."""
        wanted = list(topics)
        return await self._ask(lambda number: encode_subscribe(number, wanted), timeout_s)

    async def unsubscribe(self, topics: Iterable[str], timeout_s: float = OPEN_TIMEOUT_S) -> bytes:
        """Take subscriptions back; gives the reason codes, one each."""
        wanted = list(topics)
        return await self._ask(lambda number: encode_unsubscribe(number, wanted), timeout_s)

    async def _ask(self, encode: Callable[[int], bytes], timeout_s: float) -> bytes:
        if not self.is_open:
            raise BrokerError("the connection is gone")
        packet_id = self._packet_id()
        future: asyncio.Future[int] = self._loop.create_future()
        reasons = bytearray()

        def done(code: int) -> None:
            if code >= 0:
                reasons.append(code)
            elif not future.done():
                future.set_result(code)

        self._subscribing[packet_id] = done
        self._write(encode(packet_id))
        try:
            async with asyncio.timeout(timeout_s):
                answered = await future
            if answered == LOST:
                raise BrokerError("the connection was lost before the broker answered a subscription")
        except TimeoutError:
            raise BrokerError(f"the broker does not answer a subscription within {timeout_s:g} s") from None
        return bytes(reasons)

    def close(self) -> None:
        """Leave in order: the broker sends no will."""
        if self.is_open:
            self._write(DISCONNECT)
        self._on_lost = None
        self._end()

    def abort(self) -> None:
        """Vanish, as a process that is killed: the broker sends the will."""
        self._on_lost = None
        self._flush()
        if self._transport is not None:
            self._transport.abort()
        self._end()

    # Inside

    def _write(self, data: bytes) -> None:
        if self._transport is None:
            return
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out.append(data)
        self._out_size += len(data)

    def _flush(self) -> None:
        if self._out and self._transport is not None:
            self._last_s = self._loop.time()
            self._transport.write(self._out[0] if len(self._out) == 1 else b"".join(self._out))
        self._out = []
        self._out_size = 0

    def _packet_id(self) -> int:
        while True:
            self._next_id = self._next_id % 65535 + 1
            if self._next_id not in self._acks and self._next_id not in self._subscribing:
                return self._next_id

    def _send(self, topic: bytes, body: bytes, retain: bool, acked: Callable[[int], None] | None) -> None:
        packet_id = self._packet_id()
        self._acks[packet_id] = acked or (lambda _: None)
        self._flying += 1
        self._write(encode_publish(topic, body, qos=1, retain=retain, packet_id=packet_id))

    def _handle(self, packet: Packet) -> None:
        if isinstance(packet, Publish):
            self._on_publish(packet)
            if packet.qos:
                self._write(encode_puback(packet.packet_id))
        elif isinstance(packet, PubAck):
            self._acknowledged(packet)
        elif isinstance(packet, ConnAck):
            if self._opened.done():
                raise MessageError("broker: a second CONNACK")
            self._opened.set_result(packet)
        elif isinstance(packet, SubAck):
            self._subscribed(packet)
        elif isinstance(packet, Disconnect):
            self._lost(f"the broker ended the connection: reason code 0x{packet.reason:02x}")

    def _acknowledged(self, packet: PubAck) -> None:
        entry = self._acks.pop(packet.packet_id, None)
        if entry is not None:
            self._flying -= 1
            if self._waiting:
                self._send(*self._waiting.popleft())
            entry(packet.reason)

    def _subscribed(self, packet: SubAck) -> None:
        entry = self._subscribing.pop(packet.packet_id, None)
        if entry is not None:
            for reason in packet.reasons:
                entry(reason)
            entry(END)

    def _tick(self) -> None:
        """Keep the connection alive (3.1.2.10)."""
        if not self.is_open:
            return
        idle_s = self._loop.time() - self._last_s
        period_s = self._keepalive_s * 0.75
        if idle_s >= period_s:
            self._write(PINGREQ)
            idle_s = 0.0
        self._timer = self._loop.call_later(period_s - idle_s + 0.01, self._tick)

    def _lost(self, reason: str) -> None:
        tell, self._on_lost = self._on_lost, None
        self._flush()
        if self._transport is not None:
            self._transport.abort()
        self._end()
        if not self._opened.done():
            self._opened.set_exception(BrokerError(reason))
        elif tell is not None:
            tell(reason)

    def _end(self) -> None:
        self._flush()
        self._inbox.clear()
        asked, self._subscribing = self._subscribing, {}
        flying, self._acks = self._acks, {}
        waiting, self._waiting = self._waiting, deque()
        for entry in (*asked.values(), *flying.values(), *(acked for *_, acked in waiting if acked is not None)):
            entry(LOST)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._transport is not None:
            self._transport.close()
            self._transport = None
