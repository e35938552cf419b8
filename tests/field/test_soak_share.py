# SPDX-License-Identifier: Apache-2.0
"""A small share of the fleet's soak, without its limits on time: a real server, 200 devices, 2,000 faults."""

from __future__ import annotations

import io
import shutil

import pytest

from fleet.simulate import device_names, until
from fleet.virtual_fleet import VirtualFleet
from soak import Soak, Violation, read_event
from soak.fleet_runs import faults
from soak.fleet_site import fleet_site, module

WAIT_S = 900
COUNT = 200

pytestmark = pytest.mark.skipif(
    shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin") is None,
    reason="mosquitto is not installed",
)


async def test_two_hundred_devices_run_a_module_once_each(tmp_path):
    names = device_names(COUNT)
    async with fleet_site(tmp_path) as site:
        passwords = await site.enroll(names)
        async with VirtualFleet(site.broker_url, passwords) as fleet:
            await until(lambda: fleet.connected == COUNT, WAIT_S)
            digest = await site.upload(module(1, 64 * 1024))
            await site.deploy(names, digest)
            wanted = (bytes.fromhex(digest), "running")
            await until(lambda: fleet.count(lambda d: d.running(0) == wanted and d.settled) == COUNT, WAIT_S)
            assert fleet.count(lambda device: device.starts(0) == 1) == COUNT
            assert fleet.counters.lost == 0
            for _ in range(10 * WAIT_S):
                overview = await site.ask("GET", "/overview")
                if any(entry["digest"] == digest and entry["devices"] == COUNT for entry in overview["modules"]):
                    break
            assert overview["states"] == {"good": COUNT}


async def test_faults_and_restarts_of_server_and_broker_and_every_device_arrives(tmp_path):
    events = io.StringIO()
    await faults(Soak("fleet_faults", tmp_path, events, seed=3, scale=0.02))
    told = [read_event(line) for line in events.getvalue().splitlines()]
    assert [event.text for event in told if isinstance(event, Violation)] == []
