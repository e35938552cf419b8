# SPDX-License-Identifier: Apache-2.0
"""What the fleet's soak parts do: load a server with virtual devices, or break everything and see that it heals.

Scale 1 is 10,000 devices. The limits are the product's; where the machine is shared, say so beside the numbers.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from fleet.simulate import device_names, until
from fleet.virtual_faults import Faults
from fleet.virtual_fleet import VirtualFleet
from soak.fleet_site import SiteError, fleet_site, module
from soak.pages import looking

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine

    from fleet.virtual_device import VirtualDevice
    from soak import Soak
    from soak.fleet_site import FleetSite

__all__ = ["faults", "load"]

T = TypeVar("T")

DEVICES = 10_000
MODULE_SIZE = 64 * 1024  # bytes
PAGES = (
    *("/", "/devices", "/rollouts"),
    *("/api/v1/overview", "/api/v1/overview/map", "/api/v1/devices?limit=50", "/api/v1/events?limit=50"),
)
CONNECT_TIMEOUT_S = 900
RUN_TIMEOUT_S = 1800
STALL_POLL_S = 0.01
LOOK_EVERY_S = 0.05
WEIGH_EVERY_S = 1.0
FAULTY_DEVICES = 500
FAULTS = 100_000
LEAST_FAULTY = 200
"""Devices at small scales: a few would take long to see many faults."""
SPREAD = Faults(
    loss=0.08,
    duplicate=0.08,
    reorder=0.08,
    delay_s=0.3,
    cut_rate=0.02,
    agent_rate=0.01,
    reboot_rate=0.01,
    skew_s=600,
    drift=0.05,
    storm_every_s=20,
    storm_share=0.3,
)
RESTART_EVERY_S = 15.0
RESTARTS_FROM = 10_000
"""Faults from which broker and server are restarted now and then only; below, after each version."""


async def load(soak: Soak, *, database: str = "", workers: int = 1) -> None:
    """Roll a module of 64 KiB out to all devices at once, with people looking at the dashboard meanwhile."""
    count = soak.times(DEVICES)
    async with fleet_site(soak.folder, database=database, workers=workers) as site:
        names = device_names(count)
        passwords = await site.enroll(names)
        async with VirtualFleet(site.broker_url, passwords, seed=soak.seed) as fleet:
            soak.progress(f"{count} devices connect")
            soak.measure("devices", count)
            taken_s = await until(lambda: fleet.connected == count, CONNECT_TIMEOUT_S)
            soak.measure("all connected", round(taken_s, 1), "s")
            await _until_good(site, count)
            await _roll_out(soak, site, fleet, names)
            soak.measure("connections lost", fleet.counters.lost, at_most=0)
        soak.measure("server's memory, largest process (peak of RSS)", site.peak_mib(), "MiB", at_most=400)


async def _until_good(site: FleetSite, count: int) -> None:
    async with asyncio.timeout(RUN_TIMEOUT_S):
        while (await site.ask("GET", "/overview"))["states"].get("good", 0) < count:  # noqa: ASYNC110 - it is asked
            await asyncio.sleep(0.5)


async def _roll_out(soak: Soak, site: FleetSite, fleet: VirtualFleet, names: list[str]) -> None:
    digest = bytes.fromhex(await site.upload(module(1, MODULE_SIZE)))
    loop = asyncio.get_running_loop()

    def runs(device: VirtualDevice) -> bool:
        return device.running(0) == (digest, "running") and device.settled

    async with looking(site.url, site.token, PAGES, LOOK_EVERY_S) as looked, _stalls(soak), _weighed(soak, site):
        fleet.counters.desired.clear()
        used = _cpu_s(site)
        began_s = loop.time()
        soak.progress("the module is rolled out")
        await site.deploy(names, digest.hex())
        asked_s = loop.time() - began_s
        await until(lambda: len(fleet.counters.desired) == len(names), RUN_TIMEOUT_S)
        notified_s = max(fleet.counters.desired.values()) - began_s
        until_notified = {name: now_s - used[name] for name, now_s in _cpu_s(site).items()}
        await until(lambda: fleet.count(runs) == len(names), RUN_TIMEOUT_S, 0.2)
        running_s = loop.time() - began_s
        await _until_good(site, len(names))
        known_s = loop.time() - began_s
        used = {name: now_s - used[name] for name, now_s in _cpu_s(site).items()}
    starts = [device.starts(0) for device in (link.device for link in fleet.links)]
    soak.measure("orders accepted by the API", round(asked_s, 2), "s")
    soak.measure("all notified", round(notified_s, 2), "s", at_most=5)
    soak.measure("64 KiB running on all", round(running_s, 1), "s", at_most=300)
    soak.measure("devices a minute", round(60 * len(names) / running_s))
    soak.measure("server knows of all", round(known_s, 1), "s")
    soak.measure("dashboard, answers", looked.count)
    soak.measure("dashboard, p50", round(looked.at(0.5)), "ms")
    soak.measure("dashboard, p99", round(looked.at(0.99)), "ms", at_most=500)
    for path in PAGES:
        soak.measure(f"of them {path}, slowest", round(looked.at(1, path)), "ms")
    for name, seconds in used.items():
        soak.measure(f"processor time: {name}", round(seconds, 1), "s")
        soak.measure(f"of it until all were notified: {name}", round(until_notified[name], 1), "s")
    soak.measure("machine: load average", round(os.getloadavg()[0], 1))
    soak.measure("devices that started it more than once", sum(count > 1 for count in starts), at_most=0)


def _cpu_s(site: FleetSite) -> dict[str, float]:
    return {**site.cpu_s(), "simulated devices": time.process_time()}


@contextlib.asynccontextmanager
async def _beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Have something else done meanwhile, which never ends by itself."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@contextlib.asynccontextmanager
async def _stalls(soak: Soak) -> AsyncIterator[None]:
    """Measure how long our own loop, on which the devices live, is away: what is below is not the server's doing."""
    worst_s = 0.0

    async def look() -> None:
        nonlocal worst_s
        loop = asyncio.get_running_loop()
        while True:
            began_s = loop.time()
            await asyncio.sleep(STALL_POLL_S)
            worst_s = max(worst_s, loop.time() - began_s - STALL_POLL_S)

    try:
        async with _beside(look()):
            yield
    finally:
        soak.measure("simulated devices: longest stall of their loop", round(worst_s * 1000), "ms")


