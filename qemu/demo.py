# SPDX-License-Identifier: Apache-2.0
"""`python -m qemu.demo [--kernel standin|sel4]`: the whole path of one module, shown once (`make demo`, `make sel4`).

Starts a broker, a device and an agent, deploys examples/hello version 1, shows its output as it arrives over MQTT,
deploys version 2, shows the switch and `wasel ps`, prints what was measured. Exit code 0 only if both outputs are
exactly the expected ones. Everything that was started is down when it ends, by whatever way.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agent.errors import WaselError
from agent.link.device import Device as Link
from agent.text import printable, size
from edge_engine.paths import BUILD, ROOT
from edge_engine.zig import WASI, ToolError, compile_objects, link
from qemu.boards import DEFAULT_BOARD, DEFAULT_KERNEL, find_board
from qemu.broker import find_mosquitto, running_broker
from qemu.errors import QemuError
from qemu.launcher import find_qemu, image_for, running_device
from qemu.programs import run_wasel, running_agent
from qemu.runner import run_bounded
from qemu.watch import watch_device
from sel4_bridge.build import SDK_VARIABLE

if TYPE_CHECKING:
    from agent.link.modules import StatusAnswer
    from agent.messages import LogLine, State
    from qemu.broker import Broker
    from qemu.launcher import Device
    from qemu.watch import Watch

__all__ = ["main", "run_demo"]

NAME = "demo"
SLOT = 0
WHO = "demo"
MODULE_SIZE = 64 * 1024  # bytes; smaller modules are padded with a custom section so that the times mean something
STACK_FLAG = "-Wl,-z,stack-size=65536"  # bytes; zig's own default of 16 MiB is more than a slot's arena
STEP_TIMEOUT_S = 180.0
LAST = b"there are"  # how the last line of each version begins
EXPECTED = {
    1: ("hello, demo: this is version 1", "argument 1: over MQTT", "there are 168 primes below 1000"),
    2: (
        "hello, demo: this is version 2",
        "argument 1: over MQTT",
        "new in version 2: the square root of 2 is about 1.414214",
        "there are 303 primes below 2000",
    ),
}


class DemoError(QemuError):
    """A step of the demo failed, or showed something else than it should."""


@dataclass(frozen=True)
class Alone:
    """Milliseconds over the serial port alone, without agent and broker."""

    push_ms: float  # upload of MODULE_SIZE bytes, first request to last answer
    start_ms: float  # start request to the first line of output in the device's log


def say(text: str = "") -> None:
    """Print a line at once: people watch."""
    print(text, flush=True)


def _leb(number: int) -> bytes:
    """Five-byte LEB128, so that a size field has a known width."""
    return bytes([*((number >> shift & 0x7F | 0x80) for shift in (0, 7, 14, 21)), number >> 28 & 0x7F])


def padded(module: bytes, wanted: int) -> bytes:
    """Append a custom section (core spec 5.5.3) that makes the module `wanted` bytes long, if it is shorter."""
    name = b"\x07padding"
    overhead = 1 + 5 + len(name)
    rest = wanted - len(module) - overhead
    return module if rest < 0 else module + b"\x00" + _leb(len(name) + rest) + name + bytes(rest)


@dataclass(frozen=True)
class Hello:
    """A compiled version of examples/hello."""

    version: int
    path: Path
    digest: bytes


def build_hello(version: int) -> Hello:
    """Compile examples/hello from C for wasm32-wasi."""
    folder = BUILD / "demo"
    flags = ("-O2", "-s", STACK_FLAG)
    objects = compile_objects(
        [ROOT / "examples" / "hello" / "hello.c"], folder / f"{version}", WASI, (*flags, f"-DVERSION={version}")
    )
    linked = link(objects, folder / f"{version}" / "hello.wasm", WASI, flags)
    path = folder / f"hello-{version}.wasm"
    module = padded(linked.read_bytes(), MODULE_SIZE)
    path.write_bytes(module)
    return Hello(version, path, hashlib.sha256(module).digest())


async def _command(state: Path, *arguments: str) -> str:
    """Run `wasel ARGUMENTS` and return what it printed.

    Raises:
        DemoError: it failed; its last words are in the text.

    """
    finished = await run_wasel(state, *arguments, timeout_s=STEP_TIMEOUT_S)
    if finished.code != 0:
        words = printable(finished.stderr.decode("utf-8", "replace").strip()) or "it does not say why"
        raise DemoError(f"wasel {' '.join(arguments)}: exit code {finished.code}: {words}")
    return finished.stdout.decode("utf-8", "replace").rstrip()


async def _until_online(agent: asyncio.subprocess.Process, watch: Watch) -> None:
    """Wait until the agent reports that the device answers it."""
    ended = asyncio.ensure_future(agent.wait())
    online = asyncio.ensure_future(watch.wait(watch.states, lambda it: it.online and it.link, STEP_TIMEOUT_S))
    try:
        await asyncio.wait({ended, online}, return_when=asyncio.FIRST_COMPLETED)
        if not online.done():
            raise DemoError(f"the agent ended with exit code {agent.returncode}")
        online.result()
    except TimeoutError:
        raise DemoError(f"the agent did not report within {STEP_TIMEOUT_S:g} s") from None
    finally:
        ended.cancel()
        online.cancel()
        await asyncio.gather(ended, online, return_exceptions=True)


async def _deploy(hello: Hello, state: Path, broker: Broker, watch: Watch) -> float:
    """Deploy one version and wait until its whole output has come over MQTT and is the expected one.

    Gives the milliseconds from the desired state's way over the broker to the first line of output.
    """
    version, digest = hello.version, hello.digest
    first_desired, first_log, first_state = len(watch.desired), len(watch.logs), len(watch.states)

    def ends(entry: LogLine) -> bool:
        return entry.data.startswith(LAST)

    def done(state: State) -> bool:
        return any(s.slot == SLOT and s.digest == digest and s.state not in {"running", "empty"} for s in state.slots)

    try:
        async with asyncio.TaskGroup() as group:  # a deploy that fails ends the waiting at once
            group.create_task(
                _command(
                    state,
                    *(
                        "deploy",
                        str(hello.path),
                        "--device",
                        NAME,
                        "--slot",
                        str(SLOT),
                        "--broker",
                        broker.url,
                        "--no-native",
                    ),
                    *("--arg", "over MQTT", "--env", f"WHO={WHO}"),
                )
            )
            published = group.create_task(watch.wait(watch.desired, lambda _: True, STEP_TIMEOUT_S, first_desired))
            line = group.create_task(watch.wait(watch.logs, lambda _: True, STEP_TIMEOUT_S, first_log))
            group.create_task(watch.wait(watch.logs, ends, STEP_TIMEOUT_S, first_log))
            group.create_task(watch.wait(watch.states, done, STEP_TIMEOUT_S, first_state))
    except* TimeoutError:
        raise DemoError(f"version {version}: nothing more from the agent for {STEP_TIMEOUT_S:g} s") from None
    except* WaselError as failures:
        raise failures.exceptions[0] from None
    lines = tuple(entry.message.data.decode("utf-8", "replace") for entry in watch.logs[first_log:])
    if lines != EXPECTED[version]:
        raise DemoError(f"version {version} printed {lines!r}, expected {EXPECTED[version]!r}")
    return (line.result().at_s - published.result().at_s) * 1000


async def _measure_alone(device: Device, hello: Hello) -> Alone:
    """Reset the device, push a module to it and start it, without anybody else on the port."""
    await device.reset()
    module = await asyncio.to_thread(hello.path.read_bytes)
    async with Link(device.record.port, name=NAME) as opened:
        started = time.monotonic()
        await opened.upload(SLOT, module)
        push_ms = (time.monotonic() - started) * 1000
        await opened.set_pending(hello.digest)
        started = time.monotonic()
        await opened.start(SLOT, (hello.path.name,))
        async with asyncio.timeout(STEP_TIMEOUT_S):
            while not (await opened.logs(SLOT, 0)).records:  # each request takes about as long as a look is worth
                if (await opened.slot(SLOT)).state != "running":
                    break
        return Alone(push_ms, (time.monotonic() - started) * 1000)


def _agents_last_words(log: Path) -> None:
    """Show the end of the agent's log after a failure."""
    with contextlib.suppress(OSError):
        for line in log.read_text(encoding="utf-8", errors="replace").splitlines()[-10:]:
            print(f"agent: {printable(line)}", file=sys.stderr)


