# SPDX-License-Identifier: Apache-2.0
"""Read every C file of ours with clang-tidy, with the checks of .clang-tidy; `make check` runs it.

    python -m scripts.tidy [FILE...]

Contract: the files, and the flags each is read with, are what the builds of device, simulator, host programs, native
code, JavaScript and examples compile (edge_engine.zig.recorded), so that no second list of them exists; a file that
several builds compile is read as the first of them does. Include paths and the target's name are the compiler's own
word (`zig cc -v`). A file that passed is not read again until it, a header, its flags, the checks or the tool change.
Generated C is read where it is compiled, but what is found in it does not count: its tables have tests of their own.
Does not read the C of tests/, bench/ and soak/, which no device runs.

Ends with 0, or with 1 after the findings. ToolError, BuildError and SdistError where the builds fail.
"""

from __future__ import annotations

import argparse
import hashlib
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

import clang_tidy  # type: ignore[import-untyped]

from edge_engine.aot.compiler import FLAGS as NATIVE_FLAGS
from edge_engine.aot.compiler import HERE as NATIVE
from edge_engine.aot.compiler import TARGETS as NATIVE_TARGETS
from edge_engine.build import build_host as build_library
from edge_engine.paths import BUILD, ROOT
from edge_engine.superinstructions import build_listing
from edge_engine.zig import JOBS, TIMEOUT_S, WASI, Compilation, Target, compile_objects, recorded
from qemu.simulator_build import build_simulator
from sel4_bridge.build import build_device
from sel4_bridge.host_build import build_host
from sel4_bridge.javascript import build_interpreter

__all__ = ["CHECKS", "OURS", "compilations", "is_ours", "main", "read"]

CHECKS = ROOT / ".clang-tidy"
OUT = BUILD / "tidy"
OURS = ("edge_engine", "sel4_bridge", "qemu", "examples")


def is_ours(source: Path) -> bool:
    """Whether findings in a file count: C that a person wrote, in one of the folders that are read."""
    return source.suffix == ".c" and any(source.is_relative_to(ROOT / folder) for folder in OURS)


def compilations() -> list[Compilation]:
    """Build what there is, and return how each C file of ours is compiled, by path."""
    with recorded() as record:
        build_device("standin")
        build_simulator()
        build_host()
        build_library()
        build_listing()
        build_interpreter()
        compile_objects([NATIVE / "support.c"], OUT / "native", NATIVE_TARGETS["aarch64"], NATIVE_FLAGS)
        compile_objects(sorted((ROOT / "examples").glob("*/*.c")), OUT / "examples", WASI)
    found: dict[Path, Compilation] = {}
    for item in record:
        if is_ours(item.source):
            found.setdefault(item.source, item)
    return [found[path] for path in sorted(found)]


@cache
def _compiler_says(target: Target) -> tuple[str, ...]:
    """Return flags that make clang see what `zig cc` sees: the target's name, its C library's headers and macros."""
    command = [sys.executable, "-m", "ziglang", "cc", *target.arguments(), "-E", "-v", "-x", "c", "/dev/null"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=TIMEOUT_S).stderr
    # the compiler's own headers, which come first, are those of the tool
    own = next(Path(clang_tidy.__file__).parent.glob("data/lib/clang/*/include"))
    words = shlex.split(next(line for line in said.splitlines() if " -cc1 " in line))
    flags = [f"--target={words[words.index('-triple') + 1]}", "-nostdlibinc"]
    for option, value in pairwise(words):
        if option == "-isystem" and value.endswith("ziglang/lib/include"):
            flags += [option, str(own)]
        elif option in {"-isystem", "-D"}:
            flags += [option, value]
    return tuple(flags)


def _command(item: Compilation) -> list[str]:
    # what follows -mllvm is the code generator's; -Werror is .clang-tidy's
    pairs = pairwise(("", *item.flags))
    flags = [flag for before, flag in pairs if before != "-mllvm" and flag not in {"-mllvm", "-Werror"}]
    return [
        str(clang_tidy.get_executable("clang-tidy")),
        "--quiet",
        f"--config-file={CHECKS}",
        str(item.source),
        "--",
        *_compiler_says(item.target),
        *flags,
    ]


def _state(item: Compilation, command: list[str]) -> str:
    """Digest of all that a verdict depends on."""
    total = hashlib.sha256("\0".join([version("clang-tidy"), *command]).encode())
    for file in (CHECKS, *item.inputs()):
        total.update(hashlib.sha256(file.read_bytes()).digest() if file.exists() else b"missing")
    return total.hexdigest()


def read(item: Compilation) -> str:
    """Return the findings in one file, as the tool prints them; empty where there are none."""
    command = _command(item)
    verdict = OUT / f"{item.output.name}.ok"
    state = _state(item, command)
    if verdict.exists() and verdict.read_text(encoding="ascii") == state:
        return ""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
    if done.returncode == 0:
        OUT.mkdir(parents=True, exist_ok=True)
        verdict.write_text(state, encoding="ascii")
        return ""
    return done.stdout or done.stderr


def main() -> int:
    """Read all files, or those named; 1 if anything was found."""
    parser = argparse.ArgumentParser(description="Read our C with clang-tidy.")
    parser.add_argument("files", nargs="*", type=Path, help="only these")
    wanted = {path.resolve() for path in parser.parse_args().files}
    items = [item for item in compilations() if not wanted or item.source in wanted]
    with ThreadPoolExecutor(max_workers=JOBS) as pool:
        findings = [text for text in pool.map(read, items) if text]
    for text in findings:
        print(text, end="", flush=True)
    print(f"clang-tidy: {len(items)} files read, findings in {len(findings)}")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
