# SPDX-License-Identifier: Apache-2.0
"""The bus of two processes of one server, over the socket that one inherited from the other: a line a message.

Contract: as fleet.bus_relay has it, but `run` returns when the other process is gone. It owns the socket.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from fleet.bus_relay import BusRelay

if TYPE_CHECKING:
    import socket

    from fleet.bus import Bus

__all__ = ["SocketRelay"]


class SocketRelay(BusRelay):
    """One of the two ends."""

    def __init__(self, sock: socket.socket, bus: Bus, worker: str) -> None:
        super().__init__(bus, worker)
        self._socket = sock

    async def run(self) -> None:
        """Relay until cancelled, or until the other end is closed."""
        reader, writer = await asyncio.open_connection(sock=self._socket, limit=2 * self.max_payload)

        async def notify(text: str) -> None:
            writer.write(text.encode() + b"\n")
            await writer.drain()

        with self._attached():
            saying = asyncio.create_task(self._say(notify))
            try:
                with contextlib.suppress(OSError):
                    while line := await reader.readline():
                        self._heard(line)
            finally:
                saying.cancel()
                await asyncio.gather(saying, return_exceptions=True)
                writer.close()