def _show_log(entry: LogLine) -> None:
    stream = {1: "stdout", 2: "stderr"}.get(entry.stream, "system")
    say(f"    [slot {entry.slot} {stream}] {printable(entry.data.decode('utf-8', 'replace'))}")


def _report(device: Device, status: StatusAnswer, first_line_ms: dict[int, float], alone: Alone) -> None:
    """Print what was measured; wall clock, on this machine."""
    record = device.record
    module = size(MODULE_SIZE)
    say(f"measured on {record.kernel_title}:")
    say(f"    image          {record.image_bytes} bytes ({size(record.image_bytes)}), kernel and protection domains")
    say(f"    arena          {status.arena} bytes ({size(status.arena)}) for each of {len(status.slots)} slots")
    say(f"    boot           {record.ready_ms:.0f} ms from QEMU's start to ready ({status.boot_ms} ms of guest time)")
    say(f"    push           {alone.push_ms:.0f} ms for {module} over the serial port")
    say(f"    start          {alone.start_ms:.0f} ms from the start request to the first line of output")
    for version, time_ms in first_line_ms.items():
        say(f"    over MQTT      {time_ms:.0f} ms from publish to the first line of version {version}, {module}")


async def _show(
    hellos: list[Hello], state: Path, broker: Broker, watch: Watch, log: Path, first_line_ms: dict[int, float]
) -> None:
    """Run the agent and deploy one version after the other."""
    try:
        async with running_agent(state, broker, NAME, log) as agent:
            await _until_online(agent, watch)
            say("agent: online, holds the device's serial port")
            before = "nothing"
            for hello in hellos:
                say(f"deploying version {hello.version} as the device's desired state; its output over MQTT:")
                first_line_ms[hello.version] = await _deploy(hello, state, broker, watch)
                now = f"{hello.digest.hex()[:12]} (version {hello.version})"
                say(f"    slot {SLOT} switched from {before} to {now}")
                before = now
            say("$ wasel ps")
            say(await _command(state, "ps", "--device", NAME))
    except WaselError:
        _agents_last_words(log)
        raise


