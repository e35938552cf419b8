# SPDX-License-Identifier: Apache-2.0
"""What `wasel run` asks of a runner (entry-point group `wasel.runners`).

A runner is `run(request: RunRequest) -> int`: it runs the module to its end with the process's own stdout and stderr
and returns the exit code of `agent.errors.EXIT_CODES`. It refuses a field that it does not support with `UsageError`
naming it, and reports everything else through `agent.errors`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["RunRequest"]


@dataclass(frozen=True)
class RunRequest:
    """One run of one module."""

    module: Path
    args: tuple[str, ...] = ()
    """Arguments after the program's name; the runner gives the file's name as argument 0."""
    env: tuple[tuple[str, str], ...] = ()
    dirs: tuple[tuple[Path, str], ...] = ()
    """Host directory and its path in the guest."""
    grants: tuple[str, ...] = ()
    """Further rights, as words of a start request (docs/wasi-calls.md)."""
    arena_size: int | None = None
    """Bytes; None: the runner's default slot size."""
    fuel: int | None = None
    """Instructions; None: unmetered."""
    native: bool = False
    """Compile the module first and run native code."""
    timeout_s: float | None = None
    """Seconds of wall-clock time; None: no limit."""
    time: str | None = None
    """Simulator: "real" or "virtual"; None: real."""
    seed: int | None = None
    """Simulator: of randomness and scheduling; None: another one each time."""
    record: Path | None = None
    """Simulator: file to record the run in."""
    replay: Path | None = None
    """Simulator: recording to run again."""

    def refuse_simulation(self, runner: str) -> None:
        """Raise UsageError if the request has a field that only the simulator supports."""
        for name in ("time", "seed", "record", "replay"):
            if getattr(self, name) is not None:
                raise UsageError(f"--{name}: not supported with --on {runner}; --on sim has it")
