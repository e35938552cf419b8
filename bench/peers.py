# SPDX-License-Identifier: Apache-2.0
"""The engines that are compared, and the asking side of the worker protocol (described in worker.py).

Contract: one process per peer for the whole bench, so that samples of all peers can be taken in turn; every answer has
a deadline. Workers time their own calls, so starting processes and pipes are not in the numbers; an emulator's time is
what its process used meanwhile (Clock.PROCESS), which a busy machine disturbs less than the emulated timer.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Self

from bench import BenchError
from bench.compiled import compiled_module
from edge_engine.zig import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from bench.kernels import Built

__all__ = ["PEERS", "Client", "Clock", "Peer"]

ANSWER_TIMEOUT_S = 120.0
CLOSE_TIMEOUT_S = 5.0
IDLE_EXCHANGES = 9


class Clock(Enum):
    """Whose time a run is measured in."""

    WORKER = "what the worker answers"
    PROCESS = "processor time of the worker's process, less that of an exchange that does nothing: for emulators"


@dataclass(frozen=True)
class Peer:
    """One way to run a kernel. ``extra_samples``: how many samples a round takes of peers that finish quickly."""

    name: str
    what: str
    runner: str = ""  # key of engine.BUILDERS; empty: bench.worker with this name
    options: tuple[str, ...] = ()  # of the runner
    native: bool = False  # runs the shared object, not the wasm module
    extra_samples: int = 1
    clock: Clock = Clock.WORKER
    compiled: bool = False  # runs a module with native code
    fuel: bool = False  # counts fuel
    machine: str | None = None  # compiled: for which; None: this one

    def module(self, built: Built) -> Path:
        """Return the file of a kernel that this peer runs; ToolError if it has to be compiled and can't."""
        if self.compiled:
            return compiled_module(built.wasm, self.machine, fuel=self.fuel)
        return built.native if self.native else built.wasm


PEERS = (
    Peer("c", "the same C compiled to native code", native=True, extra_samples=3),
    Peer("wasel", "wasel's interpreter", runner="wasel"),
    Peer("wasel-fuel", "wasel's interpreter, counting fuel", runner="wasel", options=("--fuel",)),
    Peer("wasel-native", "wasel's native code", runner="wasel", options=("--native",), extra_samples=3, compiled=True),
    Peer(
        "wasel-native-fuel",
        "wasel's native code, counting fuel",
        runner="wasel",
        options=("--native", "--fuel"),
        extra_samples=3,
        compiled=True,
        fuel=True,
    ),
    Peer("wasm3", "wasm3 as pywasm3 builds it"),
    Peer("wasm3-clang", "wasm3 from pywasm3's sources, built as wasel is", runner="wasm3"),
    Peer("wasmtime", "wasmtime (Cranelift)", extra_samples=3),
    Peer("wasmtime-fuel", "wasmtime, counting fuel", extra_samples=3),
)


class Client:
    """A worker process; use as an async context manager, which ends the process. No command: bench.worker."""

    def __init__(self, peer: Peer, command: Sequence[str] = ()) -> None:
        self.peer = peer
        self._command = list(command) or [sys.executable, "-m", "bench.worker", peer.name]
        self._process: asyncio.subprocess.Process | None = None
        self._idle_ns = 0  # processor time of an exchange that does nothing

    async def __aenter__(self) -> Self:
        """Start the worker."""
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd=ROOT,
        )
        if self.peer.clock is Clock.PROCESS:
            costs = []
            for _ in range(IDLE_EXCHANGES):
                begin = self._processor_ns()
                await self.version()
                costs.append(self._processor_ns() - begin)
            self._idle_ns = int(median(costs))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the worker: it stops when its input does, or is killed."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        if process.stdin is not None:
            process.stdin.close()
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    async def ask(self, command: str) -> list[str]:
        """One command, the fields of its answer; BenchError if the peer says no, dies or takes too long."""
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise RuntimeError("the worker was not started")
        where = f"{self.peer.name}: {command}"
        try:
            process.stdin.write(f"{command}\n".encode())
            await process.stdin.drain()
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                line = await process.stdout.readline()
        except TimeoutError as late:
            raise BenchError(f"{where}: no answer within {ANSWER_TIMEOUT_S:.0f} s") from late
        except ConnectionError as gone:
            raise BenchError(f"{where}: the worker has ended") from gone
        if not line:
            raise BenchError(f"{where}: the worker has ended with {await process.wait()}")
        status, *fields = line.decode().split()
        if status != "ok":
            raise BenchError(f"{where}: {' '.join(fields)}")
        return fields

    def _processor_ns(self) -> int:
        """Nanoseconds that the threads of the worker's process have run (proc(5), schedstat)."""
        if self._process is None:
            raise RuntimeError("the worker was not started")
        tasks = Path(f"/proc/{self._process.pid}/task").glob("*/schedstat")
        return sum(int(task.read_text().split()[0]) for task in tasks)

    async def version(self) -> str:
        """Name and version of what this peer runs."""
        return " ".join(await self.ask("version"))

    async def load(self, name: str, path: Path) -> int:
        """Load and start a module; nanoseconds."""
        return int((await self.ask(f"load {name} {path}"))[0])

    async def run(self, name: str, rounds: int) -> tuple[int, int]:
        """Nanoseconds and checksum of one call."""
        if self.peer.clock is Clock.WORKER:
            nanoseconds, checksum = await self.ask(f"run {name} {rounds}")
            return int(nanoseconds), int(checksum)
        begin = self._processor_ns()
        _, checksum = await self.ask(f"run {name} {rounds}")
        return max(1, self._processor_ns() - begin - self._idle_ns), int(checksum)

    async def startup(self, path: Path, count: int, rounds: int) -> list[int]:
        """Nanoseconds of each of ``count`` loads and starts, and of run(rounds) if that isn't 0."""
        return [int(field) for field in await self.ask(f"startup {path} {count} {rounds}")]

    async def usage(self, name: str) -> dict[str, int]:
        """Bytes by name; empty for peers that don't say."""
        return {
            key: int(value) for key, _, value in (field.partition("=") for field in await self.ask(f"usage {name}"))
        }
