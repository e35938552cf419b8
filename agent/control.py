# SPDX-License-Identifier: Apache-2.0
"""The agent's control socket: the same framed SMP as on the wire, so that other programs share the agent's port.

Contract: each whole request of a client is sent to the device under a sequence number of the agent's own, and its
answer goes back to that client alone. While the device stays away clients are disconnected, which they see as a dead
link. The socket file is made with mode 0600.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from agent.errors import LinkError
from agent.link.cobs import frame
from agent.link.frames import FrameDecoder, Message, encode_frames
from agent.patience import clears
from agent.unix_path import short_path

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from agent.link.transport import FramedTransport

__all__ = ["serve_control"]

ANSWER_TIMEOUT_S = 15.0
LINK_WAIT_S = 5.0
"""A request waits so long for the link: an agent that has just begun is opening it."""
LINK_POLL_S = 0.02
MAX_CLIENTS = 16
MAX_REQUESTS = 8
"""Under way for one client."""


class _Client:
    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        transport: Callable[[], FramedTransport | None],
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._transport = transport
        self._requests: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(MAX_REQUESTS)

    async def run(self) -> None:
        decoder = FrameDecoder()
        try:
            while data := await self._reader.read(65536):
                for event in decoder.feed(data):
                    if isinstance(event, Message):
                        await self._room.acquire()
                        task = asyncio.create_task(self._forward(event.data, cobs=event.cobs))
                        self._requests.add(task)
                        task.add_done_callback(self._done)
        except ConnectionError:
            pass
        finally:
            for task in list(self._requests):
                task.cancel()
            self._writer.close()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._requests.discard(task)
        self._room.release()

    async def _forward(self, message: bytes, *, cobs: bool) -> None:
        await clears(lambda: self._transport() is None, LINK_WAIT_S, every_s=LINK_POLL_S)
        transport = self._transport()
        if transport is None:
            self._writer.close()
            return
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                answer = await transport.send_and_receive(message)
        except TimeoutError:
            return  # the client has a shorter timeout and says so itself
        except (LinkError, ValueError):
            self._writer.close()
            return
        with contextlib.suppress(ConnectionError):
            self._writer.write(frame(answer) if cobs else encode_frames(answer))
            await self._writer.drain()


@asynccontextmanager
async def serve_control(path: Path, transport: Callable[[], FramedTransport | None]) -> AsyncIterator[None]:
    """Listen on a Unix socket; `transport` gives the link, or None while it is down."""
    clients: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(clients) >= MAX_CLIENTS:
            writer.close()
            return
        clients.add(task)
        try:
            await _Client(reader, writer, transport).run()
        except asyncio.CancelledError:
            pass
        finally:
            clients.discard(task)

    path.unlink(missing_ok=True)  # noqa: ASYNC240 - the caller holds the device's lock: it is a dead agent's
    mask = os.umask(0o177)
    try:
        with short_path(path) as short:
            server = await asyncio.start_unix_server(accept, short)
    finally:
        os.umask(mask)
    try:
        yield
    finally:
        server.close()
        path.unlink(missing_ok=True)  # noqa: ASYNC240
        for task in list(clients):
            task.cancel()
        await asyncio.gather(*clients, return_exceptions=True)
