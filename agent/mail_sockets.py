# SPDX-License-Identifier: Apache-2.0
"""A module's socket on this machine: TCP connections, a TCP server, UDP.

Contract: `take` is given the module's records, `send` the answers. Bytes towards the module are read only as far as it
has given credit (TCP) or dropped beyond it (UDP); bytes from it are given back their credit when the network has taken
them. Everything ends with `close`.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from typing import TYPE_CHECKING, Any, Protocol

from agent.mail import DATA_MAX, ERRNOS, FRAME, Kind, Record, Type, errno_of, u32

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

__all__ = ["SOCKETS", "SocketChannel"]

SOCKETS = {Type.TCP, Type.UDP, Type.LISTEN, Type.TAKE}
CREDIT = 16_384
CONNECT_TIMEOUT_S = 15.0
LINGER_S = 5.0
"""For what was written before a close to go out."""
BACKLOG = 4
"""Connections that wait to be accepted; further ones are closed."""

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _Send(Protocol):
    def __call__(self, kind: Kind, channel: int = 0, aux: int = 0, body: bytes = b"") -> None: ...


def _split(address: str) -> tuple[str, int]:
    """Take "host:port" apart. ValueError."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _join(address: Any) -> bytes:
    if not address:
        return b""
    host, port = address[0], address[1]
    return f"[{host}]:{port}".encode() if ":" in host else f"{host}:{port}".encode()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, received: Callable[[bytes, Any], None]) -> None:
        self._received = received

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._received(data, addr)


class SocketChannel:
    """One socket."""

    _numbers = itertools.count(1)

    def __init__(
        self, kind: Type, name: str, credit: int, number: int, send: _Send, others: Sequence[SocketChannel]
    ) -> None:
        self.kind, self.credit, self.number, self._send = kind, credit, number, send
        self.accepted: dict[int, Streams] = {}
        """Connections of a server that nobody took yet."""
        self._more = asyncio.Event()
        self._out: asyncio.Queue[bytes | None] = asyncio.Queue()  # bounded by its credit; None: no more
        self._closers: list[Callable[[], object]] = []
        self._closing = asyncio.Event()
        self._opened = False
        work: dict[Type, Callable[[], Coroutine[Any, Any, None]]] = {
            Type.TCP: lambda: self._tcp(self._connect(name)),
            Type.TAKE: lambda: self._tcp(self._take(name, others)),
            Type.LISTEN: lambda: self._listen(name),
            Type.UDP: lambda: self._udp(name),
        }
        self._task = asyncio.ensure_future(self._guarded(work[kind]))

    def take(self, record: Record) -> None:
        """Take a record of the module's."""
        if record.kind == Kind.DATA:
            self._out.put_nowait(record.body)
        elif record.kind == Kind.SHUT:
            self._out.put_nowait(None)
        elif record.kind == Kind.CREDIT:
            self.credit += record.number
            self._more.set()

    def close(self) -> None:
        """Let go of the network, once what was written before has gone out."""
        self._closing.set()
        self._out.put_nowait(None)
        for _, writer in self.accepted.values():
            writer.close()
        if self.kind is Type.LISTEN or self._task.done():
            self._end()
        else:
            loop = asyncio.get_running_loop()
            ending = loop.call_later(LINGER_S, self._end)
            self._task.add_done_callback(lambda _: ending.cancel())
            self._task.add_done_callback(lambda _: self._end())

    def _end(self) -> None:
        self._task.cancel()
        for closer in self._closers:
            closer()
        self._closers.clear()

    async def _guarded(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await work()
        except (OSError, ValueError) as error:
            code = errno_of(error) if isinstance(error, OSError) else ERRNOS["inval"]
            if self._closing.is_set():
                return
            if self._opened:
                self._send(Kind.CLOSE, self.number, code)
            else:
                self._send(Kind.OPENED, self.number, code, u32(0))

    def _say_opened(self, local: bytes, peer: bytes = b"") -> None:
        self._opened = True
        self._send(Kind.OPENED, self.number, body=u32(CREDIT) + local + b"\0" + peer)

    def _credit(self, size: int) -> None:
        if not self._closing.is_set():
            self._send(Kind.CREDIT, self.number, body=u32(size))

    async def _connect(self, name: str) -> Streams:
        host, port = _split(name)
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            return await asyncio.open_connection(host, port, limit=2 * DATA_MAX)

    async def _take(self, name: str, others: Sequence[SocketChannel]) -> Streams:
        for other in others:
            if int(name) in other.accepted:
                return other.accepted.pop(int(name))
        raise ConnectionAbortedError

    async def _tcp(self, connecting: Coroutine[Any, Any, Streams]) -> None:
        reader, writer = await connecting
        self._closers.append(writer.close)
        self._say_opened(_join(writer.get_extra_info("sockname")), _join(writer.get_extra_info("peername")))
        closing = asyncio.ensure_future(self._closing.wait())
        receive, write = asyncio.ensure_future(self._receive(reader)), asyncio.ensure_future(self._write(writer))
        try:
            await asyncio.wait({closing, receive}, return_when=asyncio.FIRST_COMPLETED)
            if receive.done():
                receive.result()
            await write
        finally:
            for task in (closing, receive, write):
                task.cancel()

    async def _receive(self, reader: asyncio.StreamReader) -> None:
        while True:
            while self.credit == 0:
                self._more.clear()
                await self._more.wait()
            data = await reader.read(min(self.credit, DATA_MAX))
            if not data:
                self._send(Kind.SHUT, self.number)
                return
            self.credit -= len(data)
            self._send(Kind.DATA, self.number, body=data)

    async def _write(self, writer: asyncio.StreamWriter) -> None:
        while (data := await self._out.get()) is not None:
            writer.write(data)
            await writer.drain()
            self._credit(len(data))
        if writer.can_write_eof():
            writer.write_eof()

    async def _listen(self, name: str) -> None:
        host, port = _split(name)

        def arrived(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if len(self.accepted) >= BACKLOG:
                writer.close()
                return
            number = next(self._numbers)
            self.accepted[number] = (reader, writer)
            addresses = _join(writer.get_extra_info("sockname")) + b"\0" + _join(writer.get_extra_info("peername"))
            self._send(Kind.ACCEPT, self.number, body=u32(number) + addresses)

        server = await asyncio.start_server(arrived, host, port, limit=2 * DATA_MAX)
        self._closers.append(server.close)
        self._say_opened(_join(server.sockets[0].getsockname()))

    async def _udp(self, name: str) -> None:
        host, port = _split(name)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: _Datagrams(self._datagram),
            local_addr=(host or "0.0.0.0", port),  # noqa: S104 - where policy says
        )
        self._closers.append(transport.close)
        self._say_opened(_join(transport.get_extra_info("sockname")))
        while (data := await self._out.get()) is not None:
            address, _, payload = data.partition(b"\0")
            with contextlib.suppress(ValueError):
                transport.sendto(payload, _split(address.decode("ascii", "replace")))
            self._credit(len(data) + FRAME)

    def _datagram(self, data: bytes, address: Any) -> None:
        body = _join(address) + b"\0" + data
        if len(body) <= DATA_MAX and len(body) + FRAME <= self.credit:
            self.credit -= len(body) + FRAME
            self._send(Kind.DATA, self.number, body=body)
