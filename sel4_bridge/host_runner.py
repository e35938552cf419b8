# SPDX-License-Identifier: Apache-2.0
"""Run a module on this machine: the device's engine, bridge table and WASI code, without QEMU.

Directories behave as on a device: their contents are copied into the module's RAM before it starts, and what it
changes there is gone when it ends.

`run` is the runner `host` of `wasel run`. It runs the program `wasel-host` (sel4_bridge.host_build) with this
process's own streams and returns its exit code.

Errors: UsageError for what the host can't do, WaselError when the build fails; what the module does is an exit code.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from agent.errors import EXIT_BUDGET, RefusedError, UsageError, WaselError
from agent.text import printable
from edge_engine.paths import prebuilt
from edge_engine.zig import ToolError
from sel4_bridge.files import grants, read_module
from sel4_bridge.system import ARENA_SIZE

if TYPE_CHECKING:
    from agent.run_request import RunRequest

__all__ = ["host_program", "run"]

PROGRAM = "wasel-host"


def host_program() -> Path:
    """Return the program: the wheel's, or the checkout's, built if need be; ToolError if that fails."""
    ready = prebuilt("sel4_bridge", PROGRAM)
    if ready is not None:
        return ready
    from sel4_bridge.host_build import build_host  # noqa: PLC0415  a wheel's user has no compiler

    return build_host()


def run(request: RunRequest) -> int:
    """Run the module to its end and return its exit code, or 124 when its time was up.

    Raises:
        UsageError: there is no such module, or a directory can't travel with it.
        WaselError: the program could not be built.

    """
    request.refuse_simulation("host")
    if not request.module.is_file():
        raise UsageError(f"{request.module}: no such file")
    arena = ARENA_SIZE if request.arena_size is None else request.arena_size
    try:
        program = host_program()
    except ToolError as error:
        raise WaselError(f"the host runner does not build:\n{error}") from error
    command = [str(program), "--arena", str(arena)]
    if request.fuel is not None:
        command += ["--fuel", str(request.fuel)]
    for key, value in request.env:
        command += ["--env", f"{key}={value}"]
    for grant in grants(request):
        command += ["--grant", grant]
    with ExitStack() as stack:
        file = request.module
        if request.native:
            command += ["--tier", "native"]
        if request.dirs or request.native:
            folder = stack.enter_context(TemporaryDirectory(prefix="wasel-"))
            file = Path(folder) / request.module.name
            file.write_bytes(read_module(request, platform.machine()))
        name = str(file)
        command += [f"./{name}" if name.startswith("-") else name, "--", request.module.name, *request.args]
        sys.stdout.flush()
        sys.stderr.flush()
        reader, writer = os.pipe()  # a refusal's text is far shorter than what a pipe holds
        reasons = stack.enter_context(open(reader, "rb"))  # noqa: PTH123 - a descriptor
        command[1:1] = ["--refusal-fd", str(writer)]
        try:
            done = subprocess.run(command, check=False, timeout=request.timeout_s, pass_fds=(writer,))
        except subprocess.TimeoutExpired:
            sys.stderr.write(f"wasel: stopped after {request.timeout_s:g} s\n")
            return EXIT_BUDGET
        finally:
            os.close(writer)
        if reason := reasons.read().decode("utf-8", "replace"):
            raise RefusedError(f"{request.module}: {printable(reason)}")
    # A negative code is a signal that ended the program itself, told as shells do.
    return done.returncode if done.returncode >= 0 else 128 - done.returncode
