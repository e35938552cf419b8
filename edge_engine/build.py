# SPDX-License-Identifier: Apache-2.0
"""Build the engine as a shared library for this machine, plain or with sanitizers.

``python -m edge_engine.build [--sanitize] [--explicit-checks]`` prints the path of the library. Beside it lies
``edge_engine.cdef``: the C declarations that the Python binding reads, made from the headers by the preprocessor so
that nothing is written twice.

The sanitizer build is compiled by the same compiler and linked by the system's gcc, whose run-time libraries it uses:
the wheel's compiler has none for AddressSanitizer. Programs that load it need ``LD_PRELOAD`` (``sanitizer_preload``).
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

from edge_engine.library import DECLARATIONS, LIBRARY, HostLibrary
from edge_engine.paths import BUILD, ROOT
from edge_engine.sources import ENGINE_FLAGS, ENGINE_INCLUDE, ENGINE_SOURCES, HOST_GUARD_SOURCES, HOST_INSPECT_SOURCES
from edge_engine.zig import HOST, ToolError, compile_objects, link, run_tool

__all__ = ["build_host", "find_gcc_library", "sanitizer_preload"]

HOST_HEADERS = (
    ENGINE_INCLUDE / "edge_engine.h",
    ROOT / "edge_engine" / "host" / "guard.h",
    ROOT / "edge_engine" / "host" / "inspect.h",
)
SANITIZE_FLAGS = (
    "-g",
    "-O1",
    "-fsanitize=address",  # the wheel's driver drops one of two in the same argument
    "-fsanitize=undefined",
    # Unaligned fields are declared as such; "function" needs the compiler's own run time.
    "-fno-sanitize=function,alignment",
    "-fno-sanitize-recover=all",
)
PRELOADS = ("libasan.so", "libubsan.so")


def _declarations(output: Path) -> Path:
    """Write what the headers declare, without the C library's part, in the form cffi reads."""
    newest = max(header.stat().st_mtime_ns for header in HOST_HEADERS)
    if output.exists() and output.stat().st_mtime_ns > newest:
        return output
    source = output.with_suffix(".c")
    source.write_text("".join(f'#include "{header}"\n' for header in HOST_HEADERS))
    kept: list[str] = []
    ours = False
    for line in run_tool(["cc", *HOST.arguments(), "-E", f"-I{ENGINE_INCLUDE}", str(source)]).splitlines():
        if marker := re.match(r'# \d+ "(.*)"', line):
            ours = Path(marker[1]).resolve().is_relative_to(ROOT / "edge_engine")
        elif ours and line.strip() and not line.startswith("#"):
            kept.append(re.sub(r"__attribute__\(\(\w+\)\)", "", line))
    temporary = output.with_name(output.name + ".new")
    temporary.write_text("\n".join(kept) + "\n")
    temporary.replace(output)
    return output


def find_gcc_library(name: str) -> str:
    """Path of one of gcc's run-time libraries; ToolError where there is no gcc or no such library."""
    gcc = shutil.which("gcc")
    if gcc is None:
        raise ToolError(["gcc"], "the sanitizer build needs the system's gcc for its run-time libraries")
    found = subprocess.run([gcc, f"-print-file-name={name}"], capture_output=True, text=True, check=True, timeout=60)
    path = found.stdout.strip()
    if not Path(path).is_absolute():
        raise ToolError([gcc, f"-print-file-name={name}"], f"gcc has no {name}")
    return path


@cache
def sanitizer_preload() -> str:
    """Value of LD_PRELOAD for a program that loads the sanitizer build; ToolError without the system's gcc."""
    return ":".join(find_gcc_library(name) for name in PRELOADS)


def build_host(*, sanitize: bool = False, explicit_checks: bool = False) -> HostLibrary:
    """Build what is out of date; a second call costs milliseconds. ToolError carries the compiler's messages.

    ``explicit_checks`` compares addresses instead of relying on unmapped memory (EE_EXPLICIT_CHECKS).
    """
    out = BUILD / ("host" + ("-explicit" if explicit_checks else "") + ("-sanitize" if sanitize else ""))
    flags = [*ENGINE_FLAGS, "-fPIC", *(["-DEE_EXPLICIT_CHECKS"] if explicit_checks else [])]
    if sanitize:
        flags = [flag for flag in flags if flag != "-fno-sanitize=all"] + [*SANITIZE_FLAGS]
    hosted = [flag for flag in flags if flag != "-ffreestanding"]
    objects = compile_objects(ENGINE_SOURCES, out / "engine", HOST, flags)
    objects += compile_objects([*HOST_GUARD_SOURCES, *HOST_INSPECT_SOURCES], out / "engine", HOST, hosted)
    runtime = [find_gcc_library(name) for name in PRELOADS] if sanitize else []
    library = link(objects, out / LIBRARY, HOST, ["-shared", *runtime])
    return HostLibrary(library, _declarations(out / DECLARATIONS))


def main() -> None:
    """Entry point of ``python -m edge_engine.build``."""
    parser = argparse.ArgumentParser(description="Build the engine's shared library for this machine")
    parser.add_argument("--sanitize", action="store_true", help="with AddressSanitizer and UndefinedBehaviorSanitizer")
    parser.add_argument("--explicit-checks", action="store_true", help="compare addresses; needs no unmapped memory")
    arguments = parser.parse_args()
    print(build_host(sanitize=arguments.sanitize, explicit_checks=arguments.explicit_checks).library)


if __name__ == "__main__":
    main()
