# SPDX-License-Identifier: Apache-2.0
"""Everything that a rollout needs, running beside a browser's test: broker, server, virtual devices, one in QEMU.

`World` runs an event loop in a thread of its own; the test drives the browser in the main one.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
import sys
import threading
from dataclasses import dataclass, field

import uvicorn

from agent.keys import load_private_key
from agent.manifest import Manifest
from agent.signing import sign_module
from edge_engine.zig import WASI, compile_objects, link
from fleet import access, enrolment
from fleet.access import SYSTEM, Role
from fleet.app import create_app
from fleet.auth.password import hash_password
from fleet.broker import BrokerSettings, running_broker
from fleet.settings import Settings
from fleet.virtual_fleet import VirtualFleet
from fleet.virtual_module import with_script
from qemu.launcher import image_for, running_device
from sel4_bridge.build import DEVELOPMENT_KEY
from tests.server.routes import PASSWORD

__all__ = ["World", "signed_module"]

SOURCE = """
#include <stdio.h>
#include <unistd.h>
int main(int argc, char **argv) {
    printf("pump %s\\n", VERSION); fflush(stdout);
    for (int n = 0;; n++) { usleep(500000); printf("pressure %d.%d bar\\n", 4 + n % 2, n % 10); fflush(stdout); }
}
"""
START_S = 600


def signed_module(folder, version, sequence, *script):
    """A module that prints and stays; virtual devices play `script` instead."""
    path = folder / f"pump-{sequence}.c"
    path.write_text(SOURCE)
    flags = ("-Os", "-s", "-Wl,-z,stack-size=65536", f'-DVERSION="{version}"')
    objects = compile_objects([path], folder / str(sequence), WASI, flags)
    module = link(objects, folder / f"pump-{sequence}.wasm", WASI, flags).read_bytes()
    if script:
        module = with_script(module, *script)
    manifest = Manifest(name="pump", version=version, sequence=sequence)
    return sign_module(module, manifest, load_private_key(DEVELOPMENT_KEY))


@dataclass
class World:
    """Use as a context manager; `url` is the dashboard's."""

    folder: object
    virtual: int
    names: list[str] = field(default_factory=list)
    url: str = ""
    app: object = None
    devices: VirtualFleet | None = None
    _failed: BaseException | None = None

    def __enter__(self):
        self._ready, self._stop = threading.Event(), None
        self._thread = threading.Thread(target=self._run, name="world")
        self._thread.start()
        assert self._ready.wait(START_S), "the world did not begin"
        if self._failed is not None:
            self._thread.join()
            raise self._failed
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        if self._failed is not None:
            raise self._failed

    def _run(self):
        try:
            asyncio.run(self._live())
        except BaseException as error:  # noqa: BLE001 - told to the test
            self._failed = error
        finally:
            self._ready.set()

    async def _live(self):
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        image = await asyncio.to_thread(image_for, "standin")
        public = DEVELOPMENT_KEY.with_name(DEVELOPMENT_KEY.name + ".pub")
        async with contextlib.AsyncExitStack() as stack:
            broker = await stack.enter_async_context(running_broker(self.folder / "broker", BrokerSettings(port=0)))
            self.app = create_app(
                Settings(
                    data=self.folder / "fleet",
                    broker_url=broker.server_url(0),
                    device_broker_url=broker.url,
                    device_ca=str(broker.ca),
                    share_group=broker.share_group,
                    trust_keys=str(public),
                    twin="standin",
                )
            )
            fleet = self.app.state.fleet
            fleet.let_in = broker.set_devices
            self.names = [f"sim-{number:02}" for number in range(1, self.virtual + 1)]
            hashed = await asyncio.to_thread(hash_password, PASSWORD)
            with fleet.database.write() as session:
                for role in Role:
                    access.create_user(session, SYSTEM, role.text, role, hashed)
                passwords = enrolment.enroll_many(session, SYSTEM, self.names, {"site": "plant"})
                _, claim = enrolment.create_claim(session, SYSTEM, tags={"site": "lab"})
            await broker.set_devices(await asyncio.to_thread(self._logins))
            await self._serve(stack)
            tls = ssl.create_default_context(cafile=str(broker.ca))
            self.devices = await stack.enter_async_context(VirtualFleet(broker.url, passwords, tls=tls))
            device = await stack.enter_async_context(
                running_device("qemu-1", kernel="standin", image=image, root=self.folder / "device")
            )
            await self._agent(stack, device.record.port, f"{claim}.{fleet.ca_hash}")
            self._ready.set()
            await self._stop.wait()

    def _logins(self):
        with self.app.state.fleet.database.read() as session:
            return enrolment.credentials(session)

    async def _serve(self, stack):
        server = uvicorn.Server(uvicorn.Config(self.app, log_level="warning", timeout_graceful_shutdown=5, port=0))
        server.install_signal_handlers = lambda: None
        task = asyncio.create_task(server.serve())

        async def end():
            self.app.state.fleet.closing.set()
            server.should_exit = True
            await task

        stack.push_async_callback(end)
        while not server.started:
            assert not task.done()
            await asyncio.sleep(0.02)
        self.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"

    async def _agent(self, stack, port, claim):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "agent", "agent", "--device", "qemu-1", "--port", port, "--enroll", self.url,
            "--claim", claim, "--state", str(self.folder / "agent"),
            env=os.environ | {"WASEL_STATE": str(self.folder / "state")},
        )  # fmt: skip

        async def end():
            if process.returncode is None:
                process.terminate()
            await process.wait()

        stack.push_async_callback(end)
