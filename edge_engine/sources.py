# SPDX-License-Identifier: Apache-2.0
"""The engine's source files and compiler flags: the one list for host and device."""

from __future__ import annotations

from edge_engine.generate import GENERATED, generated_sources
from edge_engine.paths import ENGINE_INCLUDE, ROOT
from edge_engine.zig import WARNINGS

__all__ = ["ENGINE_FLAGS", "ENGINE_INCLUDE", "ENGINE_SOURCES", "HOST_GUARD_SOURCES", "HOST_INSPECT_SOURCES"]

# Every C file of the folder is part of the engine, and the interpreter's handlers, which are generated.
ENGINE_SOURCES = (*sorted((ROOT / "edge_engine" / "src").glob("*.c")), *generated_sources())

# Guarded arenas and SIGSEGV for programs on a hosted system; not part of the engine proper.
HOST_GUARD_SOURCES = (ROOT / "edge_engine" / "host" / "guard.c",)

# What bindings and tools on a hosted system want to know about modules and instances.
HOST_INSPECT_SOURCES = (
    ROOT / "edge_engine" / "host" / "inspect.c",
    ROOT / "edge_engine" / "host" / "requirements.c",
)

ENGINE_FLAGS = (
    "-std=c17",
    "-O2",
    "-ffreestanding",
    "-fno-strict-aliasing",
    "-fno-math-errno",
    "-ffp-contract=off",
    "-fomit-frame-pointer",
    "-fno-asynchronous-unwind-tables",
    "-fno-unwind-tables",
    # Functions begin where their declaration says (handlers) or anywhere: padding would be a tenth of the code.
    "-mllvm",
    "-align-all-functions=2",
    "-fno-sanitize=all",
    *WARNINGS,
    f"-I{ENGINE_INCLUDE}",
    f"-I{GENERATED}",
    f"-I{ROOT / 'edge_engine' / 'src'}",
)
