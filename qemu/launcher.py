# SPDX-License-Identifier: Apache-2.0
"""Starts and stops devices: QEMU processes with a UART on a loopback TCP port and a QMP monitor on a Unix socket.

Contract: a started device is ready (its supervisor has said `wasel: ready`) and says that it runs the kernel asked for.
It outlives the process that started it, unless started through `running_device`, which takes it down in every case.
The UART serves one client at a time; a second one is connected when the first leaves.

    start_device(name) ──> Device ── reset(), quit(), power_cut()      running_device(...) as an async context manager
    attach(name) ────────> Device    (of a device that another process started)

Both sockets are bound here and handed to QEMU as open descriptors, so no port is ever guessed or polled for, and the
boot console is connected before the first instruction runs.
Does NOT: build the image (sel4_bridge.build does, when asked through `image_for`), speak SMP (agent.link).
Sources: QEMU's manual page (-chardev socket, fd=), QMP reference (quit, system_reset).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from qemu.qmp import QMPClient, QMPError

from agent.patience import happens
from agent.registry import check_name, device_dir
from agent.unix_path import short_path
from edge_engine.paths import prebuilt
from qemu.boards import DEFAULT_BOARD, Board, Kernel, find_board
from qemu.bound import bound
from qemu.errors import BootError, DeviceStateError, ImageError, MissingToolError
from qemu.records import Record, forget, lock_device, process_start, read_record, write_record
from sel4_bridge.hardware import find_hardware

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["READY_TIMEOUT_S", "Device", "attach", "find_qemu", "image_for", "running_device", "start_device"]

READY_TIMEOUT_S = 60.0  # generous: a loaded machine emulates slowly
QUIT_TIMEOUT_S = 5.0
KILL_TIMEOUT_S = 60.0  # until the system has taken down a process that was killed
QMP_TIMEOUT_S = 30.0
FLASH_NAME = "flash.img"
CONSOLE_LIMIT = 65536  # bytes of console text kept for an error message
READY_LINE = "wasel: ready"


@dataclass
class Device:
    """A QEMU process that is a device. `root` is the state folder, None for the user's own."""

    record: Record
    folder: Path
    process: subprocess.Popen[bytes] | None = None  # None: another process started it

    async def execute(self, command: str) -> object:
        """Run one QMP command; the monitor takes one client at a time.

        Raises:
            BootError: the monitor does not answer.

        """
        client = QMPClient(f"wasel-{self.record.name}")
        try:
            async with asyncio.timeout(QMP_TIMEOUT_S):
                with _unix_connection(Path(self.record.qmp)) as connection:
                    await client.connect(connection)
                    try:
                        return await client.execute(command)
                    finally:
                        with contextlib.suppress(QMPError, OSError, EOFError):
                            await client.disconnect()
        except (QMPError, OSError, EOFError) as error:  # TimeoutError is an OSError
            raise BootError(f"device {self.record.name}: QEMU's monitor failed at {command}: {error}") from error

    async def reset(self, timeout_s: float = READY_TIMEOUT_S) -> float:
        """Reset the machine as its reset button does; returns the wall-clock ms until it is ready again.

        Needs the UART for itself: whoever holds it must let go first.

        Raises:
            BootError: it did not get ready.

        """
        _, _, address = self.record.port.partition("://")
        host, _, port = address.rpartition(":")
        console = socket.create_connection((host, int(port)), timeout=QMP_TIMEOUT_S)
        started = time.monotonic()
        try:
            await self.execute("system_reset")
        except BootError:
            console.close()
            raise
        await _wait_ready(console, self.record, timeout_s)
        return (time.monotonic() - started) * 1000

    async def quit(self) -> None:
        """End QEMU in an orderly way through QMP, by force if that takes too long; gone in any case."""
        if self.record.alive:
            with contextlib.suppress(BootError):
                await self.execute("quit")
        await self._end(QUIT_TIMEOUT_S)

    async def power_cut(self) -> None:
        """Kill QEMU as a power cut would: nothing is flushed, nobody is asked."""
        await self._end(0)

    async def _end(self, patience_s: float) -> None:
        await asyncio.shield(_wait_gone(self.record, patience_s))
        if self.process is not None:
            self.process.wait()
        forget(self.folder)


async def _wait_gone(record: Record, patience_s: float) -> None:
    """Wait until the process of the record has ended; SIGKILL after `patience_s`."""
    try:
        handle = os.pidfd_open(record.pid)
    except ProcessLookupError:
        return
    loop = asyncio.get_running_loop()
    gone = asyncio.Event()
    loop.add_reader(handle, gone.set)  # readable once the process has ended: pidfd_open(2)
    try:
        if process_start(record.pid) != record.process_start:
            return  # somebody else's number by now
        if not await happens(gone, patience_s):
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
            async with asyncio.timeout(KILL_TIMEOUT_S):
                await gone.wait()
    finally:
        loop.remove_reader(handle)
        os.close(handle)


