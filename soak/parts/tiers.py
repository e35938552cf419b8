# SPDX-License-Identifier: Apache-2.0
"""Native code and the interpreter do the same with generated modules: results, traps, backtraces."""

from __future__ import annotations

import asyncio
import platform

from edge_engine.aot.compiler import TARGETS
from soak import Part, Soak
from tests.fuzz.native import BATCH, Summary, compare_tiers

BATCHES = 50


async def _run(soak: Soak) -> None:
    if platform.machine() not in TARGETS:
        soak.left_out(f"native code: none is made for {platform.machine()}")
        return
    summary = Summary()
    count = soak.times(BATCHES)
    for number in range(count):
        soak.progress(f"batch {number + 1} of {count}")
        first = soak.random.randrange(1 << 40)
        fuel = number % 2 == 1
        for problem in await asyncio.to_thread(compare_tiers, range(first, first + BATCH), summary, fuel=fuel):
            soak.check(False, problem)
    soak.measure("generated modules that do the same in both tiers", summary.modules - summary.differences)
    for name in ("calls", "traps", "frames", "interpreted"):
        soak.measure(name, getattr(summary, name))


PART = Part("1,000 generated modules in native code and in the interpreter, all the same", timeout_s=3600, run=_run)
