# SPDX-License-Identifier: Apache-2.0
"""``python -m bench``: build, measure, print, write bench/results.json and docs/bench-interpreter.svg.

Files are written when everything was measured, or where --output and --plot say. Exit codes: 0 measured, 1 the bench
failed (a disagreement between peers included), 2 usage.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from bench import BenchError
from bench.bare import BARE_PEERS, QEMU, bare_command
from bench.engine import build_runner
from bench.kernels import KERNELS, Built, build, select
from bench.measure import take_samples
from bench.peers import PEERS, Client, Clock, Peer
from bench.plot import draw
from bench.report import ELSEWHERE, Comparison, Results, machine, table, update_json
from bench.sizes import engine_sizes
from bench.startup import large_programs, measure_startup
from edge_engine.inspection import inspect_module
from edge_engine.zig import ROOT, ToolError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ROUNDS, QUICK_ROUNDS, QUICK_SCALE = 9, 3, 0.05
# Emulation is slower; where an emulator's memory happens to lie changes its speed by a tenth: each round starts anew.
BARE_ROUNDS, BARE_SCALE = 15, 0.06
COUNT_ROUNDS, COUNT_SCALE = 1, 0.02  # instructions don't vary
PLOT_PEERS = ("wasel", "wasm3", "wasmtime")
ERROR_LINES = 30
CODE_LIMIT = 160 * 1024  # bytes of the engine on aarch64, without SIMD
WIDTH = 116  # of the table where the terminal doesn't say


def arguments(argv: list[str]) -> argparse.Namespace:
    """Parse the command line."""
    names = [peer.name for peer in PEERS]
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=None, help=f"interleaved rounds (default {ROUNDS})")
    parser.add_argument("--scale", type=float, default=None, help="work of each call, 1.0: as in the table of kernels")
    parser.add_argument("--quick", action="store_true", help="a few seconds, this machine only, nothing written")
    parser.add_argument("--kernel", action="append", default=[], choices=[kernel.name for kernel in KERNELS])
    parser.add_argument("--peer", action="append", default=[], choices=names, help="only these (default: all)")
    parser.add_argument("--no-startup", action="store_true", help="leave start-up, arena and code size out")
    parser.add_argument("--no-aarch64", action="store_true", help="leave aarch64 under QEMU out")
    parser.add_argument("--only-aarch64", action="store_true", help="aarch64 under QEMU and nothing else")
    parser.add_argument("--output", type=Path, default=None, help="results.json (default: bench/results.json)")
    parser.add_argument("--plot", type=Path, default=None, help="SVG (default: docs/bench-interpreter.svg)")
    options = parser.parse_args(argv)
    if options.plot and options.peer and not set(options.peer) & set(PLOT_PEERS):
        parser.error(f"--plot draws {', '.join(PLOT_PEERS)}: measure one of them (--peer), or leave --plot out")
    if options.only_aarch64 and options.peer:
        parser.error("--peer chooses among the peers of this machine: leave it or --only-aarch64 out")
    return options


async def start_clients(stack: AsyncExitStack, commands: Sequence[tuple[Peer, Sequence[str]]]) -> list[Client]:
    """Start a worker for each peer; they end with the stack."""
    return [await stack.enter_async_context(Client(peer, command)) for peer, command in commands]


def build_commands(
    peers: Sequence[Peer], command: Callable[[Peer], Sequence[str]], left_out: dict[str, str]
) -> list[tuple[Peer, Sequence[str]]]:
    """Build the peers' runners; foreign ones whose sources can't be had are left out, and noted by name."""
    commands = []
    for peer in peers:
        try:
            commands.append((peer, command(peer)))
        except BenchError as error:
            left_out[peer.name] = str(error)
    return commands


async def compare(
    commands: Sequence[tuple[Peer, Sequence[str]]],
    kernels: Sequence[Built],
    progress: Callable[[str], None],
    *,
    rounds: int,
    scale: float,
    unit: str = "ms",
) -> Comparison:
    """Compare these peers and nothing else, started anew for each round."""

    def report(start: int, text: str) -> None:
        progress(f"start {start}/{rounds}, {text}")

    comparison = Comparison([], {}, unit)
    for number in range(rounds):
        async with AsyncExitStack() as stack:
            turn = number % len(commands)
            clients = await start_clients(stack, [*commands[turn:], *commands[:turn]])
            versions = {client.peer.name: await client.version() for client in clients}
            times = await take_samples(
                clients,
                kernels,
                rounds=1,
                scale=scale,
                long_samples=unit == "ms",
                progress=partial(report, number + 1),
            )
        if number == 0:
            comparison = Comparison(times, versions, unit)
        else:
            for before, more in zip(comparison.kernels, times, strict=True):
                before.add(more)
    return comparison


async def compare_here(
    results: Results,
    commands: Sequence[tuple[Peer, Sequence[str]]],
    kernels: Sequence[Built],
    progress: Callable[[str], None],
    options: argparse.Namespace,
) -> None:
    """Compare on this machine, and measure start-up and arena with the same workers."""
    rounds = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
    scale = options.scale or (QUICK_SCALE if options.quick else 1.0)
    results.settings |= {"rounds": rounds, "scale": scale}
    async with AsyncExitStack() as stack:
        clients = await start_clients(stack, commands)
        versions = {client.peer.name: await client.version() for client in clients}
        times = await take_samples(clients, kernels, rounds=rounds, scale=scale, progress=progress)
        results.host = Comparison(times, versions)
        if options.no_startup:
            return
        progress("start-up and arena")
        results.startup = await measure_startup(clients)
        for ours in (client for client in clients if client.peer.name == "wasel"):
            arena = {built.kernel.name: await ours.usage(built.kernel.name) for built in kernels}
            for name, path in large_programs():
                await ours.load(name, path)
                arena[name] = await ours.usage(name) | arena_need(path)
            results.extras["interpreter"]["arena"] = arena


def arena_need(path: Path) -> dict[str, int]:
    """Return the bytes besides linear memory that a program needs with every function translated."""
    need = inspect_module(path.read_bytes()).requirements
    return {"needed": need.run_bytes - need.memory_bytes} if need is not None else {}


async def measure(options: argparse.Namespace, progress: Callable[[str], None]) -> Results:
    """Build everything, then take all samples."""
    progress("building")
    kernels = build(select(options.kernel))
    left_out: dict[str, str] = {}
    results = Results(machine(), {"left_out": left_out}, Comparison([], {}))
    here: list[tuple[Peer, Sequence[str]]] = []
    if not options.only_aarch64:
        peers = [peer for peer in PEERS if not options.peer or peer.name in options.peer]
        here = build_commands(
            peers, lambda peer: (str(build_runner(peer.runner)), *peer.options) if peer.runner else (), left_out
        )
        if not options.no_startup and any(peer.runner == "wasel" for peer in peers):
            results.extras["interpreter"] = {"code_size": engine_sizes()}
    timed: list[tuple[Peer, Sequence[str]]] = []
    counted: list[tuple[Peer, Sequence[str]]] = []
    if not (options.no_aarch64 or options.quick or options.peer):
        if shutil.which(QEMU) is None:
            raise BenchError(f"{QEMU} is not installed; --no-aarch64 leaves that part out")
        by_process = [replace(peer, clock=Clock.PROCESS) for peer in BARE_PEERS]
        timed = build_commands(by_process, bare_command, left_out)
        counted = build_commands(BARE_PEERS, lambda peer: bare_command(peer, count_instructions=True), left_out)
    share = options.scale or 1.0
    if here:
        await compare_here(results, here, kernels, progress, options)
    if timed:
        rounds, scale = options.rounds or BARE_ROUNDS, share * BARE_SCALE
        results.settings |= {"aarch64_rounds": rounds, "aarch64_scale": scale}
        results.elsewhere["aarch64_qemu"] = await compare(timed, kernels, progress, rounds=rounds, scale=scale)
        results.elsewhere["aarch64_instructions"] = await compare(
            counted, kernels, progress, rounds=COUNT_ROUNDS, scale=share * COUNT_SCALE, unit="million_instructions"
        )
    return results


def show_comparison(comparison: Comparison, title: str, console: Console) -> None:
    """Print one table."""
    header, *rows = table(comparison)
    output = Table(title=title)
    for i, name in enumerate(header):
        output.add_column(name, justify="left" if i == 0 else "right")
    for i, row in enumerate(rows):
        output.add_row(*row, end_section=i == len(rows) - 2)
    console.print(output)


def show(results: Results, content: dict[str, Any], console: Console) -> None:
    """Print the tables and what was measured beside them."""
    if results.host.kernels:
        title = f"{results.machine['architecture']}: time ÷ native code from the same C source (smaller is better)"
        show_comparison(results.host, title, console)
    for name, comparison in results.elsewhere.items():
        what = "executed instructions" if comparison.unit != "ms" else "time"
        show_comparison(comparison, f"{name.replace('_', ' ')}: {what} ÷ native code", console)
    for name, reason in content["settings"]["left_out"].items():
        console.print(f"left out: {name}: {reason}")
    for module in content["startup"].values():
        for measure, what in (("start_us", "load and start"), ("first_result_us", "load, start and first result")):
            if measure in module:
                times = ", ".join(f"{peer} {value:,.0f}" for peer, value in module[measure].items())
                console.print(f"{what} of {module['what']} ({module['bytes']:,} bytes), µs: {times}")
    if "interpreter" in content:
        show_tier(content["interpreter"], content["kernels"], console)


def over_limit(section: dict[str, Any]) -> str | None:
    """Say so if the engine has grown beyond its limit."""
    size = section.get("code_size", {}).get("code_without_simd_bytes", 0)
    if size <= CODE_LIMIT:
        return None
    return (
        f"the engine without SIMD has {size:,} bytes of code, {size - CODE_LIMIT:,} more than its limit {CODE_LIMIT:,}"
    )


def show_tier(section: dict[str, Any], kernels: dict[str, Any], console: Console) -> None:
    """Print what is known of one of our own tiers besides times."""
    if "fuel_cost" in section:
        console.print(f"fuel: {section['fuel_cost']:.3f} times the time without it")
    if "code_size" in section:
        size = section["code_size"]
        groups = ", ".join(f"{group} {value / 1024:.1f}" for group, value in size["groups"].items())
        without = f"{size['code_without_simd_bytes'] / 1024:.1f} without SIMD"
        console.print(f"engine on {size['target']}, KiB: {size['code_bytes'] / 1024:.1f}, {without} ({groups})")
    arena = section.get("arena", {})
    programs = [name for name in arena if name not in kernels]
    if arena:
        programs.append(max(kernels, key=lambda name: arena[name]["bookkeeping"]))
    for name in programs:
        parts = ", ".join(f"{key} {value:,}" for key, value in arena[name].items())
        console.print(f"arena of {name}, bytes: {parts}")


def plotted(content: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Choose the comparison to draw: the one on this machine, or else the first one elsewhere, and say where."""
    if content["kernels"]:
        return "", content
    name = ELSEWHERE[0]
    return f", {name.replace('_', ' ')}", {"machine": content["machine"], **content[name]}


def main(argv: list[str]) -> int:
    """Run; returns the exit code."""
    options = arguments(argv)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH)
    try:
        with console.status("bench") as status:
            results = asyncio.run(measure(options, lambda text: status.update(f"bench: {text}")))
    except (BenchError, ToolError) as error:
        print("\n".join(f"bench: {error}".splitlines()[:ERROR_LINES]), file=sys.stderr)
        return 1
    content = results.as_dict()
    show(results, content, console)
    left_out = (options.kernel, options.peer, options.quick, options.no_startup, options.no_aarch64, options.scale)
    complete = not any(left_out) and not options.only_aarch64
    output = options.output or (ROOT / "bench" / "results.json" if complete else None)
    plot = options.plot or (ROOT / "docs" / "bench-interpreter.svg" if complete else None)
    problem = over_limit(content.get("interpreter", {}))
    if problem is not None:
        print(f"bench: {problem}", file=sys.stderr)
        return 1
    if output is not None:
        update_json(content, output)
        console.print(f"wrote {output}")
    if plot is not None:
        where, shown = plotted(content)
        plot.write_text(draw(shown, PLOT_PEERS, f"wasel's interpreter beside wasm3 and wasmtime{where}"))
        console.print(f"wrote {plot}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
