# SPDX-License-Identifier: Apache-2.0
"""The engine's shared library for this machine: which file it is, and the declarations of what it contains.

`host_library` names, in this order, what `WASEL_ENGINE_LIBRARY` points to, what the wheel brought, what is built in the
checkout (`edge_engine.build`; the first time takes a minute). `edge_engine.cdef` always lies beside the library.

Errors: edge_engine.zig.ToolError if it has to be built and cannot be.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from edge_engine.paths import prebuilt

__all__ = ["DECLARATIONS", "LIBRARY", "HostLibrary", "host_library"]

LIBRARY = "libedge_engine.so"
DECLARATIONS = "edge_engine.cdef"


@dataclass(frozen=True)
class HostLibrary:
    """A built library and the declarations of what it contains."""

    library: Path
    declarations: Path


def host_library() -> HostLibrary:
    """Find the library, or build it."""
    named = os.environ.get("WASEL_ENGINE_LIBRARY")
    ready = Path(named) if named else prebuilt("edge_engine", LIBRARY)
    if ready is not None:
        return HostLibrary(ready, ready.with_name(DECLARATIONS))
    # Imported here: a wheel's user has no compiler, and the import alone generates sources.
    from edge_engine.build import build_host  # noqa: PLC0415

    return build_host()
