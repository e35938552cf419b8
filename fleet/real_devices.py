# SPDX-License-Identifier: Apache-2.0
"""Real devices beside virtual ones: QEMU or the host simulator, each with an agent that enrols at the server.

Contract: `async with real_device(...)` gives a device whose agent runs; both are gone when the block ends, and killed
with us if we are. The device's files (its key, its login, its flash) stay in the state folder: the next run of the
same name is the same device. An agent that ends by itself is started again as slowly as it fails.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.registry import device_dir
from qemu.bound import bound, end_process
from qemu.launcher import running_device
from qemu.programs import environment_for
from qemu.sim import SimOptions, running_simulator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

__all__ = ["Enrol", "RealDevice", "real_device"]

RESTART_S = (1.0, 30.0)


@dataclass(frozen=True)
class Enrol:
    """How agents come in."""

    server: str
    """URL of the fleet server."""
    claim: str


@dataclass
class RealDevice:
    """A device that is up."""

    name: str
    port: str
    log: Path
    """What its agent says."""
    restarts: int = 0


@contextlib.asynccontextmanager
async def real_device(
    name: str, kind: str, root: Path, enrol: Enrol, *, kernel: str = "standin"
) -> AsyncIterator[RealDevice]:
    """Run a device (`kind` is "qemu" or "sim") and its agent for the time of the block.

    Raises:
        WaselError: the device does not boot.

    """
    folder = device_dir(name, root)
    folder.mkdir(parents=True, exist_ok=True)
    async with contextlib.AsyncExitStack() as stack:
        if kind == "qemu":
            port = (await stack.enter_async_context(running_device(name, kernel=kernel, root=root))).record.port
        else:
            options = SimOptions(flash=folder / "flash.img")
            port = (await stack.enter_async_context(running_simulator(options))).port
        device = RealDevice(name, port, folder / "agent.log")
        task = asyncio.create_task(_keep_agent(device, root, enrol))
        try:
            yield device
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def _keep_agent(device: RealDevice, root: Path, enrol: Enrol) -> None:
    wait_s = RESTART_S[0]
    environment = environment_for(root) | {"WASEL_CLAIM": enrol.claim, "WASEL_FLEET": enrol.server}
    environment.pop("WASEL_BROKER", None)
    while True:
        with device.log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *bound([sys.executable, "-m", "agent", "agent", "--device", device.name, "--port", device.port]),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,  # Ctrl-C reaches us; we end it
            )
        try:
            await process.wait()
        finally:
            await end_process(process)
        device.restarts += 1
        await asyncio.sleep(wait_s)
        wait_s = min(wait_s * 2, RESTART_S[1])
