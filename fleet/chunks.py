# SPDX-License-Identifier: Apache-2.0
"""Answers to `get`: pieces of modules, to many devices at once, within bounded memory.

Each device has at most one question waiting for each module: a newer one takes the place of an older one, so that
agents that ask again while the server is busy make it no busier. Questions are answered in the order in which devices
began to wait, only while the link has room, and not while something more urgent is going on (`hold`, for HOLD_S at
most); the agent asks again for what is missing. A piece is encoded once and kept while it is wanted: every device gets
the same bytes.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING

from agent.errors import BrokerError
from agent.messages import Chunk, Get
from agent.patience import clears
from fleet.errors import FleetError

if TYPE_CHECKING:
    from collections.abc import Callable

    from fleet.artifacts import Shelf
    from fleet.link import Link

__all__ = ["ChunkCache", "ChunkServer"]

MAX_WAITING = 50_000
MAX_PIECES = 512 * 1024
"""Bytes for one device before the others get their turn; what is left of its question waits at the end."""
MODULES_SIZE = 32 << 20
"""Bytes of modules kept in memory."""
PAUSE_S = 0.005
HOLD_S = 5.0
TURNS = 2
"""Questions in a row before the loop gets its turn."""


class ChunkCache:
    """Encoded pieces, the least recently used ones dropped."""

    def __init__(self, shelf: Shelf, most: int) -> None:
        self._shelf = shelf
        self._most = most
        self._pieces: OrderedDict[tuple[bytes, int, int], bytes] = OrderedDict()
        self._size = 0
        self._modules: OrderedDict[bytes, bytes] = OrderedDict()
        self._modules_size = 0

    async def load(self, digest: bytes) -> bytes | None:
        """Give a module; None if there is none."""
        module = self._modules.get(digest)
        if module is not None:
            self._modules.move_to_end(digest)
            return module
        try:
            module = await asyncio.to_thread(self._shelf.read, digest.hex())
        except FleetError:
            return None
        if digest not in self._modules:
            self._modules[digest] = module
            self._modules_size += len(module)
        while self._modules_size > MODULES_SIZE and len(self._modules) > 1:
            _, old = self._modules.popitem(last=False)
            self._modules_size -= len(old)
        return module

    def piece(self, digest: bytes, module: bytes, offset: int, length: int) -> bytes:
        """Give an encoded chunk."""
        key = (digest, offset, length)
        body = self._pieces.get(key)
        if body is not None:
            self._pieces.move_to_end(key)
            return body
        body = Chunk(digest, offset, module[offset : offset + length]).encode()
        self._pieces[key] = body
        self._size += len(body)
        while self._size > self._most and len(self._pieces) > 1:
            _, old = self._pieces.popitem(last=False)
            self._size -= len(old)
        return body


class ChunkServer:
    """The questions that wait and the task that answers them."""

    def __init__(self, cache: ChunkCache, link: Link, prefix: str, hold: Callable[[], bool] = lambda: False) -> None:
        self._hold = hold
        self._cache = cache
        self._link = link
        self._prefix = prefix
        self._waiting: OrderedDict[tuple[str, bytes], Get] = OrderedDict()
        self._some = asyncio.Event()
        self.sent = 0
        """Chunks."""
        self.dropped = 0
        """Questions that found no place."""

    @property
    def waiting(self) -> int:
        """Questions that wait."""
        return len(self._waiting)

    def ask(self, device: str, get: Get) -> None:
        """Take a device's question."""
        key = (device, get.digest)
        if key not in self._waiting and len(self._waiting) >= MAX_WAITING:
            self.dropped += 1
            return
        self._waiting[key] = get
        self._some.set()

    async def run(self) -> None:
        """Answer for ever."""
        turns = 0
        while True:
            if not self._waiting:
                self._some.clear()
                await self._some.wait()
            await clears(self._hold, HOLD_S, every_s=PAUSE_S)
            while not self._link.room:  # noqa: ASYNC110 - a socket says nothing when it has room again
                await asyncio.sleep(PAUSE_S)
            (device, digest), get = self._waiting.popitem(last=False)
            module = await self._cache.load(digest)
            if module is not None:
                self._answer(device, digest, get, module)
            turns += 1
            if turns >= TURNS:
                turns = 0
                await asyncio.sleep(0)

    def _answer(self, device: str, digest: bytes, get: Get, module: bytes) -> None:
        topic = f"{self._prefix}{device}/chunk".encode()
        end = min(get.offset + get.length * get.window, len(module))
        stop = min(end, get.offset + max(MAX_PIECES, get.length))
        offset = get.offset
        while offset < stop:
            try:
                self._link.send(topic, self._cache.piece(digest, module, offset, get.length))
            except BrokerError:
                return  # the agent asks again
            self.sent += 1
            offset += get.length
        if offset < end and (device, digest) not in self._waiting:
            left = -(-(end - offset) // get.length)
            self._waiting[device, digest] = Get(digest, offset, get.length, left)
