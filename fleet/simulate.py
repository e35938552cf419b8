# SPDX-License-Identifier: Apache-2.0
"""`wasel fleet simulate`: makes virtual and real devices known to a server and runs them until told to stop.

Contract: `run_simulation` returns after SIGTERM, SIGINT or the time given, with every device gone. Passwords of virtual
devices are kept in the state folder (0600), so that the next run with the same prefix is the same devices.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agent.errors import UsageError
from agent.files import replace_file
from agent.login import tls_context
from agent.patience import happens
from fleet.real_devices import Enrol, real_device
from fleet.virtual_faults import Faults
from fleet.virtual_fleet import VirtualFleet

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fleet.client import Client

__all__ = ["Simulation", "device_names", "run_simulation", "until"]

POLL_S = 0.05
REPORT_S = 1.0
MAX_DEVICES = 20_000


@dataclass(frozen=True)
class Simulation:
    """What was asked for."""

    devices: int = 0
    sim: int = 0
    qemu: int = 0
    prefix: str = "sim"
    seed: int = 0
    faults: Faults = field(default_factory=Faults)
    tags: dict[str, str] = field(default_factory=dict)
    broker: str | None = None
    """None: as the server says."""
    for_s: float | None = None

    def __post_init__(self) -> None:
        """Check the numbers."""
        if not 0 <= self.devices <= MAX_DEVICES:
            raise UsageError(f"--devices: from 0 to {MAX_DEVICES}")
        if self.devices + self.sim + self.qemu == 0:
            raise UsageError("nothing to simulate: give --devices, --sim or --qemu")


def device_names(count: int, prefix: str = "sim") -> list[str]:
    """Give names that sort as they count."""
    width = max(4, len(str(max(count - 1, 0))))
    return [f"{prefix}-{number:0{width}}" for number in range(count)]


async def until(good: Callable[[], bool], timeout_s: float, poll_s: float = POLL_S) -> float:
    """Wait until something holds; gives how long that took in seconds. TimeoutError."""
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    async with asyncio.timeout(timeout_s):
        while not good():  # noqa: ASYNC110 - thousands of devices would have to say so each time
            await asyncio.sleep(poll_s)
    return loop.time() - began_s


def known_devices(client: Client, simulation: Simulation, path: Path) -> dict[str, str | None]:
    """Give the virtual devices' passwords: kept ones, and new ones from the server."""
    kept: dict[str, str] = {}
    with contextlib.suppress(FileNotFoundError):
        kept = dict(json.loads(path.read_text(encoding="utf-8")))
    names = device_names(simulation.devices, simulation.prefix)
    missing = [name for name in names if name not in kept]
    if missing:
        kept |= client.post("/devices/many", {"names": missing, "tags": simulation.tags})
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        mask = os.umask(0o077)
        try:
            replace_file(path, json.dumps(kept).encode())
        finally:
            os.umask(mask)
    return {name: kept[name] for name in names}


def _summary(fleet: VirtualFleet | None, real: list[Any]) -> dict[str, Any]:
    counters = fleet.counters if fleet is not None else None
    return {
        "devices": len(fleet.links) if fleet else 0,
        "connected": fleet.connected if fleet else 0,
        "settled": fleet.count(lambda device: device.settled) if fleet else 0,
        "refused": counters.refused if counters else 0,
        "lost": counters.lost if counters else 0,
        "received": counters.received if counters else 0,
        "sent": counters.sent if counters else 0,
        "faults": dict(fleet.injected) if fleet else {},
        "real": [device.name for device in real],
    }


async def run_simulation(
    simulation: Simulation, client: Client, server: str, root: Path, tell: Callable[[dict[str, Any]], None]
) -> dict[str, Any]:
    """Run until told to stop; `tell` gets a summary each second. Gives the last one.

    Raises:
        WaselError: the server refuses, a real device does not boot.

    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for ending in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(ending, stop.set)
    async with contextlib.AsyncExitStack() as stack:
        fleet = None
        if simulation.devices:
            where = await asyncio.to_thread(client.get, "/broker")
            url = simulation.broker or where["broker"]
            path = root / f"{simulation.prefix}.json"
            passwords = await asyncio.to_thread(known_devices, client, simulation, path)
            tls = tls_context(where["ca"]) if url.startswith("mqtts") else None
            fleet = await stack.enter_async_context(
                VirtualFleet(url, passwords, faults=simulation.faults, seed=simulation.seed, tls=tls)
            )
        real = []
        kinds = ["sim"] * simulation.sim + ["qemu"] * simulation.qemu
        if kinds:
            body = {"uses": len(kinds), "days": 1, "tags": simulation.tags, "note": "wasel fleet simulate"}
            claim = (await asyncio.to_thread(client.post, "/claims", body))["token"]
            for number, kind in enumerate(kinds):
                if not stop.is_set():
                    name = f"{simulation.prefix}-{kind}-{number}"
                    real.append(await stack.enter_async_context(real_device(name, kind, root, Enrol(server, claim))))
        ends_s = loop.time() + simulation.for_s if simulation.for_s is not None else None
        while not stop.is_set() and (ends_s is None or loop.time() < ends_s):
            tell(_summary(fleet, real))
            left_s = REPORT_S if ends_s is None else min(REPORT_S, max(0.0, ends_s - loop.time()))
            await happens(stop, left_s)
        return _summary(fleet, real)
