# SPDX-License-Identifier: Apache-2.0
"""Virtual devices on the fleet's own broker: sessions, wills and faults as a server sees them."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import asynccontextmanager

import pytest

from agent.messages import Desired, DesiredSlot, Get, State, slice_module
from fleet.broker_credentials import new_secret
from fleet.simulate import device_names, until
from fleet.virtual_faults import Faults
from fleet.virtual_fleet import VirtualFleet
from tests.field.test_virtual_device import made

BASE = "wasel/1/default"
WAIT_S = 120


class Server:
    """Answers gets and remembers the last state of each device."""

    def __init__(self, modules):
        self.modules = {hashlib.sha256(module).digest(): module for module in modules}
        self.states = {}
        self.client = None

    def take(self, packet):
        _, _, _, name, leaf = packet.topic.split("/")
        if leaf == "state":
            self.states[name] = State.parse(packet.body)
        elif leaf == "get":
            get = Get.parse(packet.body)
            for chunk in slice_module(self.modules[get.digest], get.digest, get):
                self.client.mqtt.publish(f"{BASE}/{name}/chunk".encode(), chunk.encode())

    async def desire(self, names, sequence, module):
        want = DesiredSlot(hashlib.sha256(module).digest(), len(module))
        body = Desired(sequence, {0: want}).encode()
        for name in names:
            assert await self.client.send(f"{BASE}/{name}/desired", body, retain=True) < 0x80


@asynccontextmanager
async def serving(site, *modules):
    server = Server(modules)
    group = f"$share/{site.broker.share_group}/{BASE}/+"
    async with site.client("_server.0", tls=False, on_publish=server.take) as client:
        server.client = client
        await client.mqtt.subscribe([(f"{group}/state", 1), (f"{group}/get", 0)])
        yield server


async def known(site, names):
    secrets = {name: new_secret() for name in names}
    await site.broker.set_devices({name: secret.hash for name, secret in secrets.items()})
    return {name: secret.password for name, secret in secrets.items()}


@pytest.mark.parametrize("tls", [True, False])
async def test_a_small_fleet_runs_what_is_desired_and_says_goodbye(site, tls):
    names = device_names(10)
    passwords = await known(site, names)
    module = made("print up", "run", size=20_000)
    url = site.broker.url if tls else f"mqtt://127.0.0.1:{site.broker.server_port}"
    async with serving(site, module) as server:
        async with VirtualFleet(url, passwords, tls=site.tls() if tls else None) as fleet:
            await until(lambda: fleet.connected == 10, WAIT_S)
            await server.desire(names, 1, module)
            await until(
                lambda: all(s.sequence == 1 for s in server.states.values()) and len(server.states) == 10, WAIT_S
            )
            assert all(s.slots[0].state == "running" and s.link for s in server.states.values())
            fleet.links[3].connection.abort()
            fleet.links[3].connection = None
            await until(lambda: not server.states[names[3]].online, WAIT_S)  # its will
            assert all(s.online for name, s in server.states.items() if name != names[3])
        assert set(fleet.counters.desired) == set(names)


async def test_every_fault_at_once_and_the_fleet_still_arrives(site):
    names = device_names(15)
    passwords = await known(site, names)
    modules = [made(f"print {n}", "run", size=15_000, sequence=n) for n in (1, 2, 3)]
    faults = Faults(
        loss=0.1,
        duplicate=0.1,
        reorder=0.1,
        delay_s=0.2,
        cut_rate=0.2,
        agent_rate=0.1,
        reboot_rate=0.1,
        skew_s=3600,
        drift=0.1,
        storm_every_s=1.0,
    )
    url = f"mqtt://127.0.0.1:{site.broker.server_port}"
    async with serving(site, *modules) as server, VirtualFleet(url, passwords, faults=faults, seed=5) as fleet:
        for sequence, module in enumerate(modules, 1):
            await server.desire(names, sequence, module)
            await asyncio.sleep(1.5)
        fleet.faulty = False
        digest = hashlib.sha256(modules[-1]).digest()

        def arrived():
            return len(server.states) == 15 and all(
                (state.online, state.sequence, state.slots[0].digest, state.slots[0].state)
                == (True, 3, digest, "running")
                for state in server.states.values()
            )

        await until(arrived, WAIT_S)
        kinds = {"loss", "duplicate", "reorder", "cut", "agent restart", "reboot", "clock"}
        assert kinds <= set(fleet.injected)
        assert fleet.count(lambda device: device.settled) == 15


async def test_a_device_that_is_not_let_in_tries_again(site):
    secret = new_secret()
    url = f"mqtt://127.0.0.1:{site.broker.server_port}"
    async with VirtualFleet(url, {"late": secret.password}) as fleet:
        await until(lambda: fleet.counters.refused > 0, WAIT_S)
        await site.broker.set_devices({"late": secret.hash})
        await until(lambda: fleet.connected == 1, WAIT_S)
