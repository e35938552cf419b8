# SPDX-License-Identifier: Apache-2.0
"""A device that is reset again and again is ready each time, and answers."""

from __future__ import annotations

from statistics import median

from agent.errors import WaselError
from agent.link.device import Device as Link
from qemu.launcher import running_device
from soak import Part, Soak
from soak.kernels import kernels

RESETS = 1000
ASK_EVERY = 50  # resets between two questions over the link


async def _run(soak: Soak) -> None:
    for kernel in kernels(soak):
        await _reset(soak, kernel)


async def _reset(soak: Soak, kernel: str) -> None:
    count, ready_ms = soak.times(RESETS), []
    async with running_device("soak", kernel=kernel, root=soak.folder / kernel) as device:
        for number in range(1, count + 1):
            soak.progress(f"{kernel}: reset {number} of {count}")
            try:
                ready_ms.append(await device.reset())
                if number % ASK_EVERY == 0 or number == count:
                    async with Link(device.record.port, name="soak") as link:
                        await link.slot(0)
            except WaselError as error:
                soak.check(False, f"{kernel}: reset {number}: {error}")
    soak.measure(f"{kernel}: resets that reached ready", len(ready_ms), at_least=count)
    soak.measure(f"{kernel}: reset to ready, median", round(median(ready_ms or [0]), 1), "ms")
    soak.measure(f"{kernel}: reset to ready, longest", round(max(ready_ms, default=0), 1), "ms")


PART = Part("1,000 resets of one device in a row on each kernel, each reaching ready", timeout_s=1800, run=_run)
