# SPDX-License-Identifier: Apache-2.0
"""`wasel run --on qemu` and `--on sel4`: one module, on a device of its own that lives as long as the run.

Contract (entry point group `wasel.runners`): `run(request)` boots a fresh device, uploads the module, starts it with
lossless logs, writes the bytes of its stdout and stderr to ours as they come, and returns the module's exit code. A
trap, the end of fuel or time, a refusal, and errors of the device or its link are raised as `agent.errors.WaselError`.
The device is down when it returns, whatever happened.

The time budget counts from the module's start: booting the device is not the module's fault.
Does NOT: parse the module (the device does), keep the device.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import signal
from typing import TYPE_CHECKING, TypeVar

from agent.commands.logs import write_record
from agent.errors import BudgetError, RefusedError, UsageError
from agent.follow import follow, outcome
from agent.link.device import Device as Link
from qemu.boards import DEFAULT_KERNEL
from qemu.launcher import running_device
from sel4_bridge.files import grants, read_module

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from agent.run_request import RunRequest

__all__ = ["SEED_SIZE", "run", "run_bounded", "run_module", "run_sel4"]

SLOT = 0
SEED_SIZE = 32  # bytes
IDLE_MAX_S = 0.05  # longest pause before asking a silent module's logs again

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
    request.refuse_simulation("sel4" if kernel == "sel4" else "qemu")
    module = await asyncio.to_thread(read_module, request, "aarch64")
    async with running_device("run", kernel=kernel) as device, Link(device.record.port, name="device") as link:
        return await run_module(link, request, module, secrets.token_bytes(SEED_SIZE))


async def run_module(link: Link, request: RunRequest, module: bytes, seed: bytes) -> int:
    """Run the module on the device behind `link`, which has nothing else to do, and return its exit code."""
    status = await link.status()
    if request.arena_size not in {None, status.arena}:
        raise UsageError(f"--arena: the device's arenas are {status.arena} bytes; its image fixes that")
    if len(module) > status.module_max:
        raise RefusedError(f"{request.module}: {len(module)} bytes; a slot holds {status.module_max}")
    await link.seed(seed)
    await link.upload(SLOT, module)
    await link.set_pending(hashlib.sha256(module).digest())
    await link.start(
        SLOT,
        (request.module.name, *request.args),
        request.env,
        fuel=request.fuel,
        lossless=True,
        grants=grants(request),
    )
    try:
        async with asyncio.timeout(request.timeout_s):
            final = await follow(link, SLOT, 0, _write, slowest_s=IDLE_MAX_S)
    except TimeoutError:
        await link.stop(SLOT)
        raise BudgetError(f"stopped after {request.timeout_s:g} s") from None
    return outcome(final, str(request.module))


def _write(record: tuple[int, int, bool, bytes]) -> None:
    write_record(SLOT, record, json=False)
