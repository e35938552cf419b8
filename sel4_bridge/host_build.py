# SPDX-License-Identifier: Apache-2.0
"""Build the program behind `wasel run --on host`: engine, bridge table and WASI code for this machine.

`python -m sel4_bridge.host_build` builds and prints the path. Writes only below the build folder; what has not changed
is not built again. Errors: edge_engine.zig.ToolError if the compiler refuses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_engine.paths import BUILD, ROOT
from edge_engine.sources import ENGINE_FLAGS, ENGINE_SOURCES, HOST_GUARD_SOURCES
from edge_engine.zig import HOST, WARNINGS, compile_objects, link
from sel4_bridge.generate import INCLUDE_FLAGS, STUB_SOURCES, WASI_LOGIC_SOURCES, write_generated

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["HOST_BINARY", "HOST_FLAGS", "HOST_SOURCES", "build_host"]

_OUT = BUILD / "host"
HOST_BINARY = _OUT / "wasel-host"
HOST_SOURCES = (
    *HOST_GUARD_SOURCES,
    *STUB_SOURCES,
    *WASI_LOGIC_SOURCES,
    ROOT / "sel4_bridge" / "host" / "main.c",
)
HOST_FLAGS = (
    "-std=c17",
    "-O2",
    "-g0",
    "-fno-strict-aliasing",
    "-fno-sanitize=all",
    *WARNINGS,
    *INCLUDE_FLAGS,
)


def build_host() -> Path:
    """Build the host runner's program, quickly when nothing changed; ToolError if the compiler refuses."""
    write_generated()
    objects = [
        *compile_objects(ENGINE_SOURCES, _OUT / "runner", HOST, ENGINE_FLAGS),
        *compile_objects(HOST_SOURCES, _OUT / "runner", HOST, HOST_FLAGS),
    ]
    return link(objects, HOST_BINARY, HOST)


if __name__ == "__main__":
    print(build_host())
