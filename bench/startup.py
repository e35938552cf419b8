# SPDX-License-Identifier: Apache-2.0
"""How long from bytes in memory to a started module: a 2 kB kernel, and a program that is large by its debug sections.

The large one is the hello.wasm of second-state/wasmedge-seL4 (1.4 MB of Rust, 96 % of it debug information) when
``WASEL_BENCH_HELLO`` names the file; without it, a module of the same shape made here: a C hello with wasi-libc's
printf, filled up with custom sections. ``WASEL_BENCH_NBODY`` may name nbody-c.wasm of the same project:
its arena is told.
"""

from __future__ import annotations

import os
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from agent.binary import custom_section
from bench.kernels import BUILD, SOURCES
from edge_engine.zig import Target, compile_objects, link

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.peers import Client

__all__ = ["HELLO_VARIABLE", "NBODY_VARIABLE", "large_module", "large_programs", "measure_startup"]

HELLO_VARIABLE = "WASEL_BENCH_HELLO"
NBODY_VARIABLE = "WASEL_BENCH_NBODY"
SMALL_KERNEL = "sha256"  # 2 kB of wasm
LARGE_BYTES = 1_444_743  # of the file this stands in for
SMALL_STARTS, LARGE_STARTS = 200, 15
SLOW_PEERS = ("wasmtime",)  # compile when they load: fewer starts
SLOW_STARTS = 3


def _filler(name: str, size: int) -> bytes:
    """Make a custom section of ``size`` bytes of content that isn't all zeros."""
    return custom_section(name, bytes(i * 7 & 0xFF for i in range(256)) * (size // 256))


def large_module() -> tuple[Path, str]:
    """Return the large module and what to call it."""
    given = os.environ.get(HELLO_VARIABLE)
    if given:
        return Path(given).resolve(), "Rust hello, 1.4 MB"
    target = Target("wasi", "wasm32-wasi", ("-mcpu=mvp+mutable_globals+sign_ext+nontrapping_fptoint+bulk_memory",))
    objects = compile_objects([SOURCES / "startup" / "hello.c"], BUILD / "startup", target, ["-std=c17", "-O2", "-g0"])
    hello = link(objects, BUILD / "startup" / "hello.wasm", target, ["-s", "-Wl,-z,stack-size=65536"])
    data = hello.read_bytes()
    padded = BUILD / "startup" / "hello-large.wasm"
    padded.write_bytes(data + _filler(".debug_info", LARGE_BYTES - len(data)))
    return padded, f"C hello, {len(data) // 1000} kB of {LARGE_BYTES // 1000} are not debug sections"


def large_programs() -> list[tuple[str, Path]]:
    """Return programs whose use of the arena is told, with names: the large module, and NBODY_VARIABLE's."""
    programs = [("hello", large_module()[0])]
    given = os.environ.get(NBODY_VARIABLE)
    if given:
        programs.append(("nbody-c", Path(given).resolve()))
    return programs


async def measure_startup(clients: Sequence[Client]) -> dict[str, dict[str, object]]:
    """By module: its size and the median microseconds by peer (peers that run code made before have none).

    ``start_us`` is load and start, with _start of a program; ``first_result_us`` has one round of the kernel added,
    and so what an engine translates at the first call.
    """
    large, title = large_module()
    small = BUILD / "wasm" / f"{SMALL_KERNEL}.wasm"
    result: dict[str, dict[str, object]] = {}
    for key, path, what, starts, round_counts in (
        ("small", small, f"kernel {SMALL_KERNEL}", SMALL_STARTS, {"start_us": 0, "first_result_us": 1}),
        ("large", large, title, LARGE_STARTS, {"start_us": 0}),
    ):
        result[key] = {"what": what, "bytes": path.stat().st_size}
        for measure, rounds in round_counts.items():
            times: dict[str, float] = {}
            for client in clients:
                if client.peer.native or client.peer.compiled:
                    continue
                count = SLOW_STARTS if client.peer.name.startswith(SLOW_PEERS) else starts
                times[client.peer.name] = round(median(await client.startup(path, count, rounds)) / 1e3, 1)
            result[key][measure] = times
    return result
