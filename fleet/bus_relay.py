# SPDX-License-Identifier: Apache-2.0
"""The buses of several processes as one: what is watched in one process, or waited for, the others send there.

Each process says every few seconds, and at each change, what is watched there; the others send it messages of these
topics alone, so that a rollout to thousands of devices that nobody looks at costs nothing. What carries the messages
is a subclass: fleet.bus_socket between the processes of one server, fleet.bus_postgres through the database.

A message is a text: `{"worker", "watch", "more"}` or `{"worker", "messages"}`, JSON in ASCII. What carries it may take
only so many bytes at once (`max_payload`): a longer text goes in parts, `+WORKER NUMBER COUNT` and a line feed before
each, one after the other, and is put together again by whoever hears all of them.

Contract: `run` relays until cancelled. At most MAX_WAITING messages wait to be sent; what does not fit into them, or is
longer than MAX_TEXT, becomes a message of kind "lost": whoever watches should load the page again. Of a message that is
not whole yet at most MAX_TEXT bytes are kept, for at most MAX_WORKERS other processes.
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
MAX_TEXT = 1 << 20
"""Bytes of one message; a topic whose name alone is as long is nobody's."""
MAX_WORKERS = 256
HEARTBEAT_S = 3.0
FORGET_S = 4 * HEARTBEAT_S


class BusRelay:
    """One process's part."""

    max_payload = 2 * MAX_TEXT
    """Bytes that are carried at once."""

    def __init__(self, bus: Bus, worker: str) -> None:
        self._bus = bus
        self._worker = worker
        self._waiting: deque[Message] = deque()
        self._some = asyncio.Event()
        self._watched: dict[str, tuple[float, set[str]]] = {}
        """By other process: until when (loop time) it watches what."""
        self._parts: dict[str, tuple[int, list[str]]] = {}
        """By other process: how many parts its message has, and those that came."""
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
            text = payload if isinstance(payload, str) else payload.decode("ascii")
            whole = self._whole(text) if text.startswith("+") else text
            if whole is None:
                return
            told = json.loads(whole)
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

    def _whole(self, part: str) -> str | None:
        """Take a part of a message; gives the message when it was the last one. ValueError: it is none."""
        head, _, text = part.partition("\n")
        worker, number, count = head[1:].split(" ")
        place, most = int(number), int(count)
        if place == 0:
            self._parts.pop(worker, None)
            while len(self._parts) >= MAX_WORKERS:
                del self._parts[next(iter(self._parts))]
            self._parts[worker] = (most, [])
        of, parts = self._parts.get(worker, (0, []))
        if of != most or len(parts) != place or sum(map(len, parts)) + len(text) > MAX_TEXT:
            self._parts.pop(worker, None)  # one before it was lost
            return None
        parts.append(text)
        if len(parts) < most:
            return None
        del self._parts[worker]
        return "".join(parts)

    def _split(self, text: str) -> list[str]:
        """Give what is carried one after the other."""
        if len(text) <= self.max_payload:
            return [text]
        room = self.max_payload - len(f"+{self._worker} {MAX_TEXT} {MAX_TEXT}\n")
        parts = [text[start : start + room] for start in range(0, len(text), room)]
        return [f"+{self._worker} {number} {len(parts)}\n{part}" for number, part in enumerate(parts)]

    def _watches(self, worker: str, topics: set[str], *, more: bool) -> None:
        now_s = asyncio.get_running_loop().time()
        before = self._watched.get(worker, (0.0, set()))[1] if more else set()
        self._watched[worker] = (now_s + FORGET_S, before | topics)
        self._watched = {name: entry for name, entry in self._watched.items() if entry[0] > now_s}
        self._bus.elsewhere = frozenset().union(*(topics for _, topics in self._watched.values()))

    async def _say(self, notify: Callable[[str], Awaitable[object]]) -> None:
        """Say what is watched here and what happened here, for ever."""

        async def tell(**told: Any) -> bool:
            text = json.dumps({"worker": self._worker, **told}, separators=(",", ":"))
            if len(text) > MAX_TEXT:
                return False
            for part in self._split(text):
                await notify(part)
            return True

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
                message = self._waiting.popleft()
                if not await tell(messages=[(message.topic, message.kind, message.data)]):
                    await tell(messages=[(message.topic, "lost", {})])
