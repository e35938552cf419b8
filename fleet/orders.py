# SPDX-License-Identifier: Apache-2.0
"""Commands to devices that are done once, now: ping, start, stop. The answer is waited for, or not at all.

Every worker hears every answer and takes those that it waits for.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from agent.errors import BrokerError, MessageError
from agent.messages import ID_SIZE, Ack, Command
from fleet.errors import LimitError, ServerError

if TYPE_CHECKING:
    from fleet.link import Link

__all__ = ["Orders"]

MAX_WAITING = 1000
TIMEOUT_S = 10.0
ASK_AGAIN_S = 3.0


class Orders:
    """Commands that wait for their answer in this worker."""

    def __init__(self, link: Link, prefix: str) -> None:
        self._link = link
        self._prefix = prefix
        self._waiting: dict[tuple[str, str], asyncio.Future[Ack]] = {}

    async def give(self, device: str, action: str, slot: int | None, timeout_s: float = TIMEOUT_S) -> Ack:
        """Have a device do something; ServerError if it does not answer in time."""
        if len(self._waiting) >= MAX_WAITING:
            raise LimitError("too many commands wait for an answer; try again in a while")
        command = Command(os.urandom(ID_SIZE), action, slot)
        future: asyncio.Future[Ack] = asyncio.get_running_loop().create_future()
        key = (device, command.id.hex())
        self._waiting[key] = future
        topic = f"{self._prefix}{device}/cmd".encode()
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    try:
                        await self._link.publish(topic, command.encode())
                    except BrokerError as error:
                        raise ServerError(f"the broker does not take it: {error}") from error
                    done, _ = await asyncio.wait({future}, timeout=ASK_AGAIN_S)
                    if done:
                        return future.result()
        except TimeoutError:
            raise ServerError(f"device {device} does not answer within {timeout_s:g} s") from None
        finally:
            del self._waiting[key]

    def take(self, device: str, body: bytes) -> None:
        """Take an answer from the broker."""
        try:
            ack = Ack.parse(body)
        except MessageError:
            return
        future = self._waiting.get((device, ack.id.hex()))
        if future is not None and not future.done():
            future.set_result(ack)
