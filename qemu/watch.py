# SPDX-License-Identifier: Apache-2.0
"""Sees what goes over a broker about one device, with the time of each message: for the demo and for tests.

Contract: `async with watch_device(broker, name) as watch` sees everything published from then on (and the retained
state). `await watch.state(predicate)` and `watch.log(predicate)` wait for the first message, from `since` on, that
satisfies it. Times are seconds of time.monotonic() at arrival.
Does NOT publish.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from agent.errors import MessageError
from agent.messages import Desired, LogLine, State
from agent.topics import Topics
from qemu.errors import QemuError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from paho.mqtt.properties import Properties
    from paho.mqtt.reasoncodes import ReasonCode

    from qemu.broker import Broker

__all__ = ["Seen", "Watch", "watch_device"]

CONNECT_TIMEOUT_S = 60.0

M = TypeVar("M", Desired, LogLine, State)


@dataclass(frozen=True)
class Seen(Generic[M]):
    """A message and when it came."""

    at_s: float
    message: M


@dataclass
class Watch:
    """Everything seen so far, by kind."""

    desired: list[Seen[Desired]] = field(default_factory=list)
    states: list[Seen[State]] = field(default_factory=list)
    logs: list[Seen[LogLine]] = field(default_factory=list)
    bad: list[str] = field(default_factory=list)
    on_log: Callable[[LogLine], None] | None = None
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    async def wait(
        self, seen: list[Seen[M]], predicate: Callable[[M], bool], timeout_s: float, since: int = 0
    ) -> Seen[M]:
        """Wait for the first message of a list, from index `since` on, that satisfies the predicate.

        Raises:
            TimeoutError: none came.

        """
        async with asyncio.timeout(timeout_s):
            while True:
                for entry in seen[since:]:
                    if predicate(entry.message):
                        return entry
                since = len(seen)
                self._news.clear()
                await self._news.wait()

    def take(self, topics: Topics, topic: str, body: bytes) -> None:
        """File one message."""
        now = time.monotonic()
        try:
            if topic == topics.desired:
                self.desired.append(Seen(now, Desired.parse(body)))
            elif topic == topics.state:
                self.states.append(Seen(now, State.parse(body)))
            elif topic == topics.log:
                line = LogLine.parse(body)
                self.logs.append(Seen(now, line))
                if self.on_log is not None:
                    self.on_log(line)
        except MessageError as error:
            self.bad.append(f"{topic}: {error}")
        self._news.set()


@contextlib.asynccontextmanager
async def watch_device(
    broker: Broker, name: str, on_log: Callable[[LogLine], None] | None = None
) -> AsyncIterator[Watch]:
    """Watch a device's topics for the time of the block.

    Raises:
        QemuError: the broker cannot be reached.

    """
    loop = asyncio.get_running_loop()
    topics = Topics(name)
    watch = Watch(on_log=on_log)
    subscribed = asyncio.Event()
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)

    def connected(
        client: mqtt.Client, _data: object, _flags: mqtt.ConnectFlags, _code: ReasonCode, _properties: Properties | None
    ) -> None:
        client.subscribe([(topic, 1) for topic in (topics.desired, topics.state, topics.log)])

    def done(*_: object) -> None:
        loop.call_soon_threadsafe(subscribed.set)

    def arrived(_client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        loop.call_soon_threadsafe(watch.take, topics, message.topic, bytes(message.payload))

    client.on_connect, client.on_subscribe, client.on_message = connected, done, arrived
    try:
        await asyncio.to_thread(client.connect, broker.host, broker.port)
        client.loop_start()
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            await subscribed.wait()
    except OSError as error:  # TimeoutError is one
        client.loop_stop()
        raise QemuError(f"{broker.url}: cannot be reached: {error}") from error
    try:
        yield watch
    finally:
        client.disconnect()
        await asyncio.to_thread(client.loop_stop)
