# SPDX-License-Identifier: Apache-2.0
"""A hundred simulated devices at once, again and again, each running modules in both slots."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from statistics import median

from agent.errors import WaselError
from agent.follow import follow
from agent.link.device import Device as Link
from qemu.demo import EXPECTED, build_hello
from qemu.sim import SimOptions, running_simulator
from sel4_bridge.system import SLOTS
from soak import Part, Soak

DEVICES = 100
ROUNDS = 10
MEMORY_MAX_MIB = 64
BOOT_MAX_MS = 50
WAIT_S = 300.0  # for all of them, on a busy machine


async def _run(soak: Soak) -> None:
    module = await asyncio.to_thread(build_hello(1).path.read_bytes)
    alone_ms = []
    for _ in range(soak.times(100)):
        async with running_simulator() as simulator:
            alone_ms.append(simulator.ready_ms)
    soak.measure("one alone: start to ready, median", round(median(alone_ms), 1), "ms", at_most=BOOT_MAX_MS)
    finished, peak_kib = 0, [0]
    for number in range(1, soak.times(ROUNDS) + 1):
        soak.progress(f"round {number}")
        together = asyncio.Barrier(DEVICES)
        seeds = [soak.random.getrandbits(31) for _ in range(DEVICES)]
        results = await asyncio.gather(*(_device(together, seed, module) for seed in seeds), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                soak.check(False, f"round {number}: {type(result).__name__}: {result}")
            else:
                finished += 1
                peak_kib.append(result)
    wanted = DEVICES * soak.times(ROUNDS)
    soak.measure(f"devices, {DEVICES} at once, that ran both modules", finished, at_least=wanted)
    soak.measure("most memory of one", round(max(peak_kib) / 1024, 1), "MiB", at_most=MEMORY_MAX_MIB)


async def _device(together: asyncio.Barrier, seed: int, module: bytes) -> int:
    """Run the module in each slot while all the others do; returns the most memory that the process had, in KiB."""
    async with asyncio.timeout(WAIT_S), running_simulator(SimOptions(seed=seed)) as simulator:
        async with Link(simulator.port, name="soak") as link:
            await together.wait()
            for slot in range(SLOTS):
                await link.upload(slot, module)
                await link.set_pending(hashlib.sha256(module).digest())
                await link.start(slot, ("hello", "over MQTT"), (("WHO", "demo"),), lossless=True)
            for slot in range(SLOTS):
                await _check_output(link, slot)
            await together.wait()  # nobody leaves before the last one has finished
        status = await asyncio.to_thread(Path(f"/proc/{simulator.process.pid}/status").read_text, encoding="ascii")
        return int(next(line for line in status.splitlines() if line.startswith("VmHWM:")).split()[1])


async def _check_output(link: Link, slot: int) -> None:
    lines: list[bytes] = []
    final = await follow(link, slot, 0, lambda record: lines.append(record[3]))
    if final.state != "exited" or tuple(line.decode() for line in lines) != EXPECTED[1]:
        raise WaselError(f"slot {slot}: {final.state}, said {lines}")


PART = Part("100 simulated devices at once, modules in both slots; a simulator's boot time", timeout_s=1800, run=_run)
