# SPDX-License-Identifier: Apache-2.0
"""Commands that come over MQTT (`cmd` of docs/MQTT.md): each is done once, in order, and answered.

Contract: `take` never waits: a command that was seen already, or one too many, is dropped (the server asks again, with
the same id, while it has no answer; a command seen already is answered again with what came of it). A start uses the
module that the slot has, without arguments: what shall last, and how, is a desired state.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from typing import TYPE_CHECKING

from agent.errors import BrokerError, WaselError
from agent.messages import Ack, Command

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.link.device import Device
    from agent.mqtt import Broker

__all__ = ["Orders"]

REMEMBERED = 64
MAX_WAITING = 16


class Orders:
    """Commands on their way to one device."""

    def __init__(self, device: Callable[[], Device | None], done: Callable[[], None]) -> None:
        self._device = device
        self._done = done
        self._waiting: asyncio.Queue[Command] = asyncio.Queue(maxsize=MAX_WAITING)
        self._answers: OrderedDict[bytes, Ack | None] = OrderedDict()
        """None: not carried out yet."""
        self.tracing: set[int] = set()
        """Slots whose trace goes to the server."""

    def take(self, command: Command) -> None:
        """Take a command from the broker."""
        if self._waiting.full() or (command.id in self._answers and self._answers[command.id] is None):
            return
        self._answers.setdefault(command.id, None)
        while len(self._answers) > REMEMBERED:
            self._answers.popitem(last=False)
        self._waiting.put_nowait(command)

    async def carry_out(self, broker: Broker, topic: str) -> None:
        """Carry commands out for ever."""
        while True:
            command = await self._waiting.get()
            ack = self._answers.get(command.id) or await self._act(command)
            if command.id in self._answers:
                self._answers[command.id] = ack
            with contextlib.suppress(BrokerError):  # the server asks again
                await broker.publish(topic, ack.encode(), qos=1)

    async def _act(self, command: Command) -> Ack:
        device = self._device()
        if device is None:
            return Ack(command.id, ok=False, error="the agent does not reach the device")
        try:
            match command.action, command.slot:
                case "start", int(slot):
                    await device.start(slot, ("module",), ())
                case "stop", int(slot):
                    await device.stop(slot)
                case "trace", int(slot):
                    await device.trace(slot, on=True)
                    self.tracing.add(slot)
                case "untrace", int(slot):
                    await device.trace(slot, on=False)
                    self.tracing.discard(slot)
                case _:
                    await device.status()
        except WaselError as error:
            return Ack(command.id, ok=False, error=str(error)[:1000])
        self._done()
        return Ack(command.id, ok=True)
