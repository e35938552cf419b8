# SPDX-License-Identifier: Apache-2.0
"""A device under test: what the fixtures of `qemu.pytest_plugin` hand to a test. Plain calls, no asyncio in sight.

Contract: a Subject is on when the test gets it and goes down with the test. Its line is a relay (`faults`), so a test
may spoil bytes for every tool that speaks to `port`. Its own link is opened when it is first needed and lets go of the
line in `released()`, so that another tool can have it.

    run(module, ...) -> Result       flash, start, stop, status, logs, expect       reset, power_cut, power_on
    faults.drop = 0.01               port (for other tools, inside `with released()`)

Errors: what the device or the link refuse is raised as `agent.errors.WaselError`; `expect` raises AssertionError.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from agent.errors import BudgetError
from agent.follow import follow
from agent.link.device import Device as Link
from qemu.faulty_line import Faults, FaultyLine
from qemu.launcher import Device as QemuDevice
from qemu.launcher import start_device
from qemu.sim import SimOptions, Simulator, running_simulator

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

    from agent.link.modules import SlotStatus

__all__ = ["Machine", "QemuMachine", "Result", "SimMachine", "Subject"]

CALL_TIMEOUT_S = 600.0  # of any one call: a test must not hang for ever
EXPECT_TIMEOUT_S = 60.0
POLL_S = 0.01
STREAMS = {1: "stdout", 2: "stderr"}

T = TypeVar("T")


@dataclass(frozen=True)
class Result:
    """How a module ended."""

    state: str  # "exited", "trapped" or "refused"
    exit_code: int | None
    stdout: str
    stderr: str
    trap: str = ""
    backtrace: str = ""
    error: str = ""  # why it was refused


class Machine(Protocol):
    """What a subject runs on."""

    async def start(self) -> str:
        """Boot it, fresh but for its flash; returns the port."""

    async def reset(self) -> None:
        """Press its reset button and wait until it is ready; nobody holds the port."""

    async def power_cut(self) -> None:
        """Kill it."""


class SimMachine:
    """The host simulator."""

    def __init__(self, options: SimOptions) -> None:
        self.options = options
        self.simulator: Simulator | None = None
        self._stack = contextlib.AsyncExitStack()

    async def start(self) -> str:
        """Boot it; returns the port."""
        self.simulator = await self._stack.enter_async_context(running_simulator(self.options))
        return self.simulator.port

    async def reset(self) -> None:
        """Press its reset button."""
        if self.simulator is not None:
            await self.simulator.reset()

    async def power_cut(self) -> None:
        """Kill it."""
        if self.simulator is not None:
            await self.simulator.power_cut()
            await self._stack.aclose()
            self.simulator = None


class QemuMachine:
    """A device under QEMU."""

    def __init__(self, kernel: str, root: Path) -> None:
        self.kernel = kernel
        self.root = root
        self.device: QemuDevice | None = None

    async def start(self) -> str:
        """Boot it; returns the port."""
        self.device = await start_device("subject", kernel=self.kernel, root=self.root)
        return self.device.record.port

    async def reset(self) -> None:
        """Press its reset button."""
        if self.device is not None:
            await self.device.reset()

    async def power_cut(self) -> None:
        """Kill it."""
        if self.device is not None:
            await self.device.power_cut()
            self.device = None


class _Loop:
    """An event loop on a thread of its own, for callers that have none or must not block theirs with awaits."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="wasel-subject", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[object, object, T], timeout_s: float = CALL_TIMEOUT_S) -> T:
        """Wait for `work` done over there."""

        async def bounded() -> T:
            async with asyncio.timeout(timeout_s):
                return await work

        return asyncio.run_coroutine_threadsafe(bounded(), self._loop).result()

    def close(self) -> None:
        """End the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class Subject:
    """A device that a test does things to."""

    def __init__(self, machine: Machine, *, seed: int = 0) -> None:
        self.machine = machine
        self._loop = _Loop()
        self._line = FaultyLine(seed)
        self._link: Link | None = None
        self._cursors: dict[int, int] = {}
        self._seen: dict[int, str] = {}  # output that `expect` has not consumed
        try:
            self.power_on()
        except BaseException:
            self._loop.close()
            raise

    @property
    def port(self) -> str:
        """The device's serial port, behind the faulty line; one client at a time."""
        return self._line.port

    @property
    def faults(self) -> Faults:
        """What happens to bytes on the line; zero at first. Change it at any time."""
        return self._line.faults

    def power_on(self) -> None:
        """Boot the device after a power cut."""
        self._loop.run(self._power_on())

    def power_cut(self) -> None:
        """Take the power away: everything but flash is lost. `power_on` boots it again."""
        self._loop.run(self._power_cut())

    def reset(self) -> None:
        """Press the reset button."""
        self._loop.run(self._reset())

    def close(self) -> None:
        """End everything; the fixture does it."""
        try:
            self._loop.run(self._power_cut())
            self._loop.run(self._line.close())
        finally:
            self._loop.close()

    @contextlib.contextmanager
    def released(self) -> Iterator[str]:
        """Leave the line to another tool; gives the port."""
        self._loop.run(self._let_go())
        yield self.port

    def flash(self, module: Path | str | bytes, slot: int = 0) -> None:
        """Upload a module and make it the one that `start` starts."""
        self._loop.run(self._flash(_bytes(module), slot))

    def start(
        self,
        slot: int = 0,
        args: tuple[str, ...] = ("module",),
        env: tuple[tuple[str, str], ...] = (),
        fuel: int | None = None,
    ) -> None:
        """Start the slot's module; `args[0]` is its name. `logs` and `expect` begin here."""
        self._loop.run(self._start(slot, args, env, fuel))

    def stop(self, slot: int = 0) -> None:
        """Stop the slot's module."""
        self._loop.run(self._stop(slot))

    def status(self, slot: int = 0) -> SlotStatus:
        """Ask how the slot is."""
        return self._loop.run(self._status(slot))

    def run(
        self,
        module: Path | str | bytes,
        *args: str,
        slot: int = 0,
        env: tuple[tuple[str, str], ...] = (),
        fuel: int | None = None,
        timeout_s: float = 300.0,
    ) -> Result:
        """Flash and start a module and wait for its end.

        Raises:
            BudgetError: it did not end within `timeout_s` seconds of wall-clock time; it is stopped.

        """
        name = "module" if isinstance(module, bytes) else Path(module).name
        return self._loop.run(self._run(_bytes(module), (name, *args), slot, env, fuel, timeout_s))

    def logs(self, slot: int = 0) -> str:
        """Return what the module wrote since it was started, or since the last call of `logs` or `expect`."""
        self._loop.run(self._collect(slot))
        text, self._seen[slot] = self._seen.get(slot, ""), ""
        return text

    def expect(self, pattern: str, slot: int = 0, timeout_s: float = EXPECT_TIMEOUT_S) -> re.Match[str]:
        """Wait until the module's output matches a regular expression, and consume it up to there.

        Raises:
            AssertionError: it did not within `timeout_s`; the text holds what came instead.

        """
        return self._loop.run(self._expect(pattern, slot, timeout_s))

    async def _power_on(self) -> None:
        await self._line.open(await self.machine.start())
        self._cursors.clear()
        self._seen.clear()

    async def _power_cut(self) -> None:
        await self._let_go()
        await self.machine.power_cut()

    async def _reset(self) -> None:
        await self._let_go()
        await self.machine.reset()
        self._cursors.clear()
        self._seen.clear()

    async def _let_go(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            await link.close()
        await self._line.hang_up()

    async def _open(self) -> Link:
        if self._link is None:
            link = Link(self.port, name="subject")
            await link.open()
            self._link = link
        return self._link

    async def _flash(self, module: bytes, slot: int) -> None:
        link = await self._open()
        await link.upload(slot, module)
        await link.set_pending(hashlib.sha256(module).digest())

    async def _start(
        self, slot: int, args: tuple[str, ...], env: tuple[tuple[str, str], ...], fuel: int | None
    ) -> None:
        link = await self._open()
        self._cursors[slot] = (await link.slot(slot)).log_next
        self._seen[slot] = ""
        await link.start(slot, args, env, fuel=fuel, lossless=True)

    async def _stop(self, slot: int) -> None:
        await (await self._open()).stop(slot)

    async def _status(self, slot: int) -> SlotStatus:
        return await (await self._open()).slot(slot)

    async def _run(
        self,
        module: bytes,
        args: tuple[str, ...],
        slot: int,
        env: tuple[tuple[str, str], ...],
        fuel: int | None,
        timeout_s: float,
    ) -> Result:
        out: dict[str, bytearray] = {"stdout": bytearray(), "stderr": bytearray()}

        def take(record: tuple[int, int, bool, bytes]) -> None:
            _, stream, ends_line, data = record
            if stream in STREAMS:
                out[STREAMS[stream]].extend(data + b"\n" * ends_line)

        await self._flash(module, slot)
        await self._start(slot, args, env, fuel)
        link = await self._open()
        try:
            async with asyncio.timeout(timeout_s):
                status = await follow(link, slot, self._cursors[slot], take, slowest_s=POLL_S)
        except TimeoutError:
            await link.stop(slot)
            raise BudgetError(f"the module did not end within {timeout_s:g} s") from None
        self._cursors[slot] = status.log_next
        return Result(
            state=status.state,
            exit_code=status.exit if status.state == "exited" else None,
            stdout=out["stdout"].decode("utf-8", "replace"),
            stderr=out["stderr"].decode("utf-8", "replace"),
            trap=status.trap or "",
            backtrace=status.backtrace or "",
            error=status.error or "",
        )

    async def _collect(self, slot: int) -> None:
        link = await self._open()
        while True:
            answer = await link.logs(slot, self._cursors.get(slot, 0))
            for _, _, ends_line, data in answer.records:
                self._seen[slot] = self._seen.get(slot, "") + data.decode("utf-8", "replace") + "\n" * ends_line
            self._cursors[slot] = answer.next
            if not answer.records:
                return

    async def _expect(self, pattern: str, slot: int, timeout_s: float) -> re.Match[str]:
        compiled = re.compile(pattern, re.MULTILINE)
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + timeout_s
        while True:
            await self._collect(slot)
            seen = self._seen.get(slot, "")
            match = compiled.search(seen)
            if match is not None:
                self._seen[slot] = seen[match.end() :]
                return match
            if loop.time() >= deadline_s:
                state = (await self._status(slot)).state
                raise AssertionError(f"no {pattern!r} within {timeout_s:g} s; the slot is {state} and wrote: {seen!r}")
            await asyncio.sleep(POLL_S)


def _bytes(module: Path | str | bytes) -> bytes:
    return module if isinstance(module, bytes) else Path(module).read_bytes()
