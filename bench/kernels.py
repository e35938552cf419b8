# SPDX-License-Identifier: Apache-2.0
"""The table of kernels, and how each C file becomes a wasm module and a native shared object.

Contract: both come from the same file with the same optimisation level. Native code is built for the plain x86-64 or
ARMv8 baseline (``NATIVE_CPUS``), as a distribution would ship it, and without fused multiply-add, which WebAssembly
does not have; so results agree bit by bit. Rounds are fixed here, so that two runs of the bench do the same work.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench import BenchError
from edge_engine.zig import ROOT, WARNINGS, Target, compile_objects, link

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["BUILD", "KERNELS", "NATIVE", "SOURCES", "WASM", "Built", "Kernel", "build", "select"]

BUILD = ROOT / "build" / "bench"
SOURCES = ROOT / "bench" / "kernels"

NATIVE_CPUS = {"x86_64": "x86_64", "aarch64": "generic"}
MACHINE = platform.machine()
NATIVE = Target("native", f"{MACHINE}-linux-gnu", (f"-mcpu={NATIVE_CPUS.get(MACHINE, 'baseline')}",))
# Nothing that one of the peers lacks: wasm3 knows neither reference types nor SIMD.
WASM = Target("wasm", "wasm32-freestanding", ("-mcpu=mvp+mutable_globals+sign_ext+nontrapping_fptoint+bulk_memory",))
FLAGS = (
    "-std=c17",
    "-O2",
    "-g0",
    "-ffp-contract=off",
    "-fno-sanitize=all",
    *WARNINGS,
)
WASM_LINK = ("-nostdlib", "-Wl,--no-entry,--export=run,-z,stack-size=16384", "-s")
NATIVE_LINK = ("-nostdlib", "-shared", "-s")  # memcpy and its like come from the process that loads it


@dataclass(frozen=True)
class Kernel:
    """One kernel. ``rounds`` is what run() gets in the bench: about 100 ms in wasm3 on a machine of 2023."""

    name: str
    what: str
    rounds: int
    floating: bool = False


@dataclass(frozen=True)
class Built:
    """A kernel's two outputs."""

    kernel: Kernel
    wasm: Path
    native: Path


KERNELS = (
    Kernel("mix", "lists, 16-bit matrices, states, CRC-16", 800),
    Kernel("sha256", "SHA-256", 1900),
    Kernel("hash", "CRC-32, FNV-1a 64, hash table", 1000),
    Kernel("json", "JSON written and parsed", 550),
    Kernel("sort", "quick, heap, merge sort", 48),
    Kernel("lz", "LZ77 there and back", 190),
    Kernel("vm", "bytecode in a switch", 200),
    Kernel("fib", "direct calls", 800),
    Kernel("dispatch", "indirect calls", 8000),
    Kernel("memory", "sieve, block moves, pointer chase", 200),
    Kernel("matmul", "f64 matrix product", 150, floating=True),
    Kernel("nbody", "f64 n-body", 1600, floating=True),
    Kernel("filter", "f32 FIR, biquads, FFT", 640, floating=True),
)


def select(names: Iterable[str]) -> tuple[Kernel, ...]:
    """Kernels by name, in the table's order; all of them for no names. BenchError for a name that isn't there."""
    wanted = set(names)
    unknown = wanted - {kernel.name for kernel in KERNELS}
    if unknown:
        known = " ".join(kernel.name for kernel in KERNELS)
        raise BenchError(f"no kernel called {', '.join(sorted(unknown))}; there are: {known}")
    return tuple(kernel for kernel in KERNELS if not wanted or kernel.name in wanted)


def build(kernels: Iterable[Kernel]) -> list[Built]:
    """Compile what is not up to date; ToolError if the compiler fails."""
    chosen = list(kernels)
    sources = [SOURCES / f"{kernel.name}.c" for kernel in chosen]
    wasm = compile_objects(sources, BUILD / "wasm", WASM, [*FLAGS, "-ffreestanding"])
    native = compile_objects(sources, BUILD / "native", NATIVE, [*FLAGS, "-fPIC"])
    return [
        Built(
            kernel,
            link([wasm_object], BUILD / "wasm" / f"{kernel.name}.wasm", WASM, WASM_LINK),
            link([native_object], BUILD / "native" / f"{kernel.name}.so", NATIVE, NATIVE_LINK),
        )
        for kernel, wasm_object, native_object in zip(chosen, wasm, native, strict=True)
    ]
