# SPDX-License-Identifier: Apache-2.0
"""A mosquitto of our own for demo and tests: loopback only, no state on disk, gone with the `async with` block.

Contract: `async with running_broker(folder) as broker` gives its URL once it accepts connections; its log is a file in
`folder`. Anonymous clients are let in because only this machine can reach it.
Source: mosquitto.conf(5).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qemu.bound import bound, end_process
from qemu.errors import MissingToolError, QemuError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

__all__ = ["Broker", "find_mosquitto", "running_broker"]

START_TIMEOUT_S = 60.0
START_ATTEMPTS = 3  # a port found free may be taken before mosquitto binds it
POLL_S = 0.01


@dataclass(frozen=True)
class Broker:
    """Where it listens."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """What --broker takes."""
        return f"mqtt://{self.host}:{self.port}"


def find_mosquitto() -> str:
    """Return the broker's path; Debian keeps it in sbin, which is not on everybody's PATH.

    Raises:
        MissingToolError: it is not installed.

    """
    found = shutil.which("mosquitto", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin:/usr/local/sbin")
    if found is None:
        raise MissingToolError("mosquitto is not installed: apt-get install mosquitto")
    return found


@contextlib.asynccontextmanager
async def running_broker(folder: Path) -> AsyncIterator[Broker]:
    """Run a broker for the time of the block.

    Raises:
        MissingToolError: mosquitto is not installed.
        QemuError: it does not start; the text has its last words.

    """
    program = find_mosquitto()
    log = folder / "mosquitto.log"
    for attempt in range(1, START_ATTEMPTS + 1):
        broker = Broker("127.0.0.1", _free_port())
        process = await _spawn(program, broker, folder, log)
        try:
            if await _accepts(broker, process):
                yield broker
                return
        finally:
            await end_process(process)
        if attempt == START_ATTEMPTS:
            words = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            raise QemuError(f"mosquitto does not start: {words[-1] if words else 'it says nothing'}")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


async def _spawn(program: str, broker: Broker, folder: Path, log: Path) -> asyncio.subprocess.Process:
    configuration = folder / "mosquitto.conf"
    configuration.write_text(
        f"listener {broker.port} {broker.host}\nallow_anonymous true\npersistence false\nmax_queued_messages 10000\n"
        "set_tcp_nodelay true\n",
        encoding="utf-8",
    )
    with log.open("wb") as output:
        return await asyncio.create_subprocess_exec(
            *bound([program, "-c", str(configuration)]),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


async def _accepts(broker: Broker, process: asyncio.subprocess.Process) -> bool:
    """Wait until it accepts a connection; False if it ends or never does."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(START_TIMEOUT_S):
            while process.returncode is None:
                try:
                    _, writer = await asyncio.open_connection(broker.host, broker.port)
                except OSError:
                    await asyncio.sleep(POLL_S)
                    continue
                writer.close()
                return True
    return False
