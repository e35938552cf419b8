# SPDX-License-Identifier: Apache-2.0
"""`wasel up`: broker, server, one device under QEMU with its agent, and the dashboard's address, until Ctrl-C.

Contract: everything that was started is down when `run_up` returns, whatever ended it; killed, it takes all with it. A
second run finds the same fleet: database, certificates, the device with its key and flash are in the state folder.
For development: modules without a signature are taken, and those signed with the development key of the device images.
"""

from __future__ import annotations

import asyncio
import re
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fleet.access import SYSTEM
from fleet.broker import BrokerSettings
from fleet.database import Database
from fleet.enrolment import create_claim
from fleet.models import Device
from fleet.pki import fingerprint
from fleet.real_devices import Enrol, real_device
from fleet.server import Listening, serve
from fleet.settings import Settings
from qemu.launcher import image_for
from sel4_bridge.build import DEVELOPMENT_KEY

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["UpOptions", "run_up"]

SERVING = re.compile(r"serving on (\S+), devices on ")
ONLINE_POLL_S = 0.2
STOP_S = 30.0


@dataclass(frozen=True)
class UpOptions:
    """What was asked for."""

    root: Path
    """State folder."""
    device: str = "qemu-0"
    kernel: str = "standin"
    port: int = 8080
    """Of the dashboard; 0: one that is free."""
    broker_port: int = 8883


async def run_up(options: UpOptions, say: Callable[[str], None]) -> None:
    """Run everything until SIGINT or SIGTERM.

    Raises:
        WaselError: something does not start.

    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    stopped = asyncio.create_task(stop.wait())
    say("device image: built if need be")
    image = asyncio.create_task(asyncio.to_thread(image_for, options.kernel))
    await asyncio.wait({image, stopped}, return_when=asyncio.FIRST_COMPLETED)
    if not image.done():
        return  # the compiler's thread goes on to its end; nothing else runs yet
    image.result()
    data = options.root / "fleet"
    settings = Settings(
        data=data,
        allow_unsigned=True,
        twin=options.kernel,
        trust_keys=str(DEVELOPMENT_KEY.with_name(DEVELOPMENT_KEY.name + ".pub")),
    )
    serving: asyncio.Future[str] = loop.create_future()

    def heard(text: str) -> None:
        if (match := SERVING.search(text)) and not serving.done():
            serving.set_result(match[1])
        say(text)

    listening = Listening(port=options.port)
    server = asyncio.create_task(serve(settings, listening, BrokerSettings(port=options.broker_port), heard))
    device: asyncio.Task[None] | None = None
    try:
        started: list[asyncio.Future[Any]] = [server, serving, stopped]
        await asyncio.wait(started, return_when=asyncio.FIRST_COMPLETED)
        if serving.done() and not stop.is_set():
            device = asyncio.create_task(_device(options, settings, serving.result(), say))
            await asyncio.wait({server, device, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if device.done():
                device.result()
        if server.done():
            server.result()
    finally:
        say("going down")
        if device is not None:
            device.cancel()
            await asyncio.gather(device, return_exceptions=True)
        if stop.is_set():  # the server heard the signal, too
            await asyncio.wait({server}, timeout=STOP_S)
        server.cancel()
        stopped.cancel()
        await asyncio.gather(server, stopped, return_exceptions=True)
    say("everything is down again")


async def _device(options: UpOptions, settings: Settings, url: str, say: Callable[[str], None]) -> None:
    """Run the device; ends only by being cancelled, or with its error."""
    database = Database(settings.database_url)
    try:
        claim = await asyncio.to_thread(_claim, database, settings)
        enrol = Enrol(url, claim)
        async with real_device(options.device, "qemu", options.root, enrol, kernel=options.kernel) as device:
            say(f"device {device.name}: up under QEMU, its agent enrols; its log is {device.log}")
            while not await asyncio.to_thread(_online, database, options.device):  # noqa: ASYNC110 - the database is asked
                await asyncio.sleep(ONLINE_POLL_S)
            say(f"device {device.name}: online; the dashboard is at {url}  (Ctrl-C ends everything)")
            await asyncio.Event().wait()
    finally:
        await asyncio.to_thread(database.close)


def _claim(database: Database, settings: Settings) -> str:
    """Make a claim token for one device, with the fingerprint of the broker's authority."""
    with database.write() as session:
        _, token = create_claim(session, SYSTEM, uses=1, days=0.1, note="wasel up")
    return f"{token}.{fingerprint((settings.data / 'broker' / 'pki' / 'ca.pem').read_bytes())}"


def _online(database: Database, name: str) -> bool:
    with database.read() as session:
        device = session.query(Device).filter(Device.name == name).one_or_none()
        return device is not None and bool(device.online) and bool(device.link)
