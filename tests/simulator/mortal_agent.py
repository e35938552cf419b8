# SPDX-License-Identifier: Apache-2.0
"""The agent in a process that dies by SIGKILL before its n-th step on disk, forked where its modules are loaded.

A step is opening a file of the agent's folder for writing, an fsync, a rename, or a removal.
"""

import asyncio
import multiprocessing
import os
import signal
import sys
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path

from agent.session import Session, serve_device

LOADED = ["pytest", "tests.simulator.mortal_agent", "serial", "detools"]
END_TIMEOUT_S = 60.0
EVENTS = {"os.rename": "rename", "os.remove": "remove"}
NEVER = ("", 0)


def _live(session: Session, log: Path, die_at: tuple[str, int], steps: Connection) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    folder = str(session.state)
    taken: Counter[str] = Counter()

    def step(what: str) -> None:
        taken[what] += 1
        if die_at == (what, taken[what]):
            steps.send_bytes(b"died")
            os.kill(os.getpid(), signal.SIGKILL)

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        path = str(arguments[0]) if arguments else ""
        if not path.startswith(folder):
            return
        if event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR):
            step(f"open {Path(path).suffix}")
        elif event in EVENTS:
            step(f"{EVENTS[event]} {Path(path).suffix}".rstrip())

    sync = os.fsync

    def fsync(descriptor: int) -> None:
        step("fsync")
        sync(descriptor)

    os.fsync = fsync
    sys.addaudithook(hook)
    asyncio.run(serve_device(session, ""))


class MortalAgent:
    """A running agent; `die_at` names a kind of step and the number of the one before which it dies."""

    def __init__(self, session: Session, log: Path, die_at: tuple[str, int] = NEVER) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(LOADED)
        self._steps, theirs = context.Pipe(duplex=False)
        self._process = context.Process(target=_live, args=(session, log, die_at, theirs))
        self._process.start()
        theirs.close()

    def kill(self) -> None:
        self._process.kill()
        self._process.join(END_TIMEOUT_S)
        assert self._process.exitcode == -signal.SIGKILL

    @property
    def alive(self) -> bool:
        return self._process.is_alive()

    @property
    def died_itself(self) -> bool:
        """Tell whether it came to that step."""
        try:
            return self._steps.poll() and self._steps.recv_bytes() == b"died"
        except EOFError:
            return False
