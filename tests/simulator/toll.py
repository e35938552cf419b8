# SPDX-License-Identifier: Apache-2.0
"""A serial line that counts the requests of whoever speaks over it, and ends in the middle of things at the n-th.

The connection to the device stays while clients come and go, as a cable does; what the device says while nobody listens
is lost. A request is forwarded when it is whole.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import cbor2

from agent.link.frames import FrameDecoder, Message

READ, WRITE = 0, 2
NAMES = {
    (READ, 0, 6): "limits",
    (WRITE, 0, 4): "clock",
    (READ, 1, 0): "images",
    (WRITE, 1, 0): "pending",
    (WRITE, 1, 1): "upload",
    (READ, 64, 0): "status",
    (WRITE, 64, 1): "start",
    (WRITE, 64, 2): "stop",
    (READ, 64, 3): "logs",
    (WRITE, 64, 5): "seed",
    (WRITE, 64, 9): "mail",
}  # by operation, group and command
SIZE = 65536


@dataclass
class Toll:
    """The line; its counters are the test's to clear."""

    port: str = ""
    requests: list[str] = field(default_factory=list)  # names of what was forwarded whole
    uploaded: int = 0  # bytes of modules among it
    announced: int = 0  # bytes that the upload under way has, as its first message says
    stop_at: tuple[str, int] = ("", 0)  # the n-th request of this name is the last one of its client
    torn: bool = False  # and only its first half goes to the device
    on_stop: Callable[[], None] = lambda: None
    _client: asyncio.StreamWriter | None = None

    def expect(
        self, stop_at: tuple[str, int] = ("", 0), *, torn: bool = False, on_stop: Callable[[], None] = lambda: None
    ) -> None:
        self.requests.clear()
        self.uploaded = self.announced = 0
        self.stop_at, self.torn, self.on_stop = stop_at, torn, on_stop

    def _passes(self, message: bytes) -> bool:
        """Count a request; False if it is the last."""
        name = NAMES.get((message[0] & 7, int.from_bytes(message[4:6], "big"), message[7]), "other")
        last = self.stop_at == (name, self.requests.count(name) + 1)
        if not (last and self.torn):
            self.requests.append(name)
            if name == "upload":
                body = cbor2.loads(message[8:])
                self.uploaded += len(body["data"])
                self.announced = body.get("len", self.announced)
        return not last

    async def _from_client(self, reader: asyncio.StreamReader, device: asyncio.StreamWriter) -> None:
        decoder, unread, frame = FrameDecoder(), b"", b""
        while data := await reader.read(SIZE):
            unread += data
            while (end := min((at for at in map(unread.find, (b"\0", b"\n")) if at >= 0), default=-1)) >= 0:
                frame += unread[: end + 1]
                events = decoder.feed(unread[: end + 1])
                unread = unread[end + 1 :]
                message = next((event.data for event in events if isinstance(event, Message)), None)
                if message is None:
                    continue
                goes_on = self._passes(message)
                if not goes_on:
                    self._client = None
                    self.on_stop()
                device.write(frame if goes_on or not self.torn else frame[: len(frame) // 2])
                frame = b""
                if not goes_on:
                    self.stop_at = ("", 0)
                    return

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, device: asyncio.StreamWriter
    ) -> None:
        """Be the line of one client."""
        self._client = writer
        try:
            with contextlib.suppress(ConnectionError):
                await self._from_client(reader, device)
        finally:
            if self._client is writer:
                self._client = None
            writer.close()

    async def say(self, device: asyncio.StreamReader) -> None:
        """Give the client, if there is one, what the device says."""
        while data := await device.read(SIZE):
            if self._client is not None:
                self._client.write(data)


@contextlib.asynccontextmanager
async def toll_on(device_port: str) -> AsyncIterator[Toll]:
    """Give a line to the device on this port."""
    host, _, number = device_port.removeprefix("socket://").rpartition(":")
    reader, device = await asyncio.open_connection(host, int(number))
    toll = Toll()
    outward = asyncio.create_task(toll.say(reader))
    server = await asyncio.start_server(lambda *client: toll.serve(*client, device), "127.0.0.1", 0)
    toll.port = f"socket://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield toll
    finally:
        server.close()
        outward.cancel()
        await asyncio.gather(outward, return_exceptions=True)
        device.close()
