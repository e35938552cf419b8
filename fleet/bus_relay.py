# SPDX-License-Identifier: Apache-2.0
"""The buses of several workers as one, through PostgreSQL's LISTEN and NOTIFY: live pages see what other workers do.

Each worker says every few seconds, and at each change, what is watched there; the others send it messages of these
topics alone, so that a rollout to thousands of devices that nobody looks at costs nothing.

Contract: `run` relays until cancelled, connecting anew as often as it takes; messages are not kept for it meanwhile.
At most MAX_WAITING messages wait to be sent; what does not fit, into them or into one notification, becomes a message
of kind "lost": whoever watches should load the page again.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections import deque
from typing import TYPE_CHECKING, Any

import psycopg
from sqlalchemy.engine import make_url

from agent.patience import happens
from fleet.bus import Message

if TYPE_CHECKING:
    from fleet.bus import Bus

__all__ = ["BusRelay"]

CHANNEL = "wasel_bus"
MAX_WAITING = 1000
MAX_PAYLOAD = 7900
"""Bytes; PostgreSQL takes less than 8000 in one notification."""
MAX_TOPICS = 64
"""Watched topics in one notification."""
HEARTBEAT_S = 3.0
FORGET_S = 4 * HEARTBEAT_S
RETRY_S = 1.0


class BusRelay:
    """One worker's part."""

    def __init__(self, url: str, bus: Bus, worker: str) -> None:
        self._conninfo = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        self._bus = bus
        self._worker = worker
        self._waiting: deque[Message] = deque()
        self._some = asyncio.Event()
        self._watched: dict[str, tuple[float, set[str]]] = {}
        """By other worker: until when (loop time) it watches what."""
        self._announce = True

    async def run(self) -> None:
        """Relay until cancelled."""
        self._bus.relay, self._bus.changed = self._take, self._changed
        try:
            while True:
                try:
                    async with (
                        await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True) as hearing,
                        await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True) as saying,
                        asyncio.TaskGroup() as group,
                    ):
                        self._announce = True
                        group.create_task(self._hear(hearing))
                        group.create_task(self._say(saying))
                except (psycopg.Error, OSError) as error:
                    self._complain(error)
                except ExceptionGroup as errors:
                    if errors.split((psycopg.Error, OSError))[1] is not None:
                        raise
                    self._complain(errors.exceptions[0])
                await asyncio.sleep(RETRY_S)
        finally:
            self._bus.relay = self._bus.changed = None
            self._bus.elsewhere = frozenset()

    @staticmethod
    def _complain(error: Exception) -> None:
        print(f"wasel fleet: live pages of other workers: {error}; trying again", file=sys.stderr, flush=True)

    def _take(self, message: Message) -> None:
        if len(self._waiting) >= MAX_WAITING:
            self._waiting.clear()
            message = Message("*", "lost")
        self._waiting.append(message)
        self._some.set()

    def _changed(self) -> None:
        self._announce = True
        self._some.set()

    async def _hear(self, connection: psycopg.AsyncConnection[Any]) -> None:
        await connection.execute(f"LISTEN {CHANNEL}")
        async for notification in connection.notifies():
            with contextlib.suppress(ValueError, KeyError, TypeError):  # somebody else's: it is no worker of ours
                self._heard(json.loads(notification.payload))

    def _heard(self, told: dict[str, Any]) -> None:
        worker = str(told["worker"])
        if worker == self._worker:
            return
        now_s = asyncio.get_running_loop().time()
        if "watch" in told:
            before = self._watched.get(worker, (0.0, set()))[1] if told["more"] else set()
            self._watched[worker] = (now_s + FORGET_S, before | set(map(str, told["watch"])))
            self._watched = {name: entry for name, entry in self._watched.items() if entry[0] > now_s}
            self._bus.elsewhere = frozenset().union(*(topics for _, topics in self._watched.values()))
            return
        for topic, kind, data in told["messages"]:
            if topic == "*":
                self._bus.lose()
            else:
                self._bus.deliver(Message(str(topic), str(kind), dict(data)))

    async def _say(self, connection: psycopg.AsyncConnection[Any]) -> None:
        while True:
            if not await happens(self._some, HEARTBEAT_S):
                self._announce = True
            self._some.clear()
            if self._announce:
                self._announce = False
                topics = sorted(self._bus.topics)
                for start in range(0, max(1, len(topics)), MAX_TOPICS):
                    await self._notify(connection, watch=topics[start : start + MAX_TOPICS], more=start > 0)
            while self._waiting:
                await self._notify(connection, messages=[self._next()])

    def _next(self) -> tuple[str, str, dict[str, Any]]:
        message = self._waiting.popleft()
        if len(json.dumps(message.data)) > MAX_PAYLOAD - 500:  # the topic's name, which is short, comes to it
            return message.topic, "lost", {}
        return message.topic, message.kind, message.data

    async def _notify(self, connection: psycopg.AsyncConnection[Any], **told: Any) -> None:
        payload = json.dumps({"worker": self._worker, **told}, separators=(",", ":"))
        await connection.execute("SELECT pg_notify(%s, %s)", (CHANNEL, payload))
