# SPDX-License-Identifier: Apache-2.0
"""Damaged modules under sanitizers: refused, or run to an end; nothing is accepted that wasmtime refuses."""

from __future__ import annotations

import asyncio
import json
import subprocess
from typing import TYPE_CHECKING

from bench.kernels import KERNELS, build
from edge_engine.build import sanitizer_preload
from edge_engine.zig import ToolError
from soak import Part, Soak
from tests.engine.mutate import spec_modules
from tests.engine.sanitized import run_sanitized
from tests.fuzz.modules import generate

if TYPE_CHECKING:
    from pathlib import Path

COUNT = 10_000
BATCHES = 10
GENERATED = 60
BATCH_TIMEOUT_S = 900
MOST_TOLD = 3  # of the modules that are accepted wrongly, a batch


def _modules(soak: Soak) -> list[Path]:
    """List what is damaged: compiled C, modules of the specification's scripts where they are, generated modules."""
    files = [built.wasm for built in build(KERNELS)]
    scripts = spec_modules()
    if isinstance(scripts, str):
        soak.left_out(f"modules of the specification's scripts: {scripts}")
    else:
        files += scripts
    for _ in range(GENERATED):
        seed = soak.random.randrange(1 << 40)
        file = soak.folder / f"{seed}.wasm"
        file.write_bytes(generate(seed))
        files.append(file)
    return files


async def _run(soak: Soak) -> None:
    try:
        sanitizer_preload()
    except ToolError as error:
        soak.left_out(f"sanitizers: {error.log}")
        return
    files = [str(file) for file in await asyncio.to_thread(_modules, soak)]
    current = soak.folder / "current"
    accepted = refused = ended = 0
    count = soak.times(COUNT // BATCHES)
    for number in range(BATCHES):
        soak.progress(f"batch {number + 1} of {BATCHES}")
        seed = soak.random.randrange(1 << 32)
        arguments = (str(count), str(seed), str(current), *files)
        try:
            done = await asyncio.to_thread(run_sanitized, "tests.engine.mutate", *arguments, timeout_s=BATCH_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            ended += 1
            soak.check(False, f"seed {seed}: no end within {BATCH_TIMEOUT_S} s: {current.read_bytes().hex()}")
            continue
        if done.returncode:
            ended += 1
            soak.check(False, f"seed {seed}: {done.stderr[-2000:]}: {current.read_bytes().hex()}")
            continue
        result = json.loads(done.stdout)
        accepted += result["accepted"]
        refused += result["refused"]
        for problem in result["wrong"][:MOST_TOLD]:
            soak.check(False, f"seed {seed}: accepted, but not by wasmtime: {problem}")
    soak.measure("damaged modules accepted, run to an end", accepted)
    soak.measure("damaged modules refused", refused)
    soak.measure("crashes, sanitizer reports and hangs", ended, at_most=0)


PART = Part("10,000 damaged modules under sanitizers: refused or harmless, none that wasmtime refuses", 7200, _run)