@contextlib.asynccontextmanager
async def _weighed(soak: Soak, site: FleetSite) -> AsyncIterator[None]:
    """Measure what the server's processes take together, each shared page counted once."""
    most = site.together_mib()

    async def look() -> None:
        nonlocal most
        while True:
            await asyncio.sleep(WEIGH_EVERY_S)
            most = max(most, await asyncio.to_thread(site.together_mib))

    try:
        async with _beside(look()):
            yield
    finally:
        soak.measure("server's memory, all processes together (PSS)", most, "MiB", at_most=400)


async def faults(soak: Soak) -> None:
    """Break messages, connections, agents, devices, the broker and the server, and let everything come to rest."""
    count, wanted = max(LEAST_FAULTY, soak.times(FAULTY_DEVICES)), soak.times(FAULTS)
    async with fleet_site(soak.folder) as site:
        names = device_names(count)
        passwords = await site.enroll(names)
        async with VirtualFleet(site.broker_url, passwords, faults=SPREAD, seed=soak.seed) as fleet:
            watch = _Invariants(soak, fleet)
            last = await _break(soak, site, fleet, names, wanted, watch)
            fleet.faulty = False
            soak.progress("everything comes to rest")
            digest = bytes.fromhex(last)

            def arrived(device: VirtualDevice) -> bool:
                return device.running(0) == (digest, "running") and device.settled

            with contextlib.suppress(TimeoutError):
                await until(lambda: fleet.count(arrived) == count, RUN_TIMEOUT_S, 0.5)
            soak.measure("devices", count)
            soak.measure("faults injected", fleet.injected.all, at_least=wanted)
            for kind, number in sorted(fleet.injected.items()):
                soak.measure(f"of them: {kind}", number)
            soak.measure("devices in the desired state at the end", fleet.count(arrived), at_least=count)
            with contextlib.suppress(TimeoutError):
                await _until_good(site, count)
            states = (await site.ask("GET", "/overview"))["states"]
            soak.measure("devices that the server finds in order", states.get("good", 0), at_least=count)
            watch.look()


class _Invariants:
    """What must hold at any moment."""

    def __init__(self, soak: Soak, fleet: VirtualFleet) -> None:
        self._soak = soak
        self._fleet = fleet
        self._accepted: dict[str, int] = {}
        self.digests: set[bytes] = set()
        """That were ever desired."""

    def look(self) -> None:
        """Look at every device."""
        for link in self._fleet.links:
            device = link.device
            before = self._accepted.get(device.name, 0)
            self._soak.check(device.accepted >= before, f"{device.name}: its sequence went back from {before}")
            self._accepted[device.name] = device.accepted
            active = device.running(0)[0]
            self._soak.check(active is None or active in self.digests, f"{device.name}: runs what nobody desired")


async def _break(
    soak: Soak, site: FleetSite, fleet: VirtualFleet, names: list[str], wanted: int, watch: _Invariants
) -> str:
    """Deploy version after version while everything breaks; gives the last one's digest."""
    version, digest, restarted_s = 0, "", asyncio.get_running_loop().time()
    small = wanted < RESTARTS_FROM
    while version < 2 or fleet.injected.all < wanted:  # noqa: PLR2004 - at least one replaces another
        version += 1
        soak.progress(f"{fleet.injected.all} of {wanted} faults, version {version}")
        data = module(version, MODULE_SIZE)
        digest = await _insist(site, partial(site.upload, data))
        watch.digests.add(bytes.fromhex(digest))
        await _insist(site, partial(site.deploy, names, digest))
        for _ in range(10):
            await asyncio.sleep(0.5)
            watch.look()
        if small or asyncio.get_running_loop().time() - restarted_s > RESTART_EVERY_S:
            restarted_s = asyncio.get_running_loop().time()
            await _restart(soak, site, fleet)
    return digest


async def _restart(soak: Soak, site: FleetSite, fleet: VirtualFleet) -> None:
    if soak.random.random() < 0.5:  # noqa: PLR2004
        pid = site.broker_pid()
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            fleet.injected["broker killed"] += 1
    else:
        await site.kill()
        fleet.injected["server and broker killed"] += 1
        await site.start()
        fleet.move(site.broker_url)


async def _insist(site: FleetSite, ask: Callable[[], Awaitable[T]]) -> T:
    """Ask again while the server is being restarted."""
    for _ in range(60):
        with contextlib.suppress(SiteError):
            return await ask()
        await asyncio.sleep(1)
    raise SiteError(f"the server does not come back: {site.last_words()}")
