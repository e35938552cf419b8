# SPDX-License-Identifier: Apache-2.0
"""`wasel fleet serve`: the broker (unless one is given), the workers, and how all of it ends together.

This process answers HTTP and keeps the broker. What devices need is done by workers (fleet.worker), processes of their
own: pages share neither Python's lock nor an event loop with ten thousand devices. With SQLite there is one worker.
The processes share the database and talk over their buses (fleet.bus_relay).

Contract: `serve` returns after SIGTERM or SIGINT with everything stopped; a worker that ends by itself is started anew.
Killed, this process takes broker and workers with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import signal
import socket
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import uvicorn

from agent.errors import UsageError
from fleet.app import create_app
from fleet.auth.setup import first_address
from fleet.broker import MAX_WORKERS, BrokerSettings, running_broker
from fleet.bus_socket import SocketRelay
from fleet.database import Database, upgrade
from fleet.enrolment import credentials
from fleet.worker import SWITCH_S
from qemu.bound import bound, end_process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fleet.broker import FleetBroker
    from fleet.context import Fleet
    from fleet.settings import Settings

__all__ = ["Listening", "serve"]

GRACE_S = 5
"""For requests that are being answered when the server is told to stop."""
KEEP_ALIVE_S = 75
"""Longer than clients keep a connection without using it, so that no request meets one that is being closed."""
POLL_S = 0.5
RESTART_S = 1.0
BACKLOG = 1024


@dataclass(frozen=True)
class Listening:
    """Where the server listens."""

    host: str = "127.0.0.1"
    port: int = 8080
    """0: one that is free."""
    workers: int = 1
    """Processes beside this one that do what devices need."""
    certificate: str = ""
    """PEM file; with `key`: HTTPS."""
    key: str = ""

    def url(self, port: int) -> str:
        """Address for people."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host  # noqa: S104 - where, not whether
        return f"{'https' if self.certificate else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"


async def serve(
    settings: Settings, listening: Listening, broker: BrokerSettings | None, say: Callable[[str], None]
) -> None:
    """Serve until told to stop; `broker` None: the one of the settings, or none at all."""
    if listening.workers > 1 and not settings.database_url.startswith("postgresql"):
        raise UsageError("several workers need PostgreSQL: give --database postgresql://...")
    if not 1 <= listening.workers < MAX_WORKERS:  # this process has a login of its own, too
        raise UsageError(f"--workers: from 1 to {MAX_WORKERS - 1}")
    await asyncio.to_thread(upgrade, settings.database_url)
    async with contextlib.AsyncExitStack() as stack:
        own: FleetBroker | None = None
        if broker is not None:
            known = await asyncio.to_thread(_credentials, settings)
            own = await stack.enter_async_context(running_broker(settings.data / "broker", broker, known))
            settings = dataclasses.replace(
                settings,
                device_broker_url=settings.device_broker_url or own.url,
                device_ca=str(own.ca),
                share_group=own.share_group,
            )
        sock = stack.enter_context(_listen(listening))
        url = listening.url(sock.getsockname()[1])
        await asyncio.to_thread(_announce, settings, url, own.url if own else "", say)
        await _run(settings, listening, sock, own)


def _listen(listening: Listening) -> socket.socket:
    family = socket.AF_INET6 if ":" in listening.host else socket.AF_INET
    try:
        return socket.create_server((listening.host, listening.port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise UsageError(f"cannot listen on {listening.host}:{listening.port}: {error.strerror or error}") from error


def _credentials(settings: Settings) -> dict[str, str]:
    database = Database(settings.database_url)
    try:
        with database.read() as session:
            return credentials(session)
    finally:
        database.close()


def _announce(settings: Settings, url: str, broker: str, say: Callable[[str], None]) -> None:
    say(f"serving on {url}" + (f", devices on {broker}" if broker else ""))
    database = Database(settings.database_url)
    try:
        with database.read() as session:
            address = first_address(session, settings.data, url)
    finally:
        database.close()
    if address is not None:
        say(f"make the first admin: {address}")


def _config(app: object, listening: Listening) -> uvicorn.Config:
    return uvicorn.Config(
        app,  # type: ignore[arg-type]
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
        timeout_keep_alive=KEEP_ALIVE_S,
        ssl_certfile=listening.certificate or None,
        ssl_keyfile=listening.key or None,
    )


class _Server(uvicorn.Server):
    """Ends in order: streams are told to stop first, and what is around the server is taken down after it.

    uvicorn's own way raises the signal again when it is done, which would end this process there and then.
    """

    def __init__(self, config: uvicorn.Config, stopping: Callable[[], None]) -> None:
        super().__init__(config)
        self._stopping = stopping

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop at SIGTERM and SIGINT."""
        loop = asyncio.get_running_loop()
        numbers = (signal.SIGTERM, signal.SIGINT)
        for number in numbers:
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._stopping()
        await super().shutdown(sockets)


async def _run(settings: Settings, listening: Listening, sock: socket.socket, own: FleetBroker | None) -> None:
    sys.setswitchinterval(SWITCH_S)
    app = create_app(dataclasses.replace(_settings_of(0, settings, own), engine=False, ingest=False))
    fleet: Fleet = app.state.fleet
    server = _Server(_config(app, listening), fleet.closing.set)
    work = [server.serve([sock])]
    work += [_keep_worker(number, _settings_of(number, settings, own), fleet) for number in _numbers(listening)]
    if own is not None:
        fleet.let_in = own.set_devices
        if not fleet.database.is_sqlite:
            work.append(_keep_logins(settings, own))
    tasks = [asyncio.create_task(task) for task in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _numbers(listening: Listening) -> range:
    """Give the workers' numbers; 0 is this process."""
    return range(1, listening.workers + 1)


def _settings_of(number: int, settings: Settings, own: FleetBroker | None) -> Settings:
    return dataclasses.replace(settings, broker_url=own.server_url(number)) if own is not None else settings


async def _keep_worker(number: int, settings: Settings, fleet: Fleet) -> None:
    """Run one worker, and run it again when it ends by itself."""
    while True:
        ours, its = socket.socketpair()
        with its:
            process = await asyncio.create_subprocess_exec(
                *bound([sys.executable, "-m", "fleet.worker", str(its.fileno())]),
                env=os.environ | settings.environment(), pass_fds=(its.fileno(),), stdin=asyncio.subprocess.DEVNULL,
                start_new_session=True,
            )  # fmt: skip
        relay = SocketRelay(ours, fleet.bus, fleet.worker) if fleet.database.is_sqlite else None
        relaying = asyncio.create_task(relay.run()) if relay is not None else None
        try:
            code = await process.wait()
        finally:
            if relaying is not None:
                relaying.cancel()
                await asyncio.gather(relaying, return_exceptions=True)
            ours.close()
            await end_process(process)
        print(f"wasel fleet: worker {number} ended with {code}; it is started again", file=sys.stderr, flush=True)
        await asyncio.sleep(RESTART_S)


async def _keep_logins(settings: Settings, own: FleetBroker) -> None:
    """Tell the broker which devices may log in: other servers at the same database change that, too."""
    database = Database(settings.database_url)

    def load() -> dict[str, str]:
        with database.read() as session:
            return credentials(session)

    try:
        while True:
            known = await asyncio.to_thread(load)
            if known != own.devices:
                await own.set_devices(known)
            await asyncio.sleep(POLL_S)
    finally:
        await asyncio.to_thread(database.close)
