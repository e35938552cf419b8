# SPDX-License-Identifier: Apache-2.0
"""``python -m bench``: build, measure, print, write bench/results.json and docs/bench-interpreter.svg.

Exit codes: 0 measured, 1 the bench failed (a disagreement between peers included), 2 usage.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from contextlib import AsyncExitStack
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench import BenchError
from bench.engine import build_runner
from bench.kernels import KERNELS, build, select
from bench.measure import take_samples
from bench.peers import PEERS, Client
from bench.plot import draw
from bench.report import Results, machine, table, write_json
from bench.sizes import engine_sizes
from bench.startup import measure_startup
from edge_engine.zig import ROOT, ToolError

QUICK_SCALE, QUICK_ROUNDS = 0.05, 3
ROUNDS = 9
PLOT_PEERS = ("wasel", "wasm3", "wasmtime")


def arguments(argv: list[str]) -> argparse.Namespace:
    """Parse the command line."""
    names = [peer.name for peer in PEERS]
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=None, help=f"interleaved rounds (default {ROUNDS})")
    parser.add_argument(
        "--scale", type=float, default=None, help="length of each call, 1.0: as in the table of kernels"
    )
    parser.add_argument(
        "--quick", action="store_true", help="a few seconds, numbers not to be trusted, nothing written"
    )
    parser.add_argument("--kernel", action="append", default=[], choices=[kernel.name for kernel in KERNELS])
    parser.add_argument("--peer", action="append", default=[], choices=names, help="only these (default: all)")
    parser.add_argument("--no-startup", action="store_true", help="leave start-up and size out")
    parser.add_argument("--output", type=Path, default=None, help="results.json (default: bench/results.json)")
    parser.add_argument("--plot", type=Path, default=None, help="SVG (default: docs/bench-interpreter.svg)")
    return parser.parse_args(argv)


async def measure(options: argparse.Namespace, console: Console) -> Results:
    """Build everything and take all samples."""
    kernels = build(select(options.kernel))
    peers = [peer for peer in PEERS if not options.peer or peer.name in options.peer]
    commands = {peer.name: [str(build_runner(peer.runner)), *peer.options] if peer.runner else [] for peer in peers}
    rounds = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
    scale = options.scale or (QUICK_SCALE if options.quick else 1.0)
    info = machine()
    extras: dict[str, dict[str, object]] = {}
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(Client(peer, commands[peer.name])) for peer in peers]
        versions = {client.peer.name: await client.version() for client in clients}
        with console.status("bench") as status:
            times = await take_samples(
                clients, kernels, rounds=rounds, scale=scale, progress=lambda text: status.update(f"bench: {text}")
            )
            ours = next((client for client in clients if client.peer.name == "wasel"), None)
            startup: dict[str, dict[str, object]] = {}
            if not options.no_startup:
                status.update("bench: start-up")
                startup = await measure_startup(clients)
            if ours is not None and not options.no_startup:
                status.update("bench: arena, code size")
                extras["interpreter"] = {
                    "arena": {built.kernel.name: await ours.usage(built.kernel.name) for built in kernels},
                    "code_size": engine_sizes(),
                }
    settings: dict[str, object] = {"rounds": rounds, "scale": scale}
    return Results(info, settings, versions, times, startup, extras)


def show(results: Results, console: Console) -> None:
    """Print the table and what was measured beside it."""
    header, *rows = table(results)
    output = Table(title="time ÷ native code from the same C source (smaller is better)")
    for i, name in enumerate(header):
        output.add_column(name, justify="left" if i == 0 else "right")
    for i, row in enumerate(rows):
        output.add_row(*row, end_section=i == len(rows) - 2)
    console.print(output)
    content = results.as_dict()
    section = content.get("interpreter", {})
    if "fuel_cost" in section:
        console.print(f"fuel: {section['fuel_cost']:.3f} times the time without it")
    for module in content["startup"].values():
        times = ", ".join(f"{peer} {value:,.0f} µs" for peer, value in module["median_us"].items())
        console.print(f"load and start {module['what']} ({module['bytes']} bytes): {times}")
    if "code_size" in section:
        size = section["code_size"]
        console.print(f"engine on {size['target']}: {size['code_bytes'] / 1024:.1f} KiB of text and read-only data")
    if "arena" in section:
        largest = max(section["arena"].items(), key=lambda item: item[1].get("bookkeeping", 0))
        console.print(f"largest arena bookkeeping among the kernels: {largest[0]} {largest[1]}")


def main(argv: list[str]) -> int:
    """Run; returns the exit code."""
    options = arguments(argv)
    console = Console(highlight=False)
    try:
        results = asyncio.run(measure(options, console))
    except (BenchError, ToolError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    show(results, console)
    complete = not options.kernel and not options.peer and not options.quick
    output = options.output or (ROOT / "bench" / "results.json" if complete else None)
    plot = options.plot or (ROOT / "docs" / "bench-interpreter.svg" if complete else None)
    content = results.as_dict()
    if output is not None:
        write_json(content, output)
        console.print(f"wrote {output}")
    if plot is not None:
        plot.write_text(draw(content, PLOT_PEERS, "wasel's interpreter beside wasm3 and wasmtime"))
        console.print(f"wrote {plot}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
