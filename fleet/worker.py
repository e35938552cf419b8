# SPDX-License-Identifier: Apache-2.0
"""A worker of the server, `python -m fleet.worker DESCRIPTOR`: what devices need, and what the leader does.

fleet.server starts it with its settings in the environment and a socket: with SQLite the buses of both talk over it
(with PostgreSQL they do through the database).

Contract: it ends at SIGTERM, with exit code 0, and when the other end of the socket is closed: then the server is gone.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys

from fleet.bus_socket import SocketRelay
from fleet.context import Fleet
from fleet.settings import Settings

__all__ = ["SWITCH_S"]

NICE = 5
"""Added to a worker's: who looks at a page waits for it, and no device does for a thousandth of a second."""

SWITCH_S = 0.0002
"""Python lets go of its lock for each row that SQLite gives, and a thread that wants it back waits so long while
another one computes. With Python's default of 5 ms a page of a few hundred rows would take seconds while a rollout
runs."""


async def _work(settings: Settings, sock: socket.socket) -> None:
    fleet = Fleet(settings)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with fleet.run():
        stopped = asyncio.create_task(stop.wait())
        server = asyncio.create_task(_until_closed(sock, fleet))
        await asyncio.wait({stopped, server}, return_when=asyncio.FIRST_COMPLETED)
        for task in (stopped, server):
            task.cancel()
        await asyncio.gather(stopped, server, return_exceptions=True)


async def _until_closed(sock: socket.socket, fleet: Fleet) -> None:
    """Return when the server is gone."""
    if fleet.database.is_sqlite:
        await SocketRelay(sock, fleet.bus, fleet.worker).run()
        return
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_recv(sock, 1)


def main(descriptor: str) -> None:
    """Work until told to stop."""
    os.nice(NICE)
    sys.setswitchinterval(SWITCH_S)
    with socket.socket(fileno=int(descriptor)) as sock:
        asyncio.run(_work(Settings.load(), sock))


if __name__ == "__main__":
    main(*sys.argv[1:])
