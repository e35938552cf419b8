# SPDX-License-Identifier: Apache-2.0
"""What happens, told to whoever watches in this process: the source of server-sent events.

With several workers fleet.bus_relay carries what is watched in one process from the others.

Topics: `fleet` (counts changed), `device:NAME`, `log:NAME`, `rollout:ID`, `events`, `audit`, `artifacts`.
Contract: `publish` on the loop, `post` from any thread; neither waits. A watcher that reads too slowly loses its oldest
messages and gets one of kind "lost": it should load its page again. Nothing is kept for watchers that come later.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

__all__ = ["Bus", "Message", "Stream"]

MAX_WAITING = 256
"""Messages for one watcher."""
MAX_WATCHERS = 1000


@dataclass(frozen=True)
class Message:
    """One thing that happened."""

    topic: str
    kind: str
    data: dict[str, Any] = field(default_factory=dict)
    """JSON-able."""


class Stream:
    """What one watcher has not read yet; an async iterator that never ends by itself."""

    def __init__(self) -> None:
        self._waiting: deque[Message] = deque()
        self._ready = asyncio.Event()
        self._lost = False

    def put(self, message: Message) -> None:
        """Add a message; on the loop."""
        if len(self._waiting) >= MAX_WAITING:
            self._waiting.popleft()
            self._lost = True
        self._waiting.append(message)
        self._ready.set()

    def __aiter__(self) -> AsyncIterator[Message]:
        return self

    async def __anext__(self) -> Message:
        return await self.get()

    async def get(self) -> Message:
        """Give the next message, waiting for it."""
        while True:
            if self._lost:
                self._lost = False
                return Message("fleet", "lost")
            if self._waiting:
                return self._waiting.popleft()
            self._ready.clear()
            await self._ready.wait()


class Bus:
    """The watchers of one process."""

    def __init__(self) -> None:
        self._streams: dict[str, set[Stream]] = {}
        self._count = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self.relay: Callable[[Message], None] | None = None
        """Called with each message from `post` or `publish` that other workers watch."""
        self.elsewhere: frozenset[str] = frozenset()
        """Topics that other workers watch."""
        self.changed: Callable[[], None] | None = None
        """Called when topics are watched here for the first or last time."""

    def attach(self) -> None:
        """Tell the bus its loop: the running one."""
        self._loop = asyncio.get_running_loop()

    @property
    def full(self) -> bool:
        """There are as many watchers as there may be."""
        return self._count >= MAX_WATCHERS

    def watched(self, topic: str) -> bool:
        """Tell whether anybody watches a topic, here or at another worker."""
        return topic in self._streams or topic in self.elsewhere

    @property
    def topics(self) -> set[str]:
        """Topics that are watched here."""
        return set(self._streams)

    @contextlib.contextmanager
    def subscribe(self, *topics: str) -> Iterator[Stream]:
        """Watch topics while the context is open."""
        stream = Stream()
        self._count += 1
        for topic in topics:
            self._streams.setdefault(topic, set()).add(stream)
        if self.changed is not None:
            self.changed()
        try:
            yield stream
        finally:
            self._count -= 1
            for topic in topics:
                streams = self._streams.get(topic)
                if streams is not None:
                    streams.discard(stream)
                    if not streams:
                        del self._streams[topic]
            if self.changed is not None:
                self.changed()

    def publish(self, topic: str, kind: str, data: dict[str, Any] | None = None) -> None:
        """Tell the watchers of a topic; on the loop."""
        message = Message(topic, kind, data or {})
        self.deliver(message)
        if self.relay is not None and topic in self.elsewhere:
            self.relay(message)

    def deliver(self, message: Message) -> None:
        """Tell the watchers here only."""
        for stream in self._streams.get(message.topic, ()):
            stream.put(message)

    def lose(self) -> None:
        """Have everybody here load their pages again: messages were lost."""
        for stream in {stream for streams in self._streams.values() for stream in streams}:
            stream.put(Message("fleet", "lost"))

    def post(self, topic: str, kind: str, data: dict[str, Any] | None = None) -> None:
        """Tell the watchers of a topic; from any thread."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody watches any more
                self._loop.call_soon_threadsafe(self.publish, topic, kind, data)
