# SPDX-License-Identifier: Apache-2.0
"""Builds runner.c with the engine's sources for this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.kernels import BUILD
from edge_engine.sources import ENGINE_FLAGS, ENGINE_INCLUDE, ENGINE_SOURCES
from edge_engine.zig import HOST, ROOT, compile_objects, link

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["build_runner"]

RUNNER_FLAGS = (
    "-std=c17",
    "-D_GNU_SOURCE",
    "-O2",
    "-Wall",
    "-Wextra",
    "-Wconversion",
    "-Wmissing-prototypes",
    "-Werror",
    "-fno-sanitize=all",
    f"-I{ENGINE_INCLUDE}",
)


def build_runner() -> Path:
    """Compile what is not up to date and link; ToolError if the compiler fails."""
    engine = compile_objects(ENGINE_SOURCES, BUILD / "host", HOST, ENGINE_FLAGS)
    runner = compile_objects([ROOT / "bench" / "runner.c"], BUILD / "host", HOST, RUNNER_FLAGS)
    return link([*runner, *engine], BUILD / "host" / "runner", HOST)
