# SPDX-License-Identifier: Apache-2.0
"""Starts and stops the host simulator, and runs modules on it: `wasel run --on sim`.

Contract: a started simulator is ready (its supervisor has said `wasel: ready`), listens on a loopback TCP port as a
device under QEMU does, and lives no longer than its `async with` block. `run` is the runner `sim`; with `replay` it
runs a recording again, prints what the module printed then, and ends as it ended then.

The simulator is not seL4: domains share an address space and are kept apart by page permissions alone.
docs/simulator.md says what that means for a test.

Errors::

    qemu.errors.ImageError      it does not build
    qemu.errors.BootError       it did not get ready
    agent.errors.UsageError     an option that it does not have; a recording of something else
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import secrets
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agent.commands.logs import write_record
from agent.errors import UsageError, WaselError
from agent.follow import outcome
from agent.link.device import Device as Link
from agent.link.frames import FrameDecoder, Message
from agent.link.modules import Command, LogsAnswer, SlotStatus, StatusAnswer
from qemu.errors import BootError, DeviceStateError, ImageError
from qemu.runner import SEED_SIZE, run_bounded, run_module
from qemu.simulator_files import installed_simulator
from sel4_bridge.files import read_module

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from agent.run_request import RunRequest
    from qemu.simulator_files import SimulatorBuild

__all__ = ["POWER_CUT_EXIT", "READY_TIMEOUT_S", "SimOptions", "Simulator", "replay", "run", "running_simulator"]

READY_LINE = b"wasel: ready"
READY_TIMEOUT_S = 60.0  # generous: a loaded machine is slow
END_TIMEOUT_S = 60.0  # generous: a recording gets its end on a busy machine, too
POWER_CUT_EXIT = 75  # main.c: the power went as `cut` asked
TIMES = ("real", "virtual")
SLOT = 0
MODULES_GROUP = 64


@dataclass(frozen=True)
class SimOptions:
    """How a simulator runs; what is not given is as on a device."""

    time: str = "real"  # or "virtual"
    seed: int | None = None  # of scheduling
    rtc: int | None = None  # seconds since the epoch at boot; None: now, or a fixed day in virtual time
    record: Path | None = None
    flash: Path | None = None  # file behind the NOR flash
    cut: str | None = None  # "N", "N:before", "N:half", "N:after": power goes at the Nth program or erase
    sanitize: bool = False  # AddressSanitizer and UndefinedBehaviorSanitizer

    def arguments(self) -> list[str]:
        """Return the program's arguments."""
        if self.time not in TIMES:
            raise UsageError(f"--time {self.time}: there is: {', '.join(TIMES)}")
        if self.record is not None and self.flash is not None:
            raise UsageError("--record: a recording begins with erased flash; leave the flash file out")
        named = {"--time": self.time, "--seed": self.seed, "--rtc": self.rtc, "--record": self.record}
        named |= {"--flash": self.flash, "--cut": self.cut}
        return [text for name, value in named.items() if value is not None for text in (name, str(value))]


def build(*, sanitize: bool = False) -> SimulatorBuild:
    """Build the simulator where it is missing or stale.

    Raises:
        ImageError: it cannot be built; the text holds the tool's output.

    """
    ready = None if sanitize else installed_simulator()
    if ready is not None:
        return ready
    # Imported here: a wheel's user, replaying and helping need no compiler.
    from edge_engine.zig import ToolError  # noqa: PLC0415
    from qemu.simulator_build import build_simulator  # noqa: PLC0415

    try:
        return build_simulator(sanitize=sanitize)
    except ToolError as error:
        raise ImageError(str(error)) from error


