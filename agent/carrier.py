# SPDX-License-Identifier: Apache-2.0
"""Carries the mail of a device's modules: their topics over the broker, their sockets over this machine's network.

What a module may reach is its policy's business, which the device enforces; what it reaches is called by the names in
its records, topics below the device's own prefix. Sockets are carried only where `sockets` allows it.

Contract: `run` exchanges mail with one connected device until it is cancelled. A channel never holds up another: each
has credit in both directions, and what is beyond it waits here, bounded: a topic keeps its newest `QUEUE` messages, a
socket is not read. When the link breaks, or this process is a new one, topics are opened again, sockets are not.
Messages of a module are given back their credit once the broker has them, so a module waits while the broker is away.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from agent.errors import BrokerError, DeviceError, MessageError
from agent.follow import Pace
from agent.mail import DATA_MAX, ERRNOS, FRAME, Kind, Mailbox, Record, Type, u32
from agent.mail_sockets import SOCKETS, SocketChannel
from agent.patience import happens

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.link.device import Device
    from agent.link.modules import StatusAnswer
    from agent.mqtt import Broker

__all__ = ["Carrier"]

CREDIT = 16_384
"""Bytes that a module may have on the way to a topic."""
QUEUE = 64
"""Messages that wait for a module, each topic."""
IDLE_S, BUSY_S = 0.5, 0.05
"""Longest pauses between looks for mail: without channels, and with."""
RETRY_S = 1.0


class _Topic:
    """A channel to or from a topic."""

    def __init__(self, carrier: Carrier, slot: _Slot, number: int, kind: Type, topic: str, credit: int) -> None:
        self.carrier, self.slot, self.number, self.kind, self.topic, self.credit = (
            carrier, slot, number, kind, topic, credit,
        )  # fmt: skip
        self.queue: list[bytes] = []
        self._out: asyncio.Queue[bytes | None] = asyncio.Queue()  # bounded by its credit; None: no more
        self._closed = False
        self._task = asyncio.ensure_future(self._publish()) if kind is Type.PUBLISH else None
        slot.send(Kind.OPENED, number, body=u32(CREDIT if kind is Type.PUBLISH else 0))

    def take(self, record: Record) -> None:
        if record.kind == Kind.DATA and self.kind is Type.PUBLISH:
            self._out.put_nowait(record.body)
        elif record.kind == Kind.CREDIT:
            self.credit += record.number
            self.flush()

    def deliver(self, message: bytes) -> None:
        self.queue.append(message)
        self.flush()

    def flush(self) -> None:
        while self.queue and len(self.queue[0]) + FRAME <= self.credit:
            message = self.queue.pop(0)
            self.credit -= len(message) + FRAME
            self.slot.send(Kind.DATA, self.number, body=message)
        if len(self.queue) > QUEUE:
            self.queue.pop(0)
            self.carrier.note(f"slot {self.slot.number} reads {self.topic} too slowly: a message was dropped")

    async def _publish(self) -> None:
        while (message := await self._out.get()) is not None:
            while True:
                try:
                    await self.carrier.broker.publish(self.topic, message, qos=1)
                    break
                except BrokerError:
                    await self.carrier.broker.connected.wait()
                    await asyncio.sleep(0)
            if not self._closed:
                self.slot.send(Kind.CREDIT, self.number, body=u32(len(message) + FRAME))

    def close(self) -> None:
        """Publish what was written before, then end."""
        self._closed = True
        self._out.put_nowait(None)
        if self._task is not None:
            self.carrier.keep(self._task)


class _Slot:
    """The channels of a slot's run."""

    def __init__(self, carrier: Carrier, number: int) -> None:
        self.carrier, self.number, self.run = carrier, number, 0
        self.mailbox = Mailbox()
        self.channels: dict[int, _Topic | SocketChannel] = {}

    def send(self, kind: Kind, channel: int = 0, aux: int = 0, body: bytes = b"") -> None:
        self.mailbox.send(Record(kind, channel, aux, self.run, body))
        self.carrier.wake()

    def begin(self) -> None:
        """Forget everything; ask the module, if there is one, to open its channels."""
        self.drop()
        self.mailbox = Mailbox()
        self.mailbox.send(Record(Kind.HELLO))

    def drop(self) -> None:
        for number in list(self.channels):
            self.close(number)

    def close(self, number: int) -> None:
        channel = self.channels.pop(number, None)
        if channel is not None:
            channel.close()
        if isinstance(channel, _Topic) and channel.kind is Type.SUBSCRIBE:
            self.carrier.unsubscribe(channel.topic)

    def take(self, record: Record) -> None:
        if record.kind == Kind.HELLO:
            self.drop()
            self.run = record.run
        elif record.run != self.run:
            return
        elif record.kind == Kind.OPEN:
            self.close(record.channel)
            self.open(record)
        elif record.kind == Kind.CLOSE:
            self.close(record.channel)
        elif record.channel in self.channels:
            self.channels[record.channel].take(record)

    def open(self, record: Record) -> None:
        number, credit, name = record.channel, record.number, record.rest.decode("utf-8", "replace")
        kind = Type(record.aux) if record.aux in set(Type) else Type.UNKNOWN
        if kind in {Type.PUBLISH, Type.SUBSCRIBE}:
            topic = self.carrier.prefix + name
            self.channels[number] = _Topic(self.carrier, self, number, kind, topic, credit)
            if kind is Type.SUBSCRIBE:
                self.carrier.broker.subscribe(topic, qos=1)
        elif kind in SOCKETS and self.carrier.sockets:
            listener = (each for each in self.channels.values() if isinstance(each, SocketChannel))
            self.channels[number] = SocketChannel(kind, name, credit, number, self.send, list(listener))
        else:
            self.send(Kind.OPENED, number, ERRNOS["notsup" if kind is Type.UNKNOWN else "acces"], u32(0))
            self.carrier.note(f"slot {self.number} asked for {name!r}: this agent carries no sockets (--sockets)")


