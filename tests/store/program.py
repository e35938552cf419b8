# SPDX-License-Identifier: Apache-2.0
"""Build the power-cut program (power.c): supervisor, store, littlefs and flash driver on the host, sanitized."""

from pathlib import Path

from edge_engine.zig import HOST, ROOT, compile_objects, link
from sel4_bridge.build import CRYPTO_SOURCES, STORE_SOURCES, SUPERVISOR_SOURCES, compile_zig, write_sources
from sel4_bridge.littlefs import LITTLEFS_FOLDER
from tests.supervisor.device import FLAGS, SANITIZE, TRAP, sanitizer_runtime

HERE = Path(__file__).parent


def build_power(*, sanitize: bool = True) -> Path:
    """The program; without sanitizers it is several times as fast."""
    write_sources()
    runtime = sanitizer_runtime() if sanitize else []
    checks = SANITIZE if runtime else TRAP if sanitize else ("-fno-sanitize=all",)
    flags = (f"-I{HERE / 'include'}", f"-I{HERE}", *FLAGS, f"-I{STORE_SOURCES[0].parent}", f"-isystem{LITTLEFS_FOLDER}")
    out = ROOT / "build" / ("host-store" if sanitize else "host-store-fast")
    sources = [*SUPERVISOR_SOURCES, *STORE_SOURCES, HERE / "chips.c", HERE / "power.c"]
    objects = compile_objects(sources, out / "obj", HOST, (*flags, *checks, *(() if sanitize else ("-O2",))))
    for source in CRYPTO_SOURCES:
        objects.append(compile_zig(source, out / "obj" / f"{source.stem}.o", HOST, "build-obj", ("-fPIC",)))
    return link(objects, out / "power", HOST, runtime)