@dataclass
class Simulator:
    """A running simulator."""

    port: str  # pyserial URL of the UART
    process: subprocess.Popen[bytes]
    ready_ms: float  # wall clock from its start to `wasel: ready`

    async def reset(self, timeout_s: float = READY_TIMEOUT_S) -> float:
        """Press its reset button; returns the wall-clock ms until it is ready again. Flash stays, memory does not.

        Raises:
            BootError: it did not get ready.

        """
        console = _connect(self.port)
        started = time.monotonic()
        await asyncio.sleep(0)  # the connection is queued before the signal
        self.process.send_signal(signal.SIGHUP)
        await _wait_ready(console, self.process, timeout_s)
        return (time.monotonic() - started) * 1000

    async def quit(self) -> None:
        """End it in an orderly way: a recording gets its end."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        await self.wait()

    async def power_cut(self) -> None:
        """Kill it as a power cut would: what flash was told is there, nothing else."""
        if self.process.poll() is None:
            self.process.kill()
        await self.wait()

    async def wait(self, timeout_s: float = END_TIMEOUT_S) -> int:
        """Wait for its end and return its exit code, negative for a signal; by force after `timeout_s`."""
        try:
            return await asyncio.to_thread(self.process.wait, timeout_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return await asyncio.to_thread(self.process.wait, timeout_s)


def _connect(port: str) -> socket.socket:
    host, _, number = port.removeprefix("socket://").rpartition(":")
    return socket.create_connection((host, int(number)), timeout=END_TIMEOUT_S)


async def _wait_ready(console: socket.socket, process: subprocess.Popen[bytes], timeout_s: float) -> None:
    """Read the console until the device is ready; closes the connection."""
    console.setblocking(False)
    reader, writer = await asyncio.open_connection(sock=console)
    lines: list[bytes] = []
    try:
        async with asyncio.timeout(timeout_s):
            while not lines or lines[-1] != READY_LINE:
                line = await reader.readline()
                if not line.endswith(b"\n"):
                    raise BootError(await _early_end(process))
                lines.append(line.strip())
    except TimeoutError:
        raise BootError(f"the simulator was not ready after {timeout_s:g} s; it said {lines[-3:]}") from None
    except ConnectionError as error:
        raise BootError(await _early_end(process)) from error
    except ValueError as error:
        raise BootError(f"the simulator said something during boot that is no line: {error}") from error
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def _early_end(process: subprocess.Popen[bytes]) -> str:
    """Say how a process ended that has closed its console."""
    try:
        code = await asyncio.to_thread(process.wait, END_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return "the simulator closed its console during boot and does not end"
    return f"the simulator ended during boot with {code}; its last words are on stderr"


@contextlib.asynccontextmanager
async def running_simulator(
    options: SimOptions | None = None, *, timeout_s: float = READY_TIMEOUT_S
) -> AsyncIterator[Simulator]:
    """Run a simulator for the time of an `async with` block.

    Raises:
        ImageError: it does not build.
        BootError: it did not get ready.
        UsageError: an option that it does not have.

    """
    options = options or SimOptions()
    arguments = options.arguments()
    built = await asyncio.to_thread(build, sanitize=options.sanitize)
    with socket.create_server(("127.0.0.1", 0), backlog=4) as uart:
        port = f"socket://127.0.0.1:{uart.getsockname()[1]}"
        console = _connect(port)
        started = time.monotonic()
        command = [str(built.program), "--domains", str(built.domains), "--digest", built.digest]
        command += ["--uart", str(uart.fileno()), "--wait", *arguments]
        process = subprocess.Popen(  # noqa: ASYNC220 - returns at once; waited for elsewhere
            command, stdin=subprocess.DEVNULL, pass_fds=(uart.fileno(),), start_new_session=True
        )
    simulator = Simulator(port, process, 0)
    try:
        await _wait_ready(console, process, timeout_s)
        simulator.ready_ms = round((time.monotonic() - started) * 1000, 1)
        yield simulator
    finally:
        await asyncio.shield(simulator.quit())


@dataclass(frozen=True)
class Replayed:
    """What a recording's run said: output records of the slot, and its last status."""

    records: tuple[tuple[int, int, bool, bytes], ...]
    status: SlotStatus | None


