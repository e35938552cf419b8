# SPDX-License-Identifier: Apache-2.0
"""A serial line that loses and changes bytes on purpose: a TCP relay between a device's port and whoever speaks to it.

Contract: `FaultyLine.port` is the port to speak to; bytes go to and from the device's own port, and each is dropped,
flipped in one bit, or doubled with the probabilities set at that moment, by a generator of its own seed. Faults apply
to both directions. While `cut` is set nothing passes, and what is sent meanwhile is lost. With all at zero, the relay
changes nothing. One client at a time, as the device has it.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from dataclasses import dataclass, field

__all__ = ["Faults", "FaultyLine"]

CHUNK_SIZE = 65536  # bytes


@dataclass
class Faults:
    """Probabilities per byte, 0 to 1."""

    drop: float = 0.0
    corrupt: float = 0.0
    duplicate: float = 0.0
    cut: bool = False

    def apply(self, data: bytes, dice: random.Random) -> bytes:
        """Return what is left of `data` on the other end."""
        if self.cut:
            return b""
        if not (self.drop or self.corrupt or self.duplicate):
            return data
        out = bytearray()
        for byte in data:
            if dice.random() < self.drop:
                continue
            out.append(byte ^ (1 << dice.randrange(8)) if dice.random() < self.corrupt else byte)
            if dice.random() < self.duplicate:
                out.append(byte)
        return bytes(out)


@dataclass
class FaultyLine:
    """The relay; use `open` and `close` on one event loop."""

    seed: int = 0
    faults: Faults = field(default_factory=Faults)
    port: str = ""
    _device: str = ""
    _server: asyncio.Server | None = None
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
        dice = random.Random(self.seed)  # noqa: S311 - faults, not secrets
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
        while data := await reader.read(CHUNK_SIZE):
            writer.write(self.faults.apply(data, dice))
            await writer.drain()