async def run_demo(kernel: str) -> None:
    """Show everything once.

    Raises:
        WaselError: a step failed; the text says which and why.

    """
    title = find_board(DEFAULT_BOARD).kernel(kernel).title
    # Before anything is built: what is missing shall be said first, and in one line.
    find_qemu(find_board(DEFAULT_BOARD))
    find_mosquitto()
    if kernel == "sel4" and not os.environ.get(SDK_VARIABLE):
        raise DemoError(f"genuine seL4 needs the Microkit SDK 2.0.1: set {SDK_VARIABLE} to its folder")
    say(f"wasel demo on {title}; building its image where it is not built already")
    started = time.monotonic()
    image = await asyncio.to_thread(image_for, kernel)
    say(f"device image: {image.stat().st_size} bytes, after {time.monotonic() - started:.1f} s")
    try:
        hellos = [await asyncio.to_thread(build_hello, version) for version in EXPECTED]
    except ToolError as error:
        raise DemoError(f"examples/hello does not compile: {error}") from error
    say(f"examples/hello compiled from C, versions 1 and 2, each padded to {size(MODULE_SIZE)}")

    first_line_ms: dict[int, float] = {}
    with tempfile.TemporaryDirectory(prefix="wasel-demo-") as temporary:
        folder = Path(temporary)
        state = folder / "state"
        async with contextlib.AsyncExitStack() as stack:
            broker = await stack.enter_async_context(running_broker(folder))
            say(f"broker: mosquitto at {broker.url}, this machine only")
            device = await stack.enter_async_context(running_device(NAME, kernel=kernel, image=image, root=state))
            say(f"device {NAME}: up on {title}, ready after {device.record.ready_ms:.0f} ms")
            async with Link(device.record.port, name=NAME) as opened:
                status = await opened.status()
            watch = await stack.enter_async_context(watch_device(broker, NAME, _show_log))
            await _show(hellos, state, broker, watch, folder / "agent.log", first_line_ms)
            _report(device, status, first_line_ms, await _measure_alone(device, hellos[-1]))
    say("everything is down again")


def main() -> int:
    """Parse the command line, run the demo, turn a failure into one line and an exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kernel", default=DEFAULT_KERNEL, help="standin or sel4")
    options = parser.parse_args()
    try:
        run_bounded(run_demo(options.kernel))
    except WaselError as error:
        print(f"wasel demo: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("wasel demo: interrupted; everything is down again", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
