# SPDX-License-Identifier: Apache-2.0
"""Byte pipes to a device, on asyncio: `socket://host:port`, a Unix socket's path, or any pyserial URL.

Contract: `open_port` gives an open `Port`; bytes arrive through `on_data`, the end of the line through `on_lost`, once,
both on the event loop; nothing arrives after `close`. `write` waits until the bytes are taken and raises
`LinkLostError` on a dead port. Sockets are plain asyncio streams; everything else is a pyserial port whose descriptor
the loop watches, or, where it has none (`loop://`, `rfc2217://`), that a thread reads.
It knows nothing of frames.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import termios
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from agent.errors import LinkLostError, PortError
from agent.unix_path import short_path

if TYPE_CHECKING:
    from collections.abc import Callable

    import serial

__all__ = ["Port", "open_port"]

BAUD = 115200
READ_SIZE = 65536
WRITE_TIMEOUT_S = 10.0
THREAD_POLL_S = 0.05


class Port(Protocol):
    """An open byte pipe."""

    async def write(self, data: bytes) -> None:
        """Send bytes; returns when the port has taken them."""

    async def close(self) -> None:
        """Close; no callback comes after it."""


async def open_port(
    url: str, on_data: Callable[[bytes], None], on_lost: Callable[[str], None], timeout_s: float = 5.0
) -> Port:
    """Open a port or raise `PortError`."""
    try:
        async with asyncio.timeout(timeout_s):
            if url.startswith("socket://"):
                parts = urlsplit(url)
                if parts.hostname is None or parts.port is None:
                    raise PortError(f"{url}: needs a host and a port, as in socket://127.0.0.1:5000")
                return await _StreamPort.open_tcp(parts.hostname, parts.port, on_data, on_lost)
            if "://" not in url and await asyncio.to_thread(Path(url).is_socket):
                return await _StreamPort.open_unix(url, on_data, on_lost)
            return _SerialPort(await asyncio.to_thread(_open_serial, url), on_data, on_lost)
    except TimeoutError:
        raise PortError(f"{url}: cannot be opened within {timeout_s:g} s; is the device there?") from None
    except (OSError, ValueError) as error:  # serial.SerialException is an OSError
        raise PortError(f"{url}: cannot be opened: {_reason(url, error)}") from error


_NO_PORT = "there is no such port; 'wasel doctor' lists those that there are"
_NOT_SERIAL = "it is no serial port; 'wasel doctor' lists those that there are"
_BUSY = "another program holds it; end that, or go through its agent with --device NAME"
_DENIED = "permission denied; join the group that owns it, sudo usermod -aG dialout $USER, and log in again"
_REASONS = {
    errno.ENOENT: _NO_PORT,
    errno.ENODEV: _NO_PORT,
    errno.ENXIO: _NO_PORT,
    errno.EACCES: _DENIED,
    errno.EPERM: _DENIED,
    errno.EBUSY: _BUSY,
    errno.EAGAIN: _BUSY,
    errno.ENOTTY: _NOT_SERIAL,
    errno.EINVAL: _NOT_SERIAL,
    errno.ECONNREFUSED: "nobody listens there; is the device up, and is the address right?",
}


def _reason(url: str, error: OSError | ValueError) -> str:
    """Say in a few words why a port does not open, and what to do."""
    known = [getattr(error, "errno", None), *error.args[:1]]
    if isinstance(error.__context__, termios.error):  # pyserial tells it in its text alone
        known += error.__context__.args[:1]
    number = next((one for one in known if one in _REASONS), None)
    if number is not None:
        return _REASONS[number]
    if isinstance(error, ValueError) and "://" in url:
        return f"{error}; write /dev/ttyUSB0, socket://HOST:PORT or rfc2217://HOST:PORT"
    return f"{error}; is it the right port, and is it free?"


def _open_serial(url: str) -> serial.SerialBase:
    import serial as pyserial  # noqa: PLC0415 - not needed for sockets

    port = pyserial.serial_for_url(url, baudrate=BAUD, timeout=0, write_timeout=WRITE_TIMEOUT_S, do_not_open=True)
    if "://" not in url:
        port.exclusive = True  # a second program on a real port fails instead of stealing bytes
    port.open()
    return port


class _StreamPort(asyncio.Protocol):
    """A TCP or Unix socket."""

    def __init__(self, on_data: Callable[[bytes], None], on_lost: Callable[[str], None]) -> None:
        self._on_data = on_data
        self._on_lost = on_lost
        self._transport: asyncio.Transport | None = None
        self._closed = False
        self._writable = asyncio.Event()
        self._writable.set()

    @classmethod
    async def open_tcp(
        cls, host: str, port: int, on_data: Callable[[bytes], None], on_lost: Callable[[str], None]
    ) -> _StreamPort:
        loop = asyncio.get_running_loop()
        _, protocol = await loop.create_connection(lambda: cls(on_data, on_lost), host, port)
        return protocol

    @classmethod
    async def open_unix(
        cls, path: str, on_data: Callable[[bytes], None], on_lost: Callable[[str], None]
    ) -> _StreamPort:
        loop = asyncio.get_running_loop()
        with short_path(Path(path)) as short:
            _, protocol = await loop.create_unix_connection(lambda: cls(on_data, on_lost), short)
        return protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            self._transport = transport

    def data_received(self, data: bytes) -> None:
        if not self._closed:
            self._on_data(data)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._writable.set()
        if not self._closed:
            self._closed = True
            self._on_lost(str(exc) if exc else "the other end closed the connection")

    async def write(self, data: bytes) -> None:
        if self._transport is None:
            raise LinkLostError("the port is closed")
        self._transport.write(data)
        await self._writable.wait()

    async def close(self) -> None:
        self._closed = True
        if self._transport is not None:
            self._transport.close()
            self._transport = None


class _SerialPort:
    """A pyserial port, opened with timeout 0."""

    def __init__(
        self, port: serial.SerialBase, on_data: Callable[[bytes], None], on_lost: Callable[[str], None]
    ) -> None:
        self._port = port
        self._on_data = on_data
        self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self._writing = asyncio.Lock()
        self._fd: int | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        with contextlib.suppress(AttributeError, OSError):  # io.UnsupportedOperation is an OSError
            self._fd = port.fileno()
        if self._fd is not None:
            self._loop.add_reader(self._fd, self._readable)
        else:
            self._thread = threading.Thread(target=self._read_loop, name="wasel-port", daemon=True)
            self._thread.start()

    def _readable(self) -> None:
        try:
            data = self._port.read(READ_SIZE)
        except OSError as error:
            self._lost(str(error))
            return
        if data and not self._closed:
            self._on_data(data)

    def _read_loop(self) -> None:
        while not self._stop.is_set():
            try:
                data = self._port.read(READ_SIZE)
            except (OSError, TypeError, AttributeError) as error:  # pyserial's ports fail so when closed under a read
                self._call(self._lost, str(error))
                return
            if data:
                self._call(self._take, data)
            else:
                self._stop.wait(THREAD_POLL_S)

    def _call(self, function: Callable[..., None], argument: bytes | str) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is gone: nobody is left to tell
            self._loop.call_soon_threadsafe(function, argument)

    def _take(self, data: bytes) -> None:
        if not self._closed:
            self._on_data(data)

    def _lost(self, reason: str) -> None:
        if not self._closed:
            self._closed = True
            self._detach()
            self._on_lost(reason)

    def _detach(self) -> None:
        self._stop.set()
        if self._fd is not None:
            self._loop.remove_reader(self._fd)
            self._fd = None

    async def write(self, data: bytes) -> None:
        if self._closed:
            raise LinkLostError("the port is closed")
        async with self._writing:
            try:
                await asyncio.to_thread(self._port.write, data)
            except OSError as error:
                self._lost(str(error))
                raise LinkLostError(f"the port died: {error}") from error

    async def close(self) -> None:
        self._closed = True
        self._detach()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, 1.0)
        await asyncio.to_thread(self._port.close)
