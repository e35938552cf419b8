# SPDX-License-Identifier: Apache-2.0
"""Ties a child process to our life: it is killed when we end, even by SIGKILL, when no `finally` of ours runs.

Contract: `bound(argv)` gives an argument vector that starts the same program under the same process number, with
prctl(PR_SET_PDEATHSIG) set by util-linux's setpriv(1); where that is missing, the vector itself. The kernel clears the
signal when the program changes its user (mosquitto started by root does): orderly ends must not rely on it.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil

__all__ = ["bound", "end_process"]

STOP_TIMEOUT_S = 10.0


def bound(arguments: list[str]) -> list[str]:
    """Return the vector that runs `arguments` as long as our thread lives at most."""
    setpriv = shutil.which("setpriv")
    return arguments if setpriv is None else [setpriv, "--pdeathsig", "KILL", *arguments]


async def end_process(process: asyncio.subprocess.Process) -> None:
    """Ask a process to end, then make it: the orderly end."""
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(STOP_TIMEOUT_S):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
