# SPDX-License-Identifier: Apache-2.0
"""`wasel run --on qemu` and `--on sel4`: one module, on a device of its own that lives as long as the run.

Contract (entry point group `wasel.runners`): `run(request)` boots a fresh device, uploads the module, starts it with
lossless logs, writes the bytes of its stdout and stderr to ours as they come, and returns the module's exit code, or
134 after a trap, 124 when fuel or the time budget ran out, 3 for a module that the device refuses. Errors of the device
or its link are raised as `agent.errors.WaselError`. The device is down when it returns, whatever happened.

The time budget counts from the module's start: booting the device is not the module's fault.
Does NOT: parse the module (the device does), keep the device.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import signal
import sys
from typing import TYPE_CHECKING, TypeVar

from agent.errors import EXIT_BUDGET, EXIT_REFUSED, EXIT_TRAP, LinkError, RefusedError, UsageError, WaselError
from agent.link.device import Device as Link
from agent.text import printable
from qemu.boards import DEFAULT_KERNEL
from qemu.launcher import running_device

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from agent.link.modules import SlotStatus
    from agent.run_request import RunRequest

__all__ = ["run", "run_bounded", "run_sel4"]

SLOT = 0
SEED_SIZE = 32  # bytes
IDLE_MIN_S = 0.002  # pause before asking a silent module's logs again; doubles up to IDLE_MAX_S
IDLE_MAX_S = 0.05
FINAL_STATES = frozenset({"exited", "trapped", "refused", "stopped"})
STREAM_STDERR = 2
FUEL_TRAP = "fuel exhausted"  # EE_TRAP_FUEL_EXHAUSTED's text in edge_engine.h

T = TypeVar("T")


def run(request: RunRequest) -> int:
    """Run the module on the stand-in kernel."""
    return run_bounded(_run(request, DEFAULT_KERNEL))


def run_sel4(request: RunRequest) -> int:
    """Run the module on genuine seL4 (needs MICROKIT_SDK)."""
    return run_bounded(_run(request, "sel4"))


def run_bounded(work: Coroutine[object, object, T]) -> T:
    """Run to the end like asyncio.run, but let SIGTERM cancel `work`, so that its devices go down, too.

    Raises:
        SystemExit: 143 after SIGTERM.

    """

    async def guarded() -> T:
        task = asyncio.current_task()
        terminated = False

        def terminate() -> None:
            nonlocal terminated
            terminated = True
            if task is not None:
                task.cancel()

        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, terminate)
        try:
            return await work
        except asyncio.CancelledError:
            if terminated:
                raise SystemExit(128 + signal.SIGTERM) from None
            raise

    return asyncio.run(guarded())


async def _run(request: RunRequest, kernel: str) -> int:
    if request.dirs:
        raise UsageError("--dir: directories are not supported yet")
    try:
        module = await asyncio.to_thread(request.module.read_bytes)
    except OSError as error:
        raise WaselError(f"{request.module}: {error.strerror}") from error
    async with running_device("run", kernel=kernel) as device, Link(device.record.port, name="device") as link:
        status = await link.status()
        if request.arena_size not in {None, status.arena}:
            raise UsageError(f"--arena: the device's arenas are {status.arena} bytes; its image fixes that")
        if len(module) > status.module_max:
            raise RefusedError(f"{request.module}: {len(module)} bytes; a slot holds {status.module_max}")
        await link.seed(secrets.token_bytes(SEED_SIZE))
        await link.upload(SLOT, module)
        await link.set_pending(hashlib.sha256(module).digest())
        await link.start(SLOT, (request.module.name, *request.args), request.env, fuel=request.fuel, lossless=True)
        try:
            async with asyncio.timeout(request.timeout_s):
                final = await _follow(link)
        except TimeoutError:
            await link.stop(SLOT)
            sys.stderr.write(f"wasel: stopped after {request.timeout_s:g} s\n")
            return EXIT_BUDGET
    return _outcome(final, str(request.module))


async def _follow(link: Link) -> SlotStatus:
    """Copy the module's output to ours until it has ended and everything is copied."""
    cursor = 0
    pause_s = IDLE_MIN_S
    while True:
        slot = (await link.status()).slots[SLOT]  # before the logs: what it wrote until now is in them
        answer = await link.logs(SLOT, cursor)
        if answer.dropped:
            raise LinkError(f"the device lost {answer.dropped} records of the module's output")
        for _, stream, ends_line, data in answer.records:
            target = sys.stderr.buffer if stream == STREAM_STDERR else sys.stdout.buffer
            target.write(data + b"\n" if ends_line else data)
        cursor = answer.next
        if answer.records:
            sys.stdout.buffer.flush()
            sys.stderr.buffer.flush()
            pause_s = IDLE_MIN_S
        elif slot.state in FINAL_STATES:
            return slot
        else:
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, IDLE_MAX_S)


def _outcome(final: SlotStatus, name: str) -> int:
    """Say on stderr how it ended unless it ended by itself, and give the exit code."""
    match final.state:
        case "exited":
            return (final.exit or 0) & 0xFF  # as the shell would see it
        case "trapped" if final.trap == FUEL_TRAP:
            sys.stderr.write(f"wasel: {FUEL_TRAP}\n")
            return EXIT_BUDGET
        case "trapped":
            sys.stderr.write(f"wasel: trap: {printable(final.trap or 'unknown')}\n{_lines(final.backtrace)}")
            return EXIT_TRAP
        case "refused":
            sys.stderr.write(f"wasel: {name}: {printable(final.error or 'refused without a reason')}\n")
            return EXIT_REFUSED
        case other:
            raise LinkError(f"the device says that the module is {other}, which nobody asked for")


def _lines(backtrace: str | None) -> str:
    return "".join(f"{printable(line)}\n" for line in (backtrace or "").splitlines())
