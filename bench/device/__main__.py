# SPDX-License-Identifier: Apache-2.0
"""`python -m bench.device [--kernel standin|sel4]... [--scale F]`: the bench's kernels inside a device under QEMU.

Without --kernel: the stand-in kernel, and genuine seL4 where MICROKIT_SDK is set.

Each runs as the C that is linked into the engine's protection domain (-O2, without fused multiply-add), as native code
out of the slot's code region, and interpreted; checksums must agree. Twice over: executed instructions (guest time
under -icount, the kernel's own included), and the processor time of QEMU's process, medians of ROUNDS. Geometric means
of native code have limits. Writes section `device_native` of bench/results.json with --write.

Exit codes: 0 measured and within the limits, 1 beyond one or failed, 2 usage.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import struct
import sys
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from agent.binary import encode_unsigned
from agent.errors import WaselError
from agent.follow import follow
from agent.link.device import Device as Link
from bench import BenchError
from bench.compiled import compiled_module
from bench.kernels import KERNELS, SOURCES, Built, build, select
from bench.measure import geomean
from bench.report import update_section
from edge_engine.zig import ROOT, ToolError
from qemu.launcher import running_device
from sel4_bridge.build import KERNELS as DEVICE_KERNELS
from sel4_bridge.build import SDK_VARIABLE, BuildError, Change, build_device

if TYPE_CHECKING:
    from collections.abc import Sequence

HERE = ROOT / "bench" / "device"
OUT = ROOT / "build" / "bench" / "device"
ORDER = b"bench.order"
WAYS = ("c", "native", "native-fuel", "interpreter")
COUNTED = ("-icount", "shift=0,sleep=off")  # a nanosecond of guest time for each instruction
COUNTED_SCALE, TIMED_SCALE = 0.02, 3.0
ROUNDS = 3
FUEL = 1 << 50
TIMEOUT_S = 300.0
LIMITS = {"time": 1.2, "instructions": 1.4}  # of native code's geometric mean over the same C


@dataclass
class Numbers:
    """Of one kernel, by way."""

    name: str
    instructions: dict[str, float] = field(default_factory=dict)
    time: dict[str, float] = field(default_factory=dict)


def _image(kernel: str) -> Path:
    """Build the device with the measuring engine."""
    OUT.mkdir(parents=True, exist_ok=True)
    sources = []
    table = " ".join(f"X({one.name})" for one in KERNELS)
    for one in KERNELS:
        source = OUT / f"{one.name}.c"
        text = (
            "/* Generated: a kernel of the bench under a name of its own. */\n"
            '#pragma clang diagnostic ignored "-Wconversion"\n'
            "#pragma clang fp contract(off)\n"
            f'#define run run_{one.name}\n#include "{SOURCES / one.name}.c"\n'
        )
        if not source.exists() or source.read_text() != text:
            source.write_text(text)
        sources.append(source)
    engine = OUT / "engine.c"
    text = f'#define BENCH_KERNELS {table}\n#include "{HERE / "engine.c"}"\n'
    if not engine.exists() or engine.read_text() != text:
        engine.write_text(text)
    change = Change("engine", (engine, *sources), "sb_run")
    return build_device(kernel, folder=ROOT / "build" / "variants" / f"bench-{kernel}", changes=(change,)).image


def _with_order(module: bytes, kernel: int, rounds: int, *, in_c: bool) -> bytes:
    body = encode_unsigned(len(ORDER)) + ORDER + struct.pack("<III", kernel, int(in_c), rounds)
    return module + b"\0" + encode_unsigned(len(body)) + body


def _modules(built: Built, scale: float) -> dict[str, bytes]:
    """Return the module for each way."""
    number = KERNELS.index(built.kernel)
    rounds = max(1, round(built.kernel.rounds * scale))
    plain = built.wasm.read_bytes()
    files = {
        "c": plain,
        "native": compiled_module(built.wasm, "aarch64", fuel=False).read_bytes(),
        "native-fuel": compiled_module(built.wasm, "aarch64", fuel=True).read_bytes(),
        "interpreter": plain,
    }
    return {way: _with_order(data, number, rounds, in_c=way == "c") for way, data in files.items()}


class _Bench:
    """One booted device."""

    def __init__(self, link: Link, pid: int) -> None:
        self.link = link
        self.pid = pid

    def processor_ns(self) -> int:
        tasks = Path(f"/proc/{self.pid}/task").glob("*/schedstat")
        return sum(int(task.read_text().split()[0]) for task in tasks)

    async def run(self, way: str, module: bytes) -> tuple[int, int, int]:
        """Ticks and checksum of the kernel, and processor nanoseconds of QEMU from the start to the end."""
        lines: list[bytes] = []
        await self.link.upload(0, module)
        await self.link.set_pending(hashlib.sha256(module).digest())
        cursor = (await self.link.slot(0)).log_next
        begin = self.processor_ns()
        await self.link.start(0, ("kernel",), fuel=FUEL if way == "native-fuel" else None, lossless=True)
        async with asyncio.timeout(TIMEOUT_S):
            final = await follow(self.link, 0, cursor, lambda record: lines.append(record[3]), slowest_s=0.02)
        took = self.processor_ns() - begin
        if final.state != "exited" or not lines:
            raise WaselError(f"{way}: ended as {final.state}: {final.error or final.trap}")
        ticks, checksum, native = map(int, lines[-1].split())
        if native != (way.startswith("native")):
            raise WaselError(f"{way}: the tier was {final.tier}: {final.tier_note}")
        return ticks, checksum, took


async def _take(kernel: str, kernels: Sequence[Built], *, counted: bool, scale: float, rounds: int) -> list[Numbers]:
    """Numbers of every kernel on one boot: instructions, or nanoseconds less those of a start that does nothing."""
    image = await asyncio.to_thread(_image, kernel)
    found = [Numbers(built.kernel.name) for built in kernels]
    async with (
        running_device("bench", kernel=kernel, image=image, extra=COUNTED if counted else ()) as device,
        Link(device.record.port, name="device", timeout_s=20) as link,
    ):
        bench = _Bench(link, device.record.pid)
        for built, numbers in zip(kernels, found, strict=True):
            modules = _modules(built, scale)
            empty = {
                way: _with_order(data, KERNELS.index(built.kernel), 0, in_c=way == "c")
                for way, data in (
                    (way, data[: -len(_with_order(b"", 0, 0, in_c=False))]) for way, data in modules.items()
                )
            }
            sums: set[int] = set()
            for way in WAYS:
                ticks, checksum, _ = await bench.run(way, modules[way])
                sums.add(checksum)
                if counted:
                    numbers.instructions[way] = ticks
                    continue
                took = [(await bench.run(way, modules[way]))[2] for _ in range(rounds)]
                idle = [(await bench.run(way, empty[way]))[2] for _ in range(rounds)]
                numbers.time[way] = max(1.0, median(took) - median(idle))
            if len(sums) != 1:
                raise BenchError(f"{kernel}: {built.kernel.name}: different checksums: {sorted(sums)}")
            print(
                f"{kernel}: {built.kernel.name}: {_ratios(numbers.instructions if counted else numbers.time)}",
                flush=True,
            )
    return found


def _ratios(by_way: dict[str, float]) -> str:
    return "  ".join(f"{way} {by_way[way] / by_way['c']:.2f}" for way in WAYS[1:])


def _section(found: list[Numbers], measure: str) -> dict[str, Any]:
    ratios = {
        one.name: {way: getattr(one, measure)[way] / getattr(one, measure)["c"] for way in WAYS[1:]} for one in found
    }
    means = {way: round(geomean(row[way] for row in ratios.values()), 4) for way in WAYS[1:]}
    rows = {name: {way: round(value, 4) for way, value in row.items()} for name, row in ratios.items()}
    return {"geomean_vs_c": means, "kernels": rows}


async def measure(kernel: str, names: Sequence[str], scale: float, rounds: int) -> dict[str, Any]:
    """Measure one device kernel; its part of the section."""
    kernels = build(select(names))
    counted = await _take(kernel, kernels, counted=True, scale=COUNTED_SCALE * scale, rounds=1)
    timed = await _take(kernel, kernels, counted=False, scale=TIMED_SCALE * scale, rounds=rounds)
    return {"instructions": _section(counted, "instructions"), "time": _section(timed, "time")}


def main() -> int:
    """Print the figures; 1 if a device cannot be built or run, or ways disagree."""
    parser = argparse.ArgumentParser(
        description="The bench's kernels on a device: C in the domain, native, interpreted."
    )
    parser.add_argument("--kernel", choices=DEVICE_KERNELS, action="append", help="of the device")
    parser.add_argument("--bench", action="append", default=[], help="only these kernels of the bench")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--write", action="store_true", help="into bench/results.json")
    options = parser.parse_args()
    try:
        sections = {
            kernel: asyncio.run(measure(kernel, options.bench, options.scale, options.rounds))
            for kernel in options.kernel
            or [one for one in DEVICE_KERNELS if one != "sel4" or SDK_VARIABLE in os.environ]
        }
    except (WaselError, BuildError, ToolError, BenchError) as failure:
        print(f"bench: {failure}", file=sys.stderr)
        return 1
    beyond = []
    for kernel, section in sections.items():
        for name, limit in LIMITS.items():
            means = section[name]["geomean_vs_c"]
            print(f"{kernel}: {name} / the same C in the domain: {means} (limit of native {limit})")
            if means["native"] > limit:
                beyond.append(f"{name} on {kernel}")
    if options.write:
        update_section("device_native", sections | {"limits": LIMITS}, ROOT / "bench" / "results.json")
    if beyond:
        print(f"bench: native code is beyond its limit: {', '.join(beyond)}", file=sys.stderr)
    return 1 if beyond else 0


if __name__ == "__main__":
    sys.exit(main())
