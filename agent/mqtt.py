# SPDX-License-Identifier: Apache-2.0
"""An MQTT 5 connection on asyncio; paho-mqtt does the protocol in its own thread.

Contract: `connect` either succeeds or raises `BrokerError` with the reason within its timeout; later losses are
repaired in the background for ever; `on_connected` is called on the loop after each connection, subscriptions renewed.
`publish` returns when the message is on the wire (QoS 0) or acknowledged (QoS 1). At most `MAX_PENDING` received
messages wait for the loop: beyond that paho's thread waits, and TCP slows the broker down. No state on disk: paho's
session is forgotten with the process, which is why everything here is retained, pulled again, or in an outbox.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self
from urllib.parse import unquote, urlsplit

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from agent.errors import BrokerError, LoginRefusedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from paho.mqtt.reasoncodes import ReasonCode

__all__ = ["DEFAULT_URL", "Broker", "BrokerAddress"]

DEFAULT_URL = "mqtt://127.0.0.1:1883"
KEEPALIVE_S = 15
MAX_PENDING = 256
"""Received messages that the loop has not handled yet."""
RECEIVE_MAXIMUM = 64
"""QoS 1 messages that the broker may have under way to us."""
MAX_PACKET = 512 * 1024
"""Bytes of the largest packet the broker may send us."""


@dataclass(frozen=True)
class BrokerAddress:
    """Where a broker is: mqtt://[user:password@]host[:port], mqtts:// for TLS."""

    host: str
    port: int
    tls: bool = False
    user: str | None = None
    password: str | None = None

    @classmethod
    def parse(cls, url: str) -> Self:
        """Split a URL or raise `UsageError`."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise UsageError(f"broker {url!r}: {error}") from None
        if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname or parts.path.strip("/"):
            raise UsageError(f"broker {url!r}: write it as mqtt://HOST:PORT or mqtts://USER:PASSWORD@HOST:PORT")
        tls = parts.scheme == "mqtts"
        return cls(
            parts.hostname,
            port or (8883 if tls else 1883),
            tls,
            unquote(parts.username) if parts.username else None,
            unquote(parts.password) if parts.password else None,
        )

    def __str__(self) -> str:
        return f"{'mqtts' if self.tls else 'mqtt'}://{self.host}:{self.port}"


class Broker:
    """One connection; an async context manager."""

    def __init__(
        self,
        url: str,
        *,
        on_message: Callable[[str, bytes], None],
        on_connected: Callable[[], None] | None = None,
        will: tuple[str, bytes] | None = None,
        client_id: str | None = None,
        timeout_s: float = 10.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.address = BrokerAddress.parse(url)
        self._on_message = on_message
        self._on_connected = on_connected
        self._timeout_s = timeout_s
        self._loop = asyncio.get_running_loop()
        self._subscriptions: dict[str, int] = {}
        self._sent: dict[int, asyncio.Future[None]] = {}
        self._room = threading.BoundedSemaphore(MAX_PENDING)
        self._closing = False
        self._first: asyncio.Future[None] = self._loop.create_future()
        self.connected = asyncio.Event()
        client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id=client_id or f"wasel-{uuid.uuid4().hex[:12]}", protocol=paho.MQTTv5
        )
        if self.address.user is not None:
            client.username_pw_set(self.address.user, self.address.password)
        self._tls = (tls or ssl.create_default_context()) if self.address.tls else None
        if self._tls is not None:
            client.tls_set_context(self._tls)
        if will is not None:
            client.will_set(will[0], will[1], qos=1, retain=True)
        client.reconnect_delay_set(min_delay=1, max_delay=5)
        client.on_connect = self._paho_connect
        client.on_disconnect = self._paho_disconnect
        client.on_message = self._paho_message
        client.on_publish = self._paho_publish
        client.on_socket_open = self._paho_socket
        self._client = client

    async def connect(self) -> None:
        """Connect for the first time."""
        try:
            async with asyncio.timeout(self._timeout_s):
                # Paho does not say why a connection failed: try the way to the broker first.
                _, writer = await asyncio.open_connection(self.address.host, self.address.port, ssl=self._tls)
                writer.close()
                properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
                properties.ReceiveMaximum = RECEIVE_MAXIMUM
                properties.MaximumPacketSize = MAX_PACKET
                self._client.connect_async(
                    self.address.host, self.address.port, KEEPALIVE_S, clean_start=True, properties=properties
                )
                self._client.loop_start()
                await self._first
        except TimeoutError:
            await self.close()
            raise BrokerError(f"broker {self.address}: no answer within {self._timeout_s:g} s") from None
        except ssl.SSLError as error:
            await self.close()
            raise BrokerError(f"broker {self.address}: TLS: {error.reason or error}; is it the right CA?") from error
        except OSError as error:
            await self.close()
            reason = error.strerror or str(error)
            raise BrokerError(f"broker {self.address}: {reason}; is it running, and is the address right?") from error
        except BrokerError:
            await self.close()
            raise

    async def close(self) -> None:
        """Disconnect in order (the broker sends no will)."""
        self._closing = True
        with contextlib.suppress(ValueError):
            self._room.release(MAX_PENDING)
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)
        self._fail("the connection was closed")

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def subscribe(self, *topics: str, qos: int = 0) -> None:
        """Subscribe now and after every reconnection, in this order."""
        fresh = dict.fromkeys(topics, qos)
        self._subscriptions |= fresh
        if self.connected.is_set():
            self._client.subscribe(list(fresh.items()))

    def unsubscribe(self, topic: str) -> None:
        """Want a topic no more."""
        if self._subscriptions.pop(topic, None) is not None and self.connected.is_set():
            self._client.unsubscribe(topic)

    async def publish(self, topic: str, payload: bytes, *, qos: int = 0, retain: bool = False) -> None:
        """Send a message; raises `BrokerError` if it cannot be delivered now."""
        if not self.connected.is_set():
            raise BrokerError(f"broker {self.address}: not connected at the moment")
        info = self._client.publish(topic, payload, qos=qos, retain=retain)
        if info.rc != paho.MQTT_ERR_SUCCESS:
            raise BrokerError(f"broker {self.address}: {paho.error_string(info.rc)}")
        future: asyncio.Future[None] = self._loop.create_future()
        self._sent[info.mid] = future
        try:
            async with asyncio.timeout(self._timeout_s):
                await future
        except TimeoutError:
            raise BrokerError(f"broker {self.address}: no acknowledgement within {self._timeout_s:g} s") from None
        finally:
            self._sent.pop(info.mid, None)

    # What follows runs in paho's thread and hands over to the loop.

    def _post(self, function: Callable[..., None], *arguments: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is gone: nobody is left to tell
            self._loop.call_soon_threadsafe(function, *arguments)

    @staticmethod
    def _paho_socket(_client: paho.Client, _data: object, sock: object) -> None:
        # Small messages one after the other: Nagle's algorithm would hold each back for a delayed ACK, 40 ms.
        if isinstance(sock, socket.socket):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _paho_connect(
        self, _client: paho.Client, _data: object, _flags: object, reason: ReasonCode, _properties: object
    ) -> None:
        if reason.is_failure:
            self._post(self._refused, str(reason))
            return
        if self._subscriptions:
            self._client.subscribe(list(self._subscriptions.items()))
        self._post(self._up)

    def _paho_disconnect(
        self, _client: paho.Client, _data: object, _flags: object, reason: ReasonCode, _properties: object
    ) -> None:
        self._post(self._down, str(reason))

    def _paho_message(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        if not self._closing:
            self._room.acquire()
            self._post(self._deliver, message.topic, message.payload)

    def _paho_publish(
        self, _client: paho.Client, _data: object, mid: int, reason: ReasonCode, _properties: object
    ) -> None:
        self._post(self._acknowledged, mid, str(reason) if reason.is_failure else "")

    # What follows runs on the loop.

    def _up(self) -> None:
        self.connected.set()
        if not self._first.done():
            self._first.set_result(None)
        if self._on_connected is not None and not self._closing:
            self._on_connected()

    def _refused(self, reason: str) -> None:
        if not self._first.done():
            self._first.set_exception(LoginRefusedError(f"broker {self.address}: refused the connection: {reason}"))

    def _down(self, reason: str) -> None:
        self.connected.clear()
        self._fail(reason)

    def _fail(self, reason: str) -> None:
        for future in self._sent.values():
            if not future.done():
                future.set_exception(BrokerError(f"broker {self.address}: connection lost: {reason}"))

    def _acknowledged(self, mid: int, problem: str) -> None:
        future = self._sent.get(mid)
        if future is None or future.done():
            return
        if problem:
            future.set_exception(BrokerError(f"broker {self.address}: message refused: {problem}"))
        else:
            future.set_result(None)

    def _deliver(self, topic: str, payload: bytes) -> None:
        with contextlib.suppress(ValueError):  # close() released them all
            self._room.release()
        if not self._closing:
            self._on_message(topic, payload)