def replay(recording: Path, *, sanitize: bool = False, slot: int = SLOT, timeout_s: float | None = None) -> Replayed:
    """Run a recording again.

    Raises:
        DeviceStateError: it is no recording of this build, or the run took another way.
        ImageError: the simulator does not build.

    """
    built = build(sanitize=sanitize)
    command = [str(built.program), "--domains", str(built.domains), "--digest", built.digest]
    try:
        done = subprocess.run(
            [*command, "--replay", str(recording)], capture_output=True, check=False, timeout=timeout_s
        )
    except subprocess.TimeoutExpired:
        raise DeviceStateError(f"{recording}: the replay was not done after {timeout_s} s") from None
    if done.returncode != 0:
        text = done.stderr.decode("utf-8", "replace").strip()
        raise DeviceStateError(f"{recording}: cannot be replayed: {text or f'exit {done.returncode}'}")
    return _read_answers(done.stdout, slot)


def _read_answers(console: bytes, slot: int) -> Replayed:
    """Find the answers to requests for logs and status in what the device sent."""
    records: dict[int, tuple[int, int, bool, bytes]] = {}
    status: SlotStatus | None = None
    for event in FrameDecoder().feed(console):
        if not isinstance(event, Message):
            continue
        group, command = int.from_bytes(event.data[4:6], "big"), event.data[7]
        if group != MODULES_GROUP:
            continue
        if command == Command.STATUS:
            status = next((one for one in StatusAnswer.loads(event.data).slots if one.slot == slot), status)
        elif command == Command.LOGS:
            records |= {record[0]: record for record in LogsAnswer.loads(event.data).records}
    return Replayed(tuple(records[number] for number in sorted(records)), status)


def run(request: RunRequest) -> int:
    """Run the module on the simulator, or a recording of it again, and return its exit code.

    Raises:
        WaselError: what the module, the simulator or their link did; UsageError for options that contradict.

    """
    if request.replay is not None:
        return _run_again(request, request.replay)
    return run_bounded(_run(request))


async def _run(request: RunRequest) -> int:
    if request.native:
        raise UsageError("--native: not supported with --on sim: nothing would contain the code; --on qemu has it")
    module = await asyncio.to_thread(read_module, request, "")
    seed = secrets.token_bytes(SEED_SIZE)
    if request.seed is not None:
        seed = hashlib.sha256(b"wasel-sim %d" % request.seed).digest()
    options = SimOptions(time=request.time or "real", seed=request.seed, record=request.record)
    async with running_simulator(options) as simulator, Link(simulator.port, name="simulator") as link:
        return await run_module(link, request, module, seed)


def _run_again(request: RunRequest, recording: Path) -> int:
    given: dict[str, object] = {
        "--record": request.record,
        "--seed": request.seed,
        "--time": request.time,
        "--fuel": request.fuel,
    }
    given |= {"--arg": request.args or None, "--env": request.env or None, "--dir": request.dirs or None}
    given |= {"--grant": request.grants or None}
    for name, value in given.items():
        if value is not None:
            raise UsageError(f"{name}: a replay has what was recorded; leave it out")
    if not recording.is_file():
        raise UsageError(f"--replay {recording}: no such file")
    again = replay(recording, timeout_s=request.timeout_s)
    if again.status is None:
        raise WaselError(f"{recording}: nobody asked for the module's status in it, so its end is not known")
    if not request.dirs and again.status.digest != hashlib.sha256(request.module.read_bytes()).digest():
        raise UsageError(f"{request.module}: not the module that {recording} ran")
    for record in again.records:
        write_record(SLOT, record, json=False)
    return outcome(again.status, str(request.module))


async def _serve(options: SimOptions) -> None:
    async with running_simulator(options) as simulator:
        print(f"simulator ready on {simulator.port}")
        await simulator.wait(float("inf"))


def main() -> None:
    """`python -m qemu.sim [OPTIONS]`: a simulator until Ctrl-C; prints its port."""
    parser = argparse.ArgumentParser(description="Run the host simulator until it is stopped.")
    parser.add_argument("--time", choices=TIMES, default="real")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--record", type=Path)
    parser.add_argument("--flash", type=Path)
    parser.add_argument("--cut")
    parser.add_argument("--sanitize", action="store_true")
    chosen = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(SimOptions(**vars(chosen))))


if __name__ == "__main__":
    main()
