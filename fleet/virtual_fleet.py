# SPDX-License-Identifier: Apache-2.0
"""Thousands of virtual devices in one asyncio process, each with a connection, a session and a will of its own.

    VirtualDevice (pure) <── VirtualLink: connection, timer, faults ──> MqttConnection ──> broker

Contract: `async with VirtualFleet(...) as fleet` connects all devices (the ones that the broker does not take are
counted in `refused` and tried again), keeps them connected whatever happens, and closes the connections at the end, in
order. Nothing here waits for a device: each has one timer and its callbacks. A message is taken when it comes; what a
device does about it (a real one has a processor of its own) waits for its turn, so that thousands of devices that do
something at once keep nobody's messages waiting.

Source of what a device says: docs/MQTT.md; of what an agent does on a lost connection: agent/mqtt.py.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Self

from agent.errors import BrokerError
from agent.mqtt import BrokerAddress
from agent.topics import TENANT, Topics
from fleet.mqtt_connection import LOST, MqttConnection, Refuse
from fleet.mqtt_packets import Connect
from fleet.virtual_device import Out, Traits, VirtualDevice
from fleet.virtual_faults import Faults, Injected, Weather
from fleet.virtual_module import ModuleStore

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping

    from fleet.mqtt_packets import Publish

__all__ = ["Counters", "VirtualFleet", "VirtualLink"]

KEEPALIVE_S = 60
CONNECTING = 64
"""Connections that are made at the same time."""
TURNS_S = 0.005
"""Devices react for so long before the loop looks at its sockets again."""
LEAVES = (("desired", 1), ("cmd", 1), ("chunk", 0))


@dataclass
class Counters:
    """What the whole fleet has seen."""

    connects: int = 0
    refused: int = 0
    lost: int = 0
    received: int = 0
    sent: int = 0
    desired: dict[str, float] = field(default_factory=dict)
    """When each device got its last new desired state (loop time)."""


class VirtualLink:
    """One device on its broker."""

    __slots__ = (
        "_armed_s", "_attempt", "_fleet", "_leaves", "_task", "_timer", "_topics", "connection", "device", "weather",
    )  # fmt: skip

    def __init__(self, fleet: VirtualFleet, device: VirtualDevice, weather: Weather) -> None:
        self.device = device
        self.weather = weather
        self.connection: MqttConnection | None = None
        self._fleet = fleet
        topics = Topics(device.name, fleet.tenant)
        base = topics.desired.removesuffix("desired")
        self._topics = {leaf: (base + leaf).encode() for leaf in ("state", "get", "ack", "log", "met")}
        self._leaves = {base + leaf: leaf for leaf, _ in LEAVES}
        self._timer: asyncio.TimerHandle | None = None
        self._armed_s = inf
        self._attempt = 0
        self._task: asyncio.Task[None] | None = None

    # Connection

    def connect(self, after_s: float = 0.0) -> None:
        """Connect in the background, as often as it takes."""
        if self._task is None or self._task.done():
            self._task = self._fleet.loop.create_task(self._connect(after_s))

    async def _connect(self, after_s: float) -> None:
        fleet = self._fleet
        while not fleet.closing:
            if after_s:
                await asyncio.sleep(after_s)
            try:
                async with fleet.room:
                    await self._open()
            except BrokerError:
                fleet.counters.refused += 1
                after_s = self.weather.backoff_s(self._attempt)
                self._attempt += 1
                continue
            self._attempt = 0
            fleet.counters.connects += 1
            self.device.connected(self._now())
            self.pump()
            return

    async def _open(self) -> None:
        fleet, name = self._fleet, self.device.name
        connect = Connect(
            f"wasel-{name}",
            fleet.users.get(name, (None, None))[0],
            fleet.users.get(name, (None, None))[1],
            keepalive_s=KEEPALIVE_S,
            will=(self._topics["state"].decode(), self.device.will()),
        )
        connection = await MqttConnection.open(
            fleet.address.host, fleet.address.port, connect, self._received, self._lost, tls=fleet.tls
        )
        self.connection = connection
        try:
            reasons = await connection.subscribe([(topic, dict(LEAVES)[leaf]) for topic, leaf in self._leaves.items()])
            if max(reasons) > 2 or not connection.is_open:  # noqa: PLR2004 - the QoS granted, or a refusal
                raise BrokerError(f"{name}: no subscriptions, or lost before it began")  # noqa: TRY301
        except BaseException:
            self.connection = None
            connection.abort()
            raise

    def _lost(self, _reason: str) -> None:
        self.connection = None
        self._fleet.counters.lost += 1
        self.device.disconnected()
        if not self._fleet.closing:
            self.connect(self.weather.backoff_s(0))

    def cut(self) -> None:
        """Break the connection without a goodbye."""
        if self.connection is not None:
            self.connection.abort()
            self._lost("cut")

    def close(self) -> None:
        """Leave in order."""
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    # Messages

    def _now(self) -> float:
        return self.weather.clock(self._fleet.loop.time())

    def _received(self, packet: Publish) -> None:
        leaf = self._leaves.get(packet.topic)
        self._fleet.counters.received += 1
        if leaf is None:
            return
        if not self._fleet.faulty:
            self._take(leaf, packet.body)
            return
        times = self.weather.deliveries()
        if not times and packet.qos:
            raise Refuse  # died before the acknowledgement: the connection calls _lost
        for after_s in times:
            if after_s:
                self._fleet.loop.call_later(after_s, self._take, leaf, packet.body)
            else:
                self._take(leaf, packet.body)

    def _take(self, leaf: str, body: bytes) -> None:
        accepted = self.device.accepted
        self.device.take(leaf, body, self._now())
        if self.device.accepted != accepted:
            self._fleet.counters.desired[self.device.name] = self._fleet.loop.time()
        self._fleet.react(self)

    def react(self) -> None:
        """Do what follows from the messages that came."""
        self.device.wake(self._now())
        self.pump()

    def pump(self) -> None:
        """Send what the device wants to say and set its timer."""
        if self.connection is not None:
            out, self.device.outbox = self.device.outbox, []
            for message in out:
                self._say(message)
        due_s = self.device.next_s
        if due_s == inf:
            return
        loop = self._fleet.loop
        at_s = loop.time() + max(0.0, self.weather.wait(due_s - self._now()))
        if at_s < self._armed_s:
            if self._timer is not None:
                self._timer.cancel()
            self._armed_s = at_s
            self._timer = loop.call_at(at_s, self._wake)

    def _wake(self) -> None:
        self._armed_s = inf
        self._timer = None
        self.device.wake(self._now())
        self.pump()

    def _say(self, message: Out) -> None:
        if not self._fleet.faulty or message.qos:
            self._send(message)
            return
        for after_s in self.weather.deliveries():
            if after_s:
                self._fleet.loop.call_later(after_s, self._send, message)
            else:
                self._send(message)

    def _send(self, message: Out) -> None:
        connection = self.connection
        if connection is None:
            return
        self._fleet.counters.sent += 1
        acked = self._reported if message.leaf == "state" else None
        with contextlib.suppress(BrokerError):  # it hears of the loss by itself
            connection.publish(
                self._topics[message.leaf], message.body, qos=message.qos, retain=message.retain, acked=acked
            )

    def _reported(self, reason: int) -> None:
        if reason != LOST:
            self.device.acknowledged()
            self._fleet.react(self)

    # Faults

    def plan_event(self) -> None:
        """Draw the next cut, restart or reboot."""
        event = self.weather.next_event()
        if event is not None and not self._fleet.closing:
            self._fleet.loop.call_later(event[0], self._event, event[1])

    def _event(self, kind: str) -> None:
        if self._fleet.closing:
            return
        if self._fleet.faulty:
            self.happen(kind)
        self.plan_event()

    def happen(self, kind: str) -> None:
        """Let a cut, an agent restart or a reboot happen now."""
        self._fleet.injected[kind] += 1
        if kind == "reboot":
            self.device.reboot(self._now())
        elif kind == "agent restart":
            self.device.restart_agent()
            self.cut()
        else:
            self.cut()
        self.pump()


class VirtualFleet:
    """All devices of this process; an async context manager."""

    def __init__(
        self,
        broker: str,
        devices: Mapping[str, str | None],
        *,
        faults: Faults | None = None,
        traits: Traits | None = None,
        seed: int = 0,
        tenant: str = TENANT,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`devices` are names and passwords (None: the broker wants none); `broker` is its URL."""
        self.address = BrokerAddress.parse(broker)
        self.tls = tls
        self.tenant = tenant
        self.users = {name: (name, password) for name, password in devices.items() if password is not None}
        self.loop = asyncio.get_running_loop()
        self.room = asyncio.Semaphore(CONNECTING)
        self.closing = False
        self.counters = Counters()
        self.injected = Injected()
        self.faults = faults or Faults()
        self.faulty = self.faults != Faults()
        """Whether faults happen at the moment; may be switched off to let everything come to rest."""
        self.store = ModuleStore()
        traits = traits or Traits()
        self.links = [
            VirtualLink(
                self, VirtualDevice(name, self.store, traits, seed), Weather(self.faults, self.injected, seed, name)
            )
            for name in devices
        ]
        self._storms: asyncio.Task[None] | None = None
        self._turns: dict[VirtualLink, None] = {}
        """Devices to which something came and that have not reacted yet."""

    async def __aenter__(self) -> Self:
        for link in self.links:
            link.connect()
            link.plan_event()
        if self.faults.storm_every_s:
            self._storms = asyncio.create_task(self._storm())
        return self

    async def __aexit__(self, *_: object) -> None:
        self.closing = True
        if self._storms is not None:
            self._storms.cancel()
            await asyncio.gather(self._storms, return_exceptions=True)
        for link in self.links:
            link.close()
        await asyncio.sleep(0)

    def react(self, link: VirtualLink) -> None:
        """Give a device its turn, once, after those that wait for theirs."""
        if not self._turns:
            self.loop.call_soon(self._take_turns)
        self._turns[link] = None

    def _take_turns(self) -> None:
        """Let devices react for a moment; between two moments messages come in and timers run."""
        ends_s = self.loop.time() + TURNS_S
        while self._turns and self.loop.time() < ends_s:
            link = next(iter(self._turns))
            del self._turns[link]
            link.react()
        if self._turns:
            self.loop.call_soon(self._take_turns)

    def move(self, broker: str) -> None:
        """Connect to another address from now on (a broker that came back on another port)."""
        self.address = BrokerAddress.parse(broker)

    async def _storm(self) -> None:
        while True:
            await asyncio.sleep(self.faults.storm_every_s)
            if self.faulty:
                for link in self.links:
                    if link.weather.in_storm():
                        link.happen("reboot")

    @property
    def connected(self) -> int:
        """How many devices are connected."""
        return sum(link.device.connected_now for link in self.links)

    def count(self, good: Callable[[VirtualDevice], bool]) -> int:
        """Count devices."""
        return sum(good(link.device) for link in self.links)
