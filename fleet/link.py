# SPDX-License-Identifier: Apache-2.0
"""The server's connection to the broker: kept up for ever, its subscriptions renewed, sending bounded.

Contract: `run` connects, and connects again, until it is cancelled; each time `on_connected` is called after the
subscriptions. `deliver` is called on the loop for each message and must not wait. `send` hands a message over and
raises BrokerError while there is no connection, or (QoS 0) while `max_buffered` bytes wait for the socket: the asker
asks again. `publish` is for QoS 1: it returns when the broker has it, at most IN_FLIGHT at a time. `publish_all` is for
many: it says which ones the broker has.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import sys
import uuid
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from agent.errors import BrokerError
from agent.mqtt import BrokerAddress
from fleet.mqtt_connection import LOST, MqttConnection
from fleet.mqtt_packets import FAILURE, Connect, Publish

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["Link"]

RECONNECT_S = (0.1, 3.0)
IN_FLIGHT = 512
"""QoS 1 messages handed over and not acknowledged."""
ACK_TIMEOUT_S = 30.0
RECEIVE_MAXIMUM = 1000
KEEPALIVE_S = 30
AT_ONCE = 128
"""Messages of many that are written before the loop gets its turn."""

_Key = TypeVar("_Key")


class Link:
    """One worker's connection."""

    def __init__(
        self,
        url: str,
        *,
        deliver: Callable[[Publish], None],
        on_connected: Callable[[], None],
        ca: str = "",
        max_buffered: int = 8 << 20,
    ) -> None:
        self.address = BrokerAddress.parse(url)
        self._deliver = deliver
        self._on_connected = on_connected
        self._max_buffered = max_buffered
        self._tls = ssl.create_default_context(cafile=ca or None) if self.address.tls else None
        self._subscriptions: dict[str, int] = {}
        self._connection: MqttConnection | None = None
        self._flying = asyncio.Semaphore(IN_FLIGHT)
        self._client_id = f"wasel-server-{uuid.uuid4().hex[:12]}"
        self.connected = asyncio.Event()
        self.reconnections = 0

    async def run(self) -> None:
        """Stay connected."""
        wait_s = RECONNECT_S[0]
        while True:
            lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
            try:
                connection = await self._open(lost)
                try:
                    wait_s = RECONNECT_S[0]
                    await self._session(connection, lost)
                finally:
                    self.connected.clear()
                    self._connection = None
                    connection.close()
            except BrokerError as error:
                print(f"wasel fleet: broker {self.address}: {error}", file=sys.stderr, flush=True)
            self.reconnections += 1
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 2, RECONNECT_S[1])

    async def _open(self, lost: asyncio.Future[str]) -> MqttConnection:
        def on_lost(reason: str) -> None:
            if not lost.done():
                lost.set_result(reason)

        return await MqttConnection.open(
            self.address.host,
            self.address.port,
            Connect(
                self._client_id,
                self.address.user,
                self.address.password,
                keepalive_s=KEEPALIVE_S,
                receive_maximum=RECEIVE_MAXIMUM,
            ),
            self._deliver,
            on_lost,
            tls=self._tls,
        )

    async def _session(self, connection: MqttConnection, lost: asyncio.Future[str]) -> None:
        self._connection = connection
        done: dict[str, int] = {}
        while todo := {topic: qos for topic, qos in self._subscriptions.items() if topic not in done}:
            await self._subscribe(connection, todo)  # others may be wished for meanwhile
            done |= todo
        self.connected.set()
        self._on_connected()
        raise BrokerError(await lost)

    async def _subscribe(self, connection: MqttConnection, topics: dict[str, int]) -> None:
        if topics and any(reason >= FAILURE for reason in await connection.subscribe(topics.items())):
            raise BrokerError("refused a subscription of the server: what may its login read?")

    async def subscribe(self, topics: dict[str, int]) -> None:
        """Subscribe to filters (with their QoS) now and after every reconnection."""
        self._subscriptions |= topics
        if self._connection is not None and self.connected.is_set():
            await self._subscribe(self._connection, topics)

    async def unsubscribe(self, *topics: str) -> None:
        """Take subscriptions back."""
        for topic in topics:
            self._subscriptions.pop(topic, None)
        if self._connection is not None and self.connected.is_set():
            with contextlib.suppress(BrokerError):  # a connection that is lost has no subscriptions
                await self._connection.unsubscribe(topics)

    @property
    def room(self) -> bool:
        """Whether a QoS 0 message may be sent now."""
        return self._connection is not None and self._connection.buffered < self._max_buffered

    @property
    def buffered(self) -> int:
        """Bytes that wait for the socket."""
        return self._connection.buffered if self._connection is not None else 0

    def send(self, topic: bytes, body: bytes) -> None:
        """Send with QoS 0. BrokerError."""
        connection = self._connection
        if connection is None or not self.room:
            raise BrokerError("no connection, or too much is waiting")
        connection.publish(topic, body)

    async def publish(self, topic: bytes, body: bytes, *, retain: bool = False) -> None:
        """Send with QoS 1. BrokerError: the broker does not have it."""
        async with self._flying:
            connection = self._connection
            if connection is None or not self.connected.is_set():
                raise BrokerError("no connection at the moment")
            acked: asyncio.Future[int] = asyncio.get_running_loop().create_future()

            def done(reason: int) -> None:
                if not acked.done():
                    acked.set_result(reason)

            connection.publish(topic, body, qos=1, retain=retain, acked=done)
            try:
                async with asyncio.timeout(ACK_TIMEOUT_S):
                    reason = await acked
            except TimeoutError:
                raise BrokerError(f"no acknowledgement within {ACK_TIMEOUT_S:g} s") from None
            if reason == LOST:
                raise BrokerError("the connection was lost before the acknowledgement")
            if reason >= FAILURE:
                raise BrokerError(f"refused a message: reason code 0x{reason:02x}")

    async def publish_all(self, messages: Iterable[tuple[_Key, bytes, bytes]]) -> list[_Key]:
        """Publish keys, topics and bodies, retained, with QoS 1; gives the keys of what the broker has."""
        connection = self._connection
        if connection is None or not self.connected.is_set():
            return []
        done: list[_Key] = []
        flying = 0
        less = asyncio.Event()

        def acked(key: _Key, reason: int) -> None:
            nonlocal flying
            flying -= 1
            if 0 <= reason < FAILURE:
                done.append(key)
            less.set()

        async def until_below(limit: int) -> None:
            while flying >= limit:
                less.clear()
                async with asyncio.timeout(ACK_TIMEOUT_S):
                    await less.wait()

        with contextlib.suppress(TimeoutError, BrokerError):  # what has no acknowledgement is published again
            for number, (key, topic, body) in enumerate(messages):
                await until_below(IN_FLIGHT)
                connection.publish(topic, body, qos=1, retain=True, acked=partial(acked, key))
                flying += 1
                if number % AT_ONCE == 0:
                    await asyncio.sleep(0)
            await until_below(1)
        return done
