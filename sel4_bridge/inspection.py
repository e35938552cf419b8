# SPDX-License-Identifier: Apache-2.0
"""What the commands `inspect`, `flash` and `deploy` ask of the engine: entry point `engine` of `wasel.inspectors`.

The answer is plain data, so that the agent needs to know nothing of the engine: counts, imports, exports, memories,
tables, and under "arena" the bytes that loading and running take, or None with the reason under "reason".

Errors: RefusedError for bytes that are no valid module, WaselError when the engine's library does not build.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from agent.errors import RefusedError, WaselError
from edge_engine import ModuleError
from edge_engine.inspection import inspect_module
from edge_engine.zig import ToolError

__all__ = ["inspect"]


def _kept(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def inspect(data: bytes, *, stack_size: int = 0, metered: bool = False) -> dict[str, Any]:
    """Describe a module; ``stack_size`` in bytes (0: the engine's default), ``metered``: it will run with fuel."""
    try:
        found = inspect_module(data, stack_size=stack_size, metered=metered)
    except ModuleError as error:
        raise RefusedError(str(error)) from error
    except ToolError as error:
        raise WaselError(f"the engine does not build:\n{error}") from error
    need = found.requirements
    return {
        "functions": found.functions,
        "globals": found.globals,
        "imports": [asdict(entry) for entry in found.imports],
        "exports": [asdict(entry) for entry in found.exports],
        "memories": [_kept(asdict(entry)) for entry in found.memories],
        "tables": [_kept(asdict(entry)) for entry in found.tables],
        "arena": {name.removesuffix("_bytes"): value for name, value in asdict(need).items()} if need else None,
        "reason": found.reason,
    }
