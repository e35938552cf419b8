# SPDX-License-Identifier: Apache-2.0
"""Modules with native code, for the peers that run it."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

from bench.kernels import BUILD
from edge_engine.aot.compiler import compile_module
from edge_engine.aot.section import add_section

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["compiled_module"]


def compiled_module(wasm: Path, machine: str | None = None, *, fuel: bool) -> Path:
    """Return the module with native code for a machine, or this one, added; ToolError if the compiler fails."""
    target = machine or platform.machine()
    module = wasm.read_bytes()
    made = add_section(module, compile_module(module, target, fuel=fuel).code)
    output = BUILD / f"compiled-{target}{'-fuel' if fuel else ''}" / wasm.name
    output.parent.mkdir(parents=True, exist_ok=True)
    if not output.exists() or output.read_bytes() != made:
        temporary = output.with_suffix(".new")
        temporary.write_bytes(made)
        temporary.replace(output)
    return output
