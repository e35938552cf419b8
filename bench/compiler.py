# SPDX-License-Identifier: Apache-2.0
"""`python -m bench.compiler`: what making native code costs, and how large it becomes.

Processor time of compiling a WASI program, the generator's and all compilers' together, per 50 kB of WebAssembly code,
for each target; and the section's bytes as a share of the module's code and data. The machine can only add to
processor time, so the limit is held by the least of ROUNDS; the median stands beside it. Programs are those of
`bench.startup`: a C program of its own, or what its variables name. Writes the section `native_compiler` of
results.json.

Exit codes: 0 measured and within the limits, 1 beyond one or failed, 2 usage.
"""

from __future__ import annotations

import argparse
import resource
import sys
from statistics import median
from typing import TYPE_CHECKING, Any

from bench.report import machine, update_section
from bench.startup import large_programs
from edge_engine.aot.compiler import TARGETS, compile_module
from edge_engine.aot.reader import ModuleReader
from edge_engine.zig import ROOT, ToolError

if TYPE_CHECKING:
    from pathlib import Path

SECTION = "native_compiler"
UNIT_BYTES = 50_000  # of WebAssembly code
LIMIT_S = 1.5  # of processor time a unit
LIMIT_SHARE = 1.75
ROUNDS = 5


def _processor_s() -> float:
    """Processor time of this process and of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def measure(path: Path, target: str) -> dict[str, Any]:
    """Compile a program again and again. ToolError if the compiler fails."""
    module = path.read_bytes()
    source = ModuleReader(module)
    took = []
    for _ in range(ROUNDS):
        begin = _processor_s()
        compiled = compile_module(module, target, use_cache=False)
        took.append((_processor_s() - begin) / source.code_bytes * UNIT_BYTES)
    size = len(compiled.code.contents(bytes(32)))
    return {
        "code_bytes": source.code_bytes,
        "section_bytes": size,
        "share": round(size / (source.code_bytes + source.data_bytes), 3),
        "least_s_per_50_kb": round(min(took), 3),
        "median_s_per_50_kb": round(median(took), 3),
    }


def main() -> int:
    """Print the figures and write them."""
    parser = argparse.ArgumentParser(description="What making native code costs, and how large it becomes.")
    parser.add_argument("--no-write", action="store_true", help="leave bench/results.json as it is")
    options = parser.parse_args()
    try:
        found = {name: {target: measure(path, target) for target in sorted(TARGETS)} for name, path in large_programs()}
    except ToolError as failure:
        print(f"bench: {failure}", file=sys.stderr)
        return 1
    beyond = []
    for name, targets in found.items():
        for target, row in targets.items():
            print(
                f"native code of {name} for {target}: {row['least_s_per_50_kb']:.2f} CPU-seconds per 50 kB"
                f" (median {row['median_s_per_50_kb']:.2f}, limit {LIMIT_S}), section {row['share']:.2f} of code and"
                f" data (limit {LIMIT_SHARE})"
            )
            if row["least_s_per_50_kb"] > LIMIT_S or row["share"] > LIMIT_SHARE:
                beyond.append(f"{name} for {target}")
    if not options.no_write:
        update_section(SECTION, {"machine": machine(), "programs": found}, ROOT / "bench" / "results.json")
    if beyond:
        print(f"bench: beyond a limit: {', '.join(beyond)}", file=sys.stderr)
    return 1 if beyond else 0


if __name__ == "__main__":
    sys.exit(main())
