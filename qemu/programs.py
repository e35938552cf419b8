# SPDX-License-Identifier: Apache-2.0
"""Runs `wasel` itself as separate processes, for the demo and for tests: commands to their end, an agent for a while.

Contract: every process is gone when the call or the block ends. The state folder is given, never the user's own.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qemu.bound import bound, end_process
from qemu.errors import QemuError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from qemu.broker import Broker

__all__ = ["Finished", "ProgramError", "environment_for", "run_wasel", "running_agent"]

COMMAND_TIMEOUT_S = 300.0


class ProgramError(QemuError):
    """A command of ours failed or did not end."""


@dataclass(frozen=True)
class Finished:
    """A command that has ended."""

    code: int
    stdout: bytes
    stderr: bytes


def environment_for(state: Path) -> dict[str, str]:
    """Our environment with another state folder."""
    return {**os.environ, "WASEL_STATE": str(state)}


def _wasel(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "agent", *arguments]


async def run_wasel(state: Path, *arguments: str, timeout_s: float = COMMAND_TIMEOUT_S) -> Finished:
    """Run `wasel ARGUMENTS` to its end.

    Raises:
        ProgramError: it has not ended after `timeout_s`.

    """
    process = await asyncio.create_subprocess_exec(
        *_wasel(*arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment_for(state),
    )
    try:
        async with asyncio.timeout(timeout_s):
            stdout, stderr = await process.communicate()
    except TimeoutError:
        raise ProgramError(f"wasel {' '.join(arguments)}: not finished after {timeout_s:g} s") from None
    finally:
        await end_process(process)
    return Finished(process.returncode or 0, stdout, stderr)


@contextlib.asynccontextmanager
async def running_agent(
    state: Path, broker: Broker, device: str, log: Path
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run `wasel agent` for a device for the time of the block; what it says is appended to `log`."""
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *bound(_wasel("agent", "--device", device, "--broker", broker.url)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment_for(state),
            start_new_session=True,  # Ctrl-C reaches us; we end it
        )
    try:
        yield process
    finally:
        await end_process(process)
