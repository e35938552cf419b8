# SPDX-License-Identifier: Apache-2.0
"""`python -m bench.roundtrip [--kernel standin|sel4]`: a WASI call's round trip against a bare call's.

Both go from the engine's domain to the wasi domain of one device under QEMU: 20,000 bare calls, as many `sched_yield`
of a module, 20,000 bare calls again. The bare ones are answered where `protected()` begins. The module's own run
without a call is taken off. Guest time (CNTPCT) under `-icount` counts executed instructions, kernel's included, 8 ns
each; caches cost nothing there, so the ratio is the result, not the microseconds.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import sys

from agent.errors import WaselError
from agent.follow import follow
from agent.link.device import Device as Link
from edge_engine.zig import ROOT, Target, ToolError, compile_objects, link
from qemu.launcher import running_device
from sel4_bridge.build import KERNELS, SDK_VARIABLE, BuildError, Change, build_device

HERE = ROOT / "bench" / "roundtrip"
OUT = ROOT / "build" / "bench" / "roundtrip"
GUEST = Target("guest", "wasm32-freestanding")
ROUNDS = 20_000
RUNS = 3
LIMIT = 1.5  # bare calls
ICOUNT = ("-icount", "shift=3,sleep=off")  # guest time counts instructions, 8 ns each: a busy host changes nothing


def _guest(calls: int) -> bytes:
    flags = ("-O2", "-nostdlib", f"-DCALLS={calls}u")
    objects = compile_objects([HERE / "guest.c"], OUT / str(calls), GUEST, flags)
    return link(objects, OUT / f"guest-{calls}.wasm", GUEST, ("-nostdlib", "-Wl,--no-entry", "-s")).read_bytes()


async def _measure(device: Link, module: bytes) -> tuple[int, int, int, int]:
    """Ticks of the bare calls before and after, of the run between them, and the frequency."""
    lines: list[bytes] = []

    def keep(record: tuple[int, int, bool, bytes]) -> None:
        lines.append(record[3])

    await device.upload(0, module)
    await device.set_pending(hashlib.sha256(module).digest())
    cursor = (await device.slot(0)).log_next
    await device.start(0, ("guest",), lossless=True)
    final = await follow(device, 0, cursor, keep, slowest_s=0.05)
    if final.state != "exited":
        raise WaselError(f"the guest ended as {final.state}: {final.error or final.trap}")
    before, after, run, frequency = map(int, lines[-1].split())
    return before, after, run, frequency


async def measure_ratio(kernel: str) -> float:
    """Print three measurements and return their median: WASI call over bare call."""
    wasi = Change("wasi", (HERE / "wasi.c",), "sb_wasi_serve")
    engine = Change("engine", (HERE / "engine.c",), "sb_run")
    folder = ROOT / "build" / "variants" / f"roundtrip-{kernel}"
    image = build_device(kernel, folder=folder, changes=(engine, wasi)).image
    ratios: list[float] = []
    async with (
        running_device("roundtrip", kernel=kernel, image=image, extra=ICOUNT) as running,
        Link(running.record.port, name="device") as device,
    ):
        for _ in range(RUNS):
            idle = (await _measure(device, _guest(0)))[2]
            before, after, run, frequency = await _measure(device, _guest(ROUNDS))
            bare_us = (before + after) / 2 / ROUNDS / frequency * 1e6
            call_us = (run - idle) / ROUNDS / frequency * 1e6
            ratios.append(call_us / bare_us)
            print(f"{kernel}: bare call {bare_us:6.2f} us, WASI call {call_us:6.2f} us, ratio {ratios[-1]:.2f}")
    return sorted(ratios)[len(ratios) // 2]


def main() -> int:
    """Print the figures of the kernels; 1 if one is beyond the limit, or cannot be built or run."""
    parser = argparse.ArgumentParser(description="A WASI call's round trip against a bare protected procedure call's.")
    parser.add_argument("--kernel", choices=KERNELS, help="default: each that is here")
    options = parser.parse_args()
    here = KERNELS if SDK_VARIABLE in os.environ else ("standin",)
    beyond = False
    for kernel in here if options.kernel is None else (options.kernel,):
        try:
            ratio = asyncio.run(measure_ratio(kernel))
        except (WaselError, BuildError, ToolError) as failure:
            print(f"wasel: {failure}", file=sys.stderr)
            return 1
        print(f"{kernel}: a WASI call costs {ratio:.2f} bare calls (median of {RUNS}), at most {LIMIT} are wanted")
        beyond |= ratio > LIMIT
    return 1 if beyond else 0


if __name__ == "__main__":
    sys.exit(main())
