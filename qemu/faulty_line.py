# SPDX-License-Identifier: Apache-2.0
"""A serial line that loses and changes bytes on purpose: a TCP relay between a device's port and whoever speaks to it.

Contract: `FaultyLine.port` is the port to speak to; bytes go to and from the device's own port, and each is dropped,
flipped in one bit, doubled, or swapped with the next one with the probabilities set at that moment, by a generator of
the line's seed and the connection's number; `run` makes faults come in runs of so many bytes, as few of them as make up
the same share. Faults apply to both directions. With a `bytes_per_s` the line is as slow as a UART of ten times as many
baud. While `cut` is set nothing passes, and what is sent meanwhile is lost. With all at zero, it changes nothing. One
client at a time, as the device has it.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from dataclasses import dataclass, field

__all__ = ["Faults", "FaultyLine"]

CHUNK_SIZE = 65536  # bytes
SLOW_CHUNK_SIZE = 128  # bytes
IDLE_S = 0.002  # a read that took longer waited for the sender; a sleep that took longer is made up for


@dataclass
class Faults:
    """Probabilities per byte, 0 to 1."""

    drop: float = 0.0
    corrupt: float = 0.0
    duplicate: float = 0.0
    swap: float = 0.0
    run: int = 1
    """Bytes of one fault."""
    cut: bool = False

    def apply(self, data: bytes, dice: random.Random) -> bytes:
        """Return what is left of `data` on the other end."""
        if self.cut:
            return b""
        if not (self.drop or self.corrupt or self.duplicate or self.swap):
            return data
        out = bytearray()
        at = 0
        while at < len(data):
            if dice.random() < self.drop / self.run:
                at += self.run
                continue
            piece = data[at : at + 1]
            if dice.random() < self.corrupt / self.run:
                piece = bytes(byte ^ (1 << dice.randrange(8)) for byte in data[at : at + self.run])
            elif dice.random() < self.duplicate / self.run:
                piece = data[at : at + self.run]
                out += piece
            elif dice.random() < self.swap / self.run:
                first, second = data[at : at + self.run], data[at + self.run : at + 2 * self.run]
                piece = second + first
            out += piece
            at += len(piece)
        return bytes(out)


@dataclass
class FaultyLine:
    """The relay; use `open` and `close` on one event loop."""

    seed: int = 0
    faults: Faults = field(default_factory=Faults)
    bytes_per_s: float | None = None
    port: str = ""
    _device: str = ""
    _server: asyncio.Server | None = None
    _connections: int = 0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def open(self, device_port: str) -> None:
        """Begin to relay for the device at `device_port` ("socket://HOST:PORT"); `port` is ours afterwards."""
        self._device = device_port
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
            self.port = f"socket://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def close(self) -> None:
        """Stop relaying and drop every connection."""
        if self._server is not None:
            self._server.close()
            self._server = None
        await self.hang_up()

    async def hang_up(self) -> None:
        """Drop every connection; new ones are served."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        host, _, number = self._device.removeprefix("socket://").rpartition(":")
        dice = random.Random(f"{self.seed} {self._connections}")  # noqa: S311 - faults, not secrets
        self._connections += 1
        with contextlib.suppress(OSError, asyncio.CancelledError):  # cancelled by hang_up alone
            device_reader, device_writer = await asyncio.open_connection(host, int(number))
            try:
                await self._relay((reader, device_writer), (device_reader, writer), dice)
            finally:
                device_writer.close()
        writer.close()

    async def _relay(
        self,
        up: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        down: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        dice: random.Random,
    ) -> None:
        """Copy both ways until one end closes."""
        tasks = [asyncio.create_task(self._copy(*way, dice)) for way in (up, down)]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, dice: random.Random) -> None:
        loop = asyncio.get_running_loop()
        free_s = asked_s = loop.time()
        while data := await reader.read(CHUNK_SIZE if self.bytes_per_s is None else SLOW_CHUNK_SIZE):
            if self.bytes_per_s is not None:  # what was read has gone over the line when its last byte has
                if loop.time() - asked_s > IDLE_S:
                    free_s = max(free_s, loop.time())  # nobody sent anything for a while
                free_s += len(data) / self.bytes_per_s
                await asyncio.sleep(free_s - loop.time())
                asked_s = loop.time()
            writer.write(self.faults.apply(data, dice))
            await writer.drain()