class Carrier:
    """The mail of all slots of one device."""

    def __init__(self, broker: Broker, prefix: str, note: Callable[[str], None], *, sockets: bool = False) -> None:
        self.broker, self.prefix, self.note, self.sockets = broker, prefix, note, sockets
        self._slots: dict[int, _Slot] = {}
        self._wake = asyncio.Event()
        self._ending: set[asyncio.Task[None]] = set()

    def keep(self, task: asyncio.Task[None]) -> None:
        """Let a closed topic's messages get out."""
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    def wake(self) -> None:
        """There is something to send."""
        self._wake.set()

    def noticed(self, status: StatusAnswer) -> None:
        """Take a status: the device may have mail."""
        if any(slot.mail for slot in status.slots):
            self.wake()

    def message(self, topic: str, body: bytes) -> bool:
        """Take a message of the broker. False: it is none of a module's."""
        if not topic.startswith(self.prefix):
            return False
        if len(body) > DATA_MAX:
            self.note(f"{topic}: a message of {len(body)} bytes was dropped: modules take {DATA_MAX} at most")
            return True
        for slot in self._slots.values():
            for channel in slot.channels.values():
                if isinstance(channel, _Topic) and channel.kind is Type.SUBSCRIBE and channel.topic == topic:
                    channel.deliver(body)
        return True

    def unsubscribe(self, topic: str) -> None:
        """Let go of a topic that no channel reads any more."""
        channels = (channel for slot in self._slots.values() for channel in slot.channels.values())
        if not any(
            isinstance(each, _Topic) and each.topic == topic and each.kind is Type.SUBSCRIBE for each in channels
        ):
            self.broker.unsubscribe(topic)

    async def run(self, device: Device) -> None:
        """Exchange mail until cancelled; LinkError if the link breaks."""
        try:
            for status in (await device.status()).slots:
                self._slots[status.slot] = _Slot(self, status.slot)
                self._slots[status.slot].begin()
            pace = Pace(most_s=IDLE_S)
            while True:
                moved = False
                self._wake.clear()
                for slot in self._slots.values():
                    moved = await self._exchange(device, slot) or moved
                if moved:
                    pace.hit()
                busy = any(slot.channels for slot in self._slots.values())
                await happens(self._wake, min(pace.wait_s(), BUSY_S if busy else IDLE_S))
        except DeviceError as error:
            self.note(f"{error}: this device carries no mail of modules")
            await asyncio.Event().wait()
        finally:
            for slot in self._slots.values():
                slot.drop()
            self._slots.clear()

    async def _exchange(self, device: Device, slot: _Slot) -> bool:
        up, down, data = slot.mailbox.request()
        answer = await device.exchange(slot.number, up, down, data)
        try:
            records = slot.mailbox.answered(answer.up, answer.down, answer.data)
        except MessageError as error:
            self.note(str(error))
            slot.mailbox.lost = True
            records = []
        if slot.mailbox.lost:
            slot.begin()
            return True
        for record in records:
            slot.take(record)
        return bool(records or data or slot.mailbox.waiting)