def _unix_connection(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with short_path(path) as short:
            connection.connect(short)
    except OSError:
        connection.close()
        raise
    return connection


def _unix_listener(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.unlink(missing_ok=True)
        with short_path(path) as short:
            listener.bind(short)
        listener.listen(1)
    except OSError:
        listener.close()
        raise
    return listener


def image_for(kernel: str, board: str = DEFAULT_BOARD) -> Path:
    """Build the image of a kernel and board where it is missing or stale, and return its path.

    Raises:
        ImageError: it cannot be built; the text holds the tool's output or what is missing.

    """
    ready = prebuilt("qemu", f"{kernel}.bin") if board == DEFAULT_BOARD else None
    if ready is not None:
        return ready
    # Imported here: starting a given image needs no compiler.
    from edge_engine.zig import ToolError  # noqa: PLC0415
    from qemu.image import ImageError as SystemImageError  # noqa: PLC0415
    from sel4_bridge.build import BuildError, build_device  # noqa: PLC0415

    try:
        return build_device(kernel, board=board).image
    except (BuildError, SystemImageError, ToolError) as error:
        raise ImageError(str(error)) from error


def find_qemu(board: Board) -> str:
    """Return the path of the board's QEMU.

    Raises:
        MissingToolError: it is not installed.

    """
    found = shutil.which(board.program)
    if found is None:
        raise MissingToolError(f"{board.program} is not installed: apt-get install {board.package}")
    return found


def _flash_arguments(board: Board, folder: Path) -> list[str]:
    """Give QEMU the device's flash, a file made blank and without taking room if it is missing: it outlives QEMU."""
    flash = find_hardware(board.name).flash
    if flash is None:
        return []
    path = folder / FLASH_NAME
    with path.open("ab") as file:
        if file.tell() != flash.size:
            file.truncate(flash.size)
    return [argument.replace("{file}", str(path).replace(",", ",,")) for argument in board.flash]


def _arguments(board: Board, kernel: Kernel, image: Path, folder: Path, *, uart: int, monitor: int) -> list[str]:
    """Return QEMU's argument vector; `uart` and `monitor` are listening sockets that it inherits."""
    return [
        find_qemu(board),
        *("-name", f"wasel-{folder.name}", "-nodefaults", "-display", "none"),
        *("-machine", kernel.machine, "-m", f"{kernel.memory_mib}M"),
        *(() if board.cpu is None else ("-cpu", board.cpu)),
        # wait=on: our own connection is already in the queue, so nothing that the device says at boot is lost.
        *("-chardev", f"socket,id=uart,fd={uart},server=on,wait=on,nodelay=on", "-serial", "chardev:uart"),
        *_flash_arguments(board, folder),
        *("-chardev", f"socket,id=qmp,fd={monitor},server=on,wait=off", "-mon", "chardev=qmp,mode=control"),
        *kernel.load_arguments(image),
    ]


async def start_device(
    name: str,
    *,
    kernel: str | None = None,
    board: str = DEFAULT_BOARD,
    image: Path | None = None,
    root: Path | None = None,
    timeout_s: float = READY_TIMEOUT_S,
    outlives_us: bool = True,
    extra: tuple[str, ...] = (),
) -> Device:
    """Start a device and wait until it is ready; it outlives this process unless told otherwise.

    `kernel` None: the board's first. `image` None: the current one, built first if need be. `root` None: the user's
    state folder. `extra`: further arguments of QEMU, for measurements.

    Raises:
        UsageError: no such board or kernel, or a name that may not be.
        MissingToolError, ImageError: QEMU or the image is missing.
        DeviceStateError: a device of that name is up.
        BootError: it did not get ready within `timeout_s`, and is gone again.

    """
    chosen_board = find_board(board)
    chosen_kernel = chosen_board.kernel(kernel)
    check_name(name)
    find_qemu(chosen_board)
    if image is None:
        image = await asyncio.to_thread(image_for, chosen_kernel.name, chosen_board.name)
    with lock_device(name, root) as folder:
        old = read_record(folder)
        if old is not None and old.alive:
            raise DeviceStateError(f"device {name} is up already (process {old.pid}, {old.kernel_title})")
        forget(folder)
        started = time.monotonic()
        device, console = _spawn(name, chosen_board, chosen_kernel, image, folder, outlives_us=outlives_us, extra=extra)
        try:
            write_record(folder, device.record)  # before it is ready: whoever comes after a crash finds the process
            await _wait_ready(console, device.record, timeout_s)
            device.record = replace(device.record, ready_ms=round((time.monotonic() - started) * 1000, 1))
            write_record(folder, device.record)
        except BaseException:
            await device.power_cut()
            raise
    return device


def _spawn(
    name: str, board: Board, kernel: Kernel, image: Path, folder: Path, *, outlives_us: bool, extra: tuple[str, ...]
) -> tuple[Device, socket.socket]:
    """Start QEMU; returns the device and the connection to its console."""
    log = folder / "qemu.log"
    monitor_path = folder / "qmp.sock"
    with socket.create_server(("127.0.0.1", 0), backlog=1) as uart, _unix_listener(monitor_path) as monitor:
        port = uart.getsockname()[1]
        console = socket.create_connection(("127.0.0.1", port), timeout=QMP_TIMEOUT_S)
        arguments = _arguments(board, kernel, image, folder, uart=uart.fileno(), monitor=monitor.fileno())
        arguments += extra
        with log.open("wb") as output:
            process = subprocess.Popen(
                arguments if outlives_us else bound(arguments),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=(uart.fileno(), monitor.fileno()),
                start_new_session=True,  # Ctrl-C at our terminal is not the device's
            )
    record = Record(
        name=name,
        pid=process.pid,
        process_start=process_start(process.pid) or 0,
        port=f"socket://127.0.0.1:{port}",
        qmp=str(monitor_path),
        log=str(log),
        board=board.name,
        kernel=kernel.name,
        kernel_title=kernel.title,
        image=str(image),
        image_bytes=image.stat().st_size,
        ready_ms=None,
    )
    return Device(record, folder, process), console


async def _wait_ready(console: socket.socket, record: Record, timeout_s: float) -> None:
    """Read the console until the device is ready and check that it is the kernel asked for. Closes the connection."""
    lines: list[str] = []
    console.setblocking(False)
    reader, writer = await asyncio.open_connection(sock=console)
    try:
        async with asyncio.timeout(timeout_s):
            while not lines or lines[-1] != READY_LINE:
                raw = await reader.readline()
                if not raw.endswith(b"\n"):
                    raise BootError(f"device {record.name}: QEMU ended during boot: {_last_words(record, lines)}")
                lines.append(raw.decode("utf-8", "replace").strip("\r\n\0 "))
                del lines[: -CONSOLE_LIMIT // 1024]
    except TimeoutError:
        raise BootError(
            f"device {record.name}: not ready after {timeout_s:g} s: {_last_words(record, lines)}"
        ) from None
    except (ConnectionError, ValueError) as error:
        raise BootError(f"device {record.name}: {error} during boot: {_last_words(record, lines)}") from error
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
    if not any(line.startswith("wasel ") and line.endswith(f" on {record.kernel_title}") for line in lines):
        raise BootError(f"device {record.name}: it should run {record.kernel_title} but says: {' / '.join(lines)}")


def _last_words(record: Record, lines: list[str]) -> str:
    """Return the console's last lines, else QEMU's own."""
    if not lines:
        with contextlib.suppress(OSError):
            lines = Path(record.log).read_text(encoding="utf-8", errors="replace").splitlines()
    return " / ".join(lines[-5:]) or "the console stayed silent"


def attach(name: str, root: Path | None = None) -> Device:
    """Find a device that is up.

    Raises:
        DeviceStateError: there is none of that name, or its process has ended.

    """
    folder = device_dir(name, root)
    record = read_record(folder)
    if record is None:
        raise DeviceStateError(f"no device {name}: start it with: wasel device up {name}")
    if not record.alive:
        raise DeviceStateError(f"device {name} has ended by itself; its log is {record.log}")
    return Device(record, folder)


@contextlib.asynccontextmanager
async def running_device(
    name: str = "device",
    *,
    kernel: str | None = None,
    board: str = DEFAULT_BOARD,
    image: Path | None = None,
    root: Path | None = None,
    timeout_s: float = READY_TIMEOUT_S,
    extra: tuple[str, ...] = (),
) -> AsyncIterator[Device]:
    """Run a device for the time of an `async with` block; `root` None: a temporary folder that goes with it."""
    with contextlib.ExitStack() as stack:
        if root is None:
            root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="wasel-")))
        device = await start_device(
            name,
            kernel=kernel,
            board=board,
            image=image,
            root=root,
            timeout_s=timeout_s,
            outlives_us=False,
            extra=extra,
        )
        try:
            yield device
        finally:
            await device.power_cut()
