# SPDX-License-Identifier: Apache-2.0
"""``python -m bench.sweep``: what each group of superinstructions buys, in speed and in KiB.

Builds the engine with the first 0, 64, 128 ... rows of superinstructions.txt, runs all of these engines beside each
other and wasm3 in one interleaved run here, counts instructions on aarch64, and sizes each as for the device. The rows
were chosen from a corpus that holds none of the kernels. Writes bench/superinstructions.json.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from bench import BenchError
from bench.bare import BARE, BARE_PEERS, bare_command, qemu_command
from bench.engine import HOST_PLACE, EngineSources, Place, build_wasel
from bench.kernels import BUILD, KERNELS, Built, build
from bench.measure import take_samples
from bench.peers import PEERS, Client, Peer
from bench.report import Comparison, machine, write_json
from bench.sizes import engine_sizes
from edge_engine.generate import SUPERINSTRUCTIONS
from edge_engine.zig import ROOT, ToolError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

COUNTS = (0, 32, 64, 128, 256, 512)
OUTPUT = ROOT / "bench" / "superinstructions.json"


class Variant:
    """The engine with the first ``count`` superinstructions."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.name = f"wasel-{count}"
        self.sources = EngineSources.generate(BUILD / "sweep" / str(count) / "generated", count)

    def runner(self, place: Place) -> Path:
        """Build the runner for a place."""
        return build_wasel(replace(place, name=f"sweep/{self.count}/{place.name}"), self.sources)


async def compare(
    commands: Sequence[tuple[Peer, Sequence[str]]], kernels: Sequence[Built], rounds: int, scale: float
) -> Comparison:
    """Run all of them in turn."""
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(Client(peer, command)) for peer, command in commands]
        return Comparison(await take_samples(clients, kernels, rounds=rounds, scale=scale), {})


def main(argv: list[str]) -> int:
    """Build, measure, print, write; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.sweep", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=float, default=0.3)
    parser.add_argument("--count", type=int, action="append", help=f"superinstructions (default: {COUNTS})")
    options = parser.parse_args(argv)
    rows = sum(1 for line in SUPERINSTRUCTIONS.read_text().splitlines() if line.partition("#")[0].split())
    counts = sorted({min(count, rows) for count in options.count or COUNTS})
    by_name = {peer.name: peer for peer in PEERS}
    bare_by_name = {peer.name: peer for peer in BARE_PEERS}
    try:
        kernels = build(KERNELS)
        variants = [Variant(count) for count in counts]
        sizes = [engine_sizes(variant.sources) for variant in variants]
        ours = [replace(by_name["wasel"], name=variant.name) for variant in variants]
        here = asyncio.run(
            compare(
                [
                    *((peer, [str(variant.runner(HOST_PLACE))]) for peer, variant in zip(ours, variants, strict=True)),
                    (by_name["wasm3"], ()),
                ],
                kernels,
                options.rounds,
                options.scale,
            )
        )
        there = asyncio.run(
            compare(
                [
                    *(
                        (peer, qemu_command(variant.runner(BARE), count_instructions=True))
                        for peer, variant in zip(ours, variants, strict=True)
                    ),
                    (bare_by_name["wasm3"], bare_command(bare_by_name["wasm3"], count_instructions=True)),
                ],
                kernels,
                1,
                0.02,
            )
        )
    except (BenchError, ToolError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    output = Table(title="superinstructions: first rows of the table")
    for name in ("rows", "KiB without SIMD", "time ÷ wasm3", "instructions ÷ wasm3, aarch64", "% faster per KiB"):
        output.add_column(name, justify="right")
    entries: list[dict[str, float]] = []
    for variant, size in zip(variants, sizes, strict=True):
        kib = int(str(size["code_without_simd_bytes"])) / 1024
        time, instructions = here.geomean(variant.name, "wasm3"), there.geomean(variant.name, "wasm3")
        gain = ""
        if entries:
            before = entries[-1]
            gain = f"{100 * (before['time_vs_wasm3'] / time - 1) / (kib - before['code_kib']):.2f}"
        entries.append(
            {
                "superinstructions": variant.count,
                "code_kib": round(kib, 1),
                "time_vs_wasm3": round(time, 4),
                "aarch64_instructions_vs_wasm3": round(instructions, 4),
            }
        )
        output.add_row(str(variant.count), f"{kib:.1f}", f"{time:.3f}", f"{instructions:.3f}", gain)
    Console(highlight=False).print(output)
    write_json({"machine": machine(), "groups": entries}, OUTPUT)
    print(json.dumps(entries[-1]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
