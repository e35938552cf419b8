# SPDX-License-Identifier: Apache-2.0
"""What the WASI tests share: the host runner, the server's test program, modules from text."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from edge_engine.sources import ENGINE_FLAGS, ENGINE_SOURCES
from edge_engine.zig import HOST, ROOT, WASI, compile_objects, link
from sel4_bridge.generate import INCLUDE_FLAGS, WASI_LOGIC_SOURCES, write_generated
from sel4_bridge.host_build import HOST_FLAGS, HOST_SOURCES, build_host

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

OUT = ROOT / "build" / "tests" / "wasi"
FLAGS = ("-std=c17", "-O1", "-g", "-fno-strict-aliasing", "-Wall", "-Wextra", "-Wconversion", "-Werror", *INCLUDE_FLAGS)
SERVER_SOURCES = (*WASI_LOGIC_SOURCES, ROOT / "sel4_bridge" / "wasi" / "output.c", ROOT / "tests" / "wasi" / "server.c")


def _server_with_gcc(gcc: str) -> Path:
    """Under AddressSanitizer and UBSan, where this machine has gcc with both."""
    OUT.mkdir(parents=True, exist_ok=True)
    program = OUT / "server-asan"
    sanitizers = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    subprocess.run([gcc, *FLAGS, *sanitizers, *map(str, SERVER_SOURCES), "-o", str(program)], check=True, timeout=120)
    return program


@pytest.fixture(scope="session")
def server() -> Path:
    """The server's test program: under ASan and UBSan with gcc, under UBSan with the compiler of the project."""
    write_generated()
    gcc = shutil.which("gcc")
    if gcc:
        try:
            return _server_with_gcc(gcc)
        except subprocess.CalledProcessError:
            pass  # a gcc without the sanitizers' libraries
    sanitizers = ("-fsanitize=undefined", "-fno-sanitize-trap=all", "-fno-sanitize-recover=all")
    objects = compile_objects(SERVER_SOURCES, OUT / "server", HOST, (*FLAGS, *sanitizers))
    return link(objects, OUT / "server-ubsan", HOST, sanitizers)


@pytest.fixture(scope="session")
def runner() -> Path:
    return build_host()


@pytest.fixture(scope="session")
def sanitized_runner() -> Path:
    """The host runner, engine and all, under UBSan; undefined behaviour ends it with SIGILL."""
    # Traps instead of messages keep the engine's handlers close enough for their 16-bit distances.
    sanitizers = ("-O1", "-fsanitize=undefined", "-fno-sanitize=function,alignment", "-fsanitize-trap=undefined")
    write_generated()
    checked = [tuple(flag for flag in flags if flag != "-fno-sanitize=all") for flags in (ENGINE_FLAGS, HOST_FLAGS)]
    objects = [
        *compile_objects(ENGINE_SOURCES, OUT / "engine", HOST, (*checked[0], *sanitizers)),
        *compile_objects(HOST_SOURCES, OUT / "runner", HOST, (*checked[1], *sanitizers)),
    ]
    return link(objects, OUT / "wasel-host-ubsan", HOST, sanitizers)


@pytest.fixture(scope="session")
def tour() -> Path:
    """One C program with a feature per first argument."""
    objects = compile_objects([ROOT / "tests" / "wasi" / "tour.c"], OUT / "tour", WASI, ("-Oz", "-Wall", "-Werror"))
    return link(objects, OUT / "tour.wasm", WASI, ("-Wl,--strip-all", "-Wl,-z,stack-size=65536"))


@pytest.fixture
def wat(tmp_path: Path) -> Callable[[str], Path]:
    """Turn WebAssembly text into a module's file; needs wabt's wat2wasm."""
    tool = shutil.which("wat2wasm")
    if tool is None:
        pytest.skip("wat2wasm (Debian package wabt) is not installed")

    def build(text: str) -> Path:
        source = tmp_path / "module.wat"
        source.write_text(text)
        module = tmp_path / "module.wasm"
        subprocess.run([tool, str(source), "-o", str(module)], check=True, timeout=30)
        return module

    return build
