# SPDX-License-Identifier: Apache-2.0
"""`python -m bench.boot`: how long devices and simulators take until they are ready, and a simulator's memory.

Wall-clock milliseconds: from the start of the process (QEMU, the simulator) to the arrival of `wasel: ready` on the
UART's socket, and from the reset button to the same. Images are built before. What else the machine does can only add
to these times, so a limit is held by the least of them; median and most stand beside it, and the processor time that
QEMU or the simulator had used when the device was ready. Writes the section `device` of results.json.

Genuine seL4 is measured where MICROKIT_SDK is set. Exit codes: 0 measured and within the limits, 1 beyond one or
failed, 2 usage.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from agent.errors import WaselError
from agent.follow import follow
from agent.link.device import Device as Link
from bench.report import machine, update_section
from edge_engine.zig import ROOT, ToolError
from qemu.boards import BOARDS
from qemu.demo import build_hello
from qemu.launcher import image_for, running_device
from qemu.sim import running_simulator
from qemu.simulator_build import build_simulator
from sel4_bridge.build import SDK_VARIABLE
from sel4_bridge.system import SLOTS

LIMIT_MS = {"standin": 300.0, "sel4": 1500.0, "simulator": 50.0}
MEMORY_LIMIT_KIB = 64 * 1024
STARTS, RESETS, SIMULATORS = 10, 20, 30
SECTION = "device"


def _summary(times_ms: list[float]) -> dict[str, float]:
    least, most = round(min(times_ms), 1), round(max(times_ms), 1)
    return {"least_ms": least, "median_ms": round(median(times_ms), 1), "most_ms": most, "times": len(times_ms)}


def _used_ms(process: int) -> float:
    """Processor time that a process has used: proc(5), utime and stime."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")


async def measure_kernel(kernel: str) -> dict[str, Any]:
    """Start a device again and again, then reset one."""
    image = await asyncio.to_thread(image_for, kernel)
    starts, used = [], []
    for _ in range(STARTS):
        with tempfile.TemporaryDirectory(prefix="wasel-bench-") as folder:
            async with running_device("bench", kernel=kernel, image=image, root=Path(folder)) as device:
                used.append(_used_ms(device.record.pid))
                starts.append(device.record.ready_ms or 0.0)
    async with running_device("bench", kernel=kernel, image=image) as device:
        resets = [await device.reset() for _ in range(RESETS)]
    return {"start_to_ready": _summary(starts), "reset_to_ready": _summary(resets), "processor_time": _summary(used)}


async def measure_simulator() -> dict[str, Any]:
    """Start simulators again and again; run a module in every slot of one and see what memory it took at most."""
    await asyncio.to_thread(build_simulator)
    module = build_hello(1)
    starts, resets, used = [], [], []
    for _ in range(SIMULATORS):
        async with running_simulator() as simulator:
            used.append(_used_ms(simulator.process.pid))
            starts.append(simulator.ready_ms)
            started = time.monotonic()
            await simulator.reset()
            resets.append((time.monotonic() - started) * 1000)
    async with running_simulator() as simulator, Link(simulator.port, name="bench") as link:
        for slot in range(SLOTS):
            await link.upload(slot, await asyncio.to_thread(module.path.read_bytes))
            await link.set_pending(module.digest)
            await link.start(slot, ("hello",))
        for slot in range(SLOTS):
            await follow(link, slot, 0, lambda _: None)
        peak_kib = _peak_kib(simulator.process.pid)
    times = {"start_to_ready": _summary(starts), "reset_to_ready": _summary(resets), "processor_time": _summary(used)}
    return {**times, "peak_kib": peak_kib}


def _peak_kib(process: int) -> int:
    """Resident memory that a process had at most: proc(5), VmHWM."""
    lines = Path(f"/proc/{process}/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1])


async def measure() -> dict[str, Any]:
    """Measure everything that this machine can run."""
    results: dict[str, Any] = {"simulator": await measure_simulator()}
    for kernel in (kernel.name for kernel in BOARDS[0].kernels):
        if kernel == "sel4" and not os.environ.get(SDK_VARIABLE):
            print(f"left out: {kernel}: {SDK_VARIABLE} does not name an unpacked Microkit SDK")
            continue
        results[kernel] = await measure_kernel(kernel)
    return results


def beyond(results: dict[str, Any]) -> list[str]:
    """Say which limits do not hold."""
    found = []
    for name, limit_ms in LIMIT_MS.items():
        if name in results and results[name]["start_to_ready"]["least_ms"] > limit_ms:
            found.append(f"{name}: {results[name]['start_to_ready']['least_ms']} ms to ready, not {limit_ms:g}")
    if results["simulator"]["peak_kib"] > MEMORY_LIMIT_KIB:
        found.append(f"simulator: {results['simulator']['peak_kib']} KiB, not {MEMORY_LIMIT_KIB}")
    return found


def main(argv: list[str]) -> int:
    """Measure, print, write; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.boot", description=__doc__)
    parser.add_argument("--output", type=Path, default=ROOT / "bench" / "results.json")
    options = parser.parse_args(argv)
    try:
        results = asyncio.run(measure())
    except (WaselError, ToolError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    for name, found in results.items():
        for what, times in found.items():
            text = (
                f"{times:,} KiB"
                if isinstance(times, int)
                else "least {least_ms}, median {median_ms}, most {most_ms} ms".format(**times)
            )
            print(f"{name}: {what.replace('_', ' ')}: {text}")
    update_section(SECTION, {"boot": {**results, "machine": machine()}}, options.output)
    print(f"wrote {options.output}")
    found = beyond(results)
    for text in found:
        print(f"bench: beyond its limit: {text}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
