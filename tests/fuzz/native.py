# SPDX-License-Identifier: Apache-2.0
"""Native code beside the interpreter: the same generated modules, the same calls, outcomes, traps and backtraces.

Compared as in differential.py, and after every trap the functions of its backtrace, innermost first. Every other batch
counts fuel in both tiers. Many modules are compiled at once: one piece of code for all of them.

``python -m tests.fuzz.native [--count N] [--first SEED]`` prints one line per difference and a JSON summary; exit code
1 if there was a difference.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from dataclasses import dataclass

from edge_engine.aot.compiler import compile_modules
from edge_engine.aot.section import add_section
from tests.fuzz.differential import run_ours
from tests.fuzz.modules import generate

__all__ = ["BATCH", "Summary", "compare_tiers"]

BATCH = 20


@dataclass
class Summary:
    """What was compared."""

    modules: int = 0
    calls: int = 0
    traps: int = 0
    frames: int = 0
    interpreted: int = 0  # functions without native code
    differences: int = 0


def compare_tiers(seeds: range, summary: Summary, *, fuel: bool = False) -> list[str]:
    """Run these seeds' modules in both tiers; the differences, as text."""
    machine = platform.machine()
    modules = [generate(seed) for seed in seeds]
    problems = []
    for seed, data, made in zip(seeds, modules, compile_modules(modules, machine, fuel=fuel), strict=True):
        interpreted = run_ours(data, metered=fuel, limits={"native_stack_size": 0})
        native = run_ours(add_section(data, made.code), metered=fuel, is_native=True)
        summary.modules += 1
        summary.interpreted += len(made.refused)
        summary.calls += len(interpreted.steps)
        summary.traps += len(interpreted.backtraces)
        summary.frames += sum(map(len, interpreted.backtraces))
        for what in ("steps", "calls", "backtraces"):
            left, right = getattr(interpreted, what), getattr(native, what)
            if left != right:
                n = next((n for n, pair in enumerate(zip(left, right, strict=False)) if pair[0] != pair[1]), -1)
                problems.append(f"seed {seed}: {what} {n}: interpreted {left[n]}, native {right[n]}")
                break
    summary.differences += len(problems)
    return problems


def main() -> int:
    """Entry point of ``python -m tests.fuzz.native``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--count", type=int, default=1000, help="modules")
    parser.add_argument("--first", type=int, default=0, help="first seed")
    chosen = parser.parse_args()
    summary = Summary()
    for begin in range(chosen.first, chosen.first + chosen.count, BATCH):
        seeds = range(begin, min(begin + BATCH, chosen.first + chosen.count))
        for problem in compare_tiers(seeds, summary, fuel=begin // BATCH % 2 == 1):
            print(problem, flush=True)
    print(json.dumps(vars(summary)), flush=True)
    return 1 if summary.differences else 0


if __name__ == "__main__":
    sys.exit(main())
