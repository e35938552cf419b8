# SPDX-License-Identifier: Apache-2.0
"""The buses of several processes as one: what is watched in one process, or waited for, the others send there.

Each process says every few seconds, and at each change, what is watched there; the others send it messages of these
topics alone, so that a rollout to thousands of devices that nobody looks at costs nothing. What carries the messages
is a subclass: fleet.bus_socket between the processes of one server, fleet.bus_postgres through the database.

Contract: `run` relays until cancelled. At most MAX_WAITING messages wait to be sent; what does not fit, into them or
into one notification, becomes a message of kind "lost": whoever watches should load the page again.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque
from typing import TYPE_CHECKING, Any

from agent.patience import happens
from fleet.bus import Message

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from fleet.bus import Bus

__all__ = ["BusRelay"]

MAX_WAITING = 1000
MAX_TOPICS = 64
"""Watched topics in one notification."""
HEARTBEAT_S = 3.0
FORGET_S = 4 * HEARTBEAT_S


class BusRelay:
    """One process's part."""

    max_payload = 1 << 20
    """Bytes of one notification."""

    def __init__(self, bus: Bus, worker: str) -> None:
        self._bus = bus
        self._worker = worker
        self._waiting: deque[Message] = deque()
        self._some = asyncio.Event()
        self._watched: dict[str, tuple[float, set[str]]] = {}
        """By other process: until when (loop time) it watches what."""
        self._announce = True

    async def run(self) -> None:
        """Relay until cancelled."""
        raise NotImplementedError

    @contextlib.contextmanager
    def _attached(self) -> Iterator[None]:
        """Take messages from the bus while the context is open."""
        self._bus.relay, self._bus.changed = self._take, self._changed
        try:
            yield
        finally:
            self._bus.relay = self._bus.changed = None
            self._bus.elsewhere = frozenset()

    def _take(self, message: Message) -> None:
        if len(self._waiting) >= MAX_WAITING:
            self._waiting.clear()
            message = Message("*", "lost")
        self._waiting.append(message)
        self._some.set()

    def _changed(self) -> None:
        self._announce = True
        self._some.set()

    def _heard(self, payload: str | bytes) -> None:
        """Take what another process said."""
        with contextlib.suppress(ValueError, KeyError, TypeError):  # somebody else's: it is no process of ours
            told = json.loads(payload)
            worker = str(told["worker"])
            if worker == self._worker:
                return
            if "watch" in told:
                self._watches(worker, set(map(str, told["watch"])), more=bool(told["more"]))
                return
            for topic, kind, data in told["messages"]:
                if topic == "*":
                    self._bus.lose()
                else:
                    self._bus.deliver(Message(str(topic), str(kind), dict(data)))

    def _watches(self, worker: str, topics: set[str], *, more: bool) -> None:
        now_s = asyncio.get_running_loop().time()
        before = self._watched.get(worker, (0.0, set()))[1] if more else set()
        self._watched[worker] = (now_s + FORGET_S, before | topics)
        self._watched = {name: entry for name, entry in self._watched.items() if entry[0] > now_s}
        self._bus.elsewhere = frozenset().union(*(topics for _, topics in self._watched.values()))

    async def _say(self, notify: Callable[[str], Awaitable[object]]) -> None:
        """Say what is watched here and what happened here, for ever."""

        async def tell(**told: Any) -> None:
            await notify(json.dumps({"worker": self._worker, **told}, separators=(",", ":")))

        self._announce = True
        while True:
            if not self._announce and not await happens(self._some, HEARTBEAT_S):
                self._announce = True
            self._some.clear()
            if self._announce:
                self._announce = False
                topics = sorted(self._bus.topics)
                for start in range(0, max(1, len(topics)), MAX_TOPICS):
                    await tell(watch=topics[start : start + MAX_TOPICS], more=start > 0)
            while self._waiting:
                await tell(messages=[self._next()])

    def _next(self) -> tuple[str, str, dict[str, Any]]:
        message = self._waiting.popleft()
        if len(json.dumps(message.data)) > self.max_payload - 500:  # the topic's name, which is short, comes to it
            return message.topic, "lost", {}
        return message.topic, message.kind, message.data
